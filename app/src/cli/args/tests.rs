use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Command, String> {
    Cli::try_parse_from(["visavis"].into_iter().chain(line.split_whitespace()))
        .map(|cli| cli.command)
        .map_err(|e| e.to_string())
}

fn answer(line: &str) -> Answer {
    let Ok(Command::Answer(answer)) = parse(&format!("answer {line}")) else { panic!("{line}") };
    answer
}

fn network(line: &str) -> Network {
    answer(line).talk.network
}

const KEY: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsq";

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_what_it_was() {
    for (name, help) in
        [("help", Cli::command()), ("help-call", subcommand("call")), ("help-answer", subcommand("answer"))]
    {
        // Without a terminal the width is fixed, so the text is the same everywhere.
        let text = help.term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(name, text);
    }
}

fn subcommand(name: &str) -> clap::Command {
    let mut cli = Cli::command();
    cli.build();
    cli.find_subcommand(name).expect(name).clone()
}

#[test]
fn help_lists_every_exit_status() {
    let help = Cli::command().render_long_help().to_string();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("{:>3}  {}", exit.code(), exit.meaning())), "{exit:?}\n{help}");
    }
}

#[test]
fn auto_means_contacts_unless_it_says_anyone() {
    assert_eq!(Auto::from(answer("").auto), Auto::Nobody);
    assert_eq!(Auto::from(answer("--auto").auto), Auto::Contacts);
    assert_eq!(Auto::from(answer("--auto=contacts").auto), Auto::Contacts);
    assert_eq!(Auto::from(answer("--auto=anyone").auto), Auto::Anyone);
    assert!(parse("answer --auto=me").is_err());
    // Without the equals sign it would swallow what follows.
    assert!(parse("answer --auto anyone").is_err());
}

#[test]
fn of_several_allowed_the_widest_counts() {
    let allow = |line: &str| {
        let Ok(Command::Stream(stream)) = parse(&format!("stream {line}")) else { panic!("{line}") };
        Allow::together(&stream.allow)
    };
    let key: Fingerprint = KEY.parse().expect("a fingerprint");
    assert_eq!(allow(""), Auto::Contacts);
    assert_eq!(allow("--allow anyone"), Auto::Anyone);
    assert_eq!(allow(&format!("--allow {KEY}")), Auto::Listed(vec![key]));
    assert_eq!(allow(&format!("--allow contacts {KEY}")), Auto::Listed(vec![key]));
    assert_eq!(allow(&format!("--allow {KEY},contacts --allow anyone")), Auto::Anyone);
    assert!(parse("stream --allow everyone").expect_err("unknown").contains("neither contacts, anyone nor"));
}

#[test]
fn where_to_listen() {
    let address = |line: &str, serve| network(line).address(serve).map(|address| address.to_string());
    assert_eq!(address("", true).as_deref(), Some("[::]:8554"));
    assert_eq!(address("", false), None);
    assert_eq!(address("--port 9000", false).as_deref(), Some("[::]:9000"));
    assert_eq!(address("--port 0", true).as_deref(), Some("[::]:0"));
    assert_eq!(address("--listen 192.0.2.7", true).as_deref(), Some("192.0.2.7:8554"));
    assert_eq!(address("--listen 192.0.2.7:9000", true).as_deref(), Some("192.0.2.7:9000"));
    assert_eq!(address("--listen 192.0.2.7:9000 --port 9001", true).as_deref(), Some("192.0.2.7:9001"));
    assert_eq!(address("--listen ::1", false).as_deref(), Some("[::1]:8554"));
    assert_eq!(address("--listen [::1]", false).as_deref(), Some("[::1]:8554"));
    assert_eq!(address("--listen [::1]:9000", false).as_deref(), Some("[::1]:9000"));
    assert!(parse("answer --listen alice").is_err());
    assert!(parse("answer --port 65536").is_err());
}

#[test]
fn suites_and_profiles_are_named_once() {
    assert_eq!(network("").srtp(), SrtpProfile::ALL);
    assert_eq!(network("--srtp aes-128-gcm,aes-128-gcm").srtp(), [SrtpProfile::Aes128Gcm]);
    for unknown in ["AEAD_AES_128_GCM", "aes-192-gcm", ","] {
        let refused = parse(&format!("answer --srtp {unknown}")).expect_err("unknown");
        assert!(refused.contains("aes-256-gcm and aes-128-gcm"), "{refused}");
    }
    assert_eq!(network("").suites(), [Suite::X25519MlKem768, Suite::X25519]);
    assert_eq!(network("--suites modp2048,x25519,modp2048").suites(), [Suite::Modp2048, Suite::X25519]);
    assert!(parse("answer --suites rot13").expect_err("unknown").contains("modp3072"));
}

#[test]
fn numbers_are_checked_before_anything_starts() {
    assert_eq!(rate("32k", 6_000, 510_000), Ok(32_000));
    assert_eq!(rate("2.5M", 50_000, u32::MAX), Ok(2_500_000));
    assert_eq!(rate("6000", 6_000, 510_000), Ok(6_000));
    for wrong in ["", "k", "5999", "-1k", "511k", "nan", "infM", "32 k", "32kk", "é"] {
        assert!(rate(wrong, 6_000, 510_000).is_err(), "{wrong}");
    }
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    for wrong in ["", "0", "-1", "nan", "inf", "1e12", "3s"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
    for line in ["--quality 0", "--quality 101", "--initial-delay 3000", "--bitrate 3", "--audio-bitrate 1M"] {
        assert!(parse(&format!("answer {line}")).is_err(), "{line}");
    }
}

#[test]
fn what_every_command_takes_may_stand_before_or_behind() {
    for line in ["--json --log info --profile /p answer", "answer --json --log info --profile /p"] {
        let cli = Cli::try_parse_from(["visavis"].into_iter().chain(line.split_whitespace())).expect(line);
        assert!(cli.global.json);
        assert_eq!((cli.global.log.as_str(), cli.global.profile), ("info", Some(PathBuf::from("/p"))));
    }
    parse("answer --auto=contacts --no-gui").expect("as under systemd");
    parse("call ana --no-gui").expect("harmless");
}

#[test]
fn nothing_is_taken_that_means_nothing_there() {
    for line in [
        "",
        "call",
        "watch",
        "watch x --audio a.wav",
        "stream --audio-out a.wav",
        "stream x",
        "contacts",
        "contacts add",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    parse("contacts verify ana --undo").expect("valid");
    parse(&format!("contacts add ana --key {KEY}")).expect("valid");
    parse("echo-test --audio synthetic --audio-out none --duration 1").expect("valid");
}
