//! What shells, packagers and systemd want of the command line: completions, man pages, a unit.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;

/// The unit as packages install it.
const UNIT: &str = include_str!("../../packaging/visavis.service");
/// Where it thinks the program is.
const PACKAGED: &str = "/usr/bin/visavis";

/// Writes a man page for every command into `folder`, which is made if need be.
pub(crate) fn man_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

/// What a shell needs to complete our command lines.
pub(crate) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "visavis", &mut script);
    // It is made of our own texts.
    String::from_utf8_lossy(&script).into_owned()
}

/// A systemd user unit that runs `program`.
pub(crate) fn unit(program: &Path) -> String {
    UNIT.replace(PACKAGED, &quoted(program))
}

/// This program, or where a package would put it if the system does not tell.
pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from(PACKAGED))
}

/// A path as one word of a command line in a unit: systemd.service(5), systemd.unit(5).
fn quoted(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c)) {
        return text;
    }
    let mut word = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            // Specifiers and variables begin with these.
            '%' | '$' => word.extend([c, c]),
            c if c.is_control() => word.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => word.push(c),
        }
    }
    word.push('"');
    Cow::Owned(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use clap::Parser;

    use super::*;

    /// The name of every command's page.
    fn pages(command: &clap::Command, name: &str, into: &mut BTreeSet<String>) {
        into.insert(format!("{name}.1"));
        for command in command.get_subcommands() {
            pages(command, &format!("{name}-{}", command.get_name()), into);
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("man/man1");
        man_pages(&folder).expect("written");
        let mut expected = BTreeSet::new();
        pages(&Cli::command(), "visavis", &mut expected);
        assert!(expected.contains("visavis-contacts-add.1"), "{expected:?}");
        let written: BTreeSet<String> = fs::read_dir(&folder)
            .expect("there")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
            .collect();
        assert_eq!(written, expected);
        for page in &written {
            let text = fs::read_to_string(folder.join(page)).expect("text");
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}");
            assert!(text.matches(".SH OPTIONS").count() <= 1, "{page} has two sections of one name");
        }
        assert!(
            fs::read_to_string(folder.join("visavis.1")).expect("text").contains("no visavis runs with this profile")
        );
        man_pages(&folder).expect("once more");
    }

    #[test]
    fn completions_know_every_command_and_bash_reads_them() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell} does not complete {}", command.get_name());
            }
        }
        let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
        let mut stdin = bash.stdin.take().expect("piped");
        stdin.write_all(completions(Shell::Bash).as_bytes()).expect("read");
        drop(stdin);
        assert!(bash.wait().expect("ended").success());
    }

    #[test]
    fn the_unit_runs_what_the_command_line_takes() {
        let unit = unit(Path::new("/opt/visavis/bin/visavis"));
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it runs something");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[0], "/opt/visavis/bin/visavis");
        Cli::try_parse_from(&words).expect("our own options");
        assert!(!unit.contains(PACKAGED), "{unit}");
    }

    #[test]
    fn any_path_is_one_word() {
        assert_eq!(quoted(Path::new("/home/ana/.cargo/bin/visavis")), "/home/ana/.cargo/bin/visavis");
        assert_eq!(quoted(Path::new("/my programs/50%/$x/\"v\\\n")), r#""/my programs/50%%/$$x/\"v\\\x0a""#);
    }
}
