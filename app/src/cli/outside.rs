//! What comes from outside while a command runs: signals, and lines on standard input.

use std::io::{self, BufRead, IsTerminal, Read};

use tokio::sync::mpsc;

use super::control::Asked;
use super::run::Outside;

/// The longest line worth reading, in bytes; the rest counts as the next one.
const MAX_LINE: u64 = 256;
/// Lines typed ahead of what is asked for.
const LINES: usize = 4;

/// Begins to listen for signals; standard input is left alone until somebody wants a line.
pub(crate) fn listen(requests: mpsc::Receiver<Asked>) -> io::Result<Outside> {
    Ok(Outside { interrupts: interrupts()?, lines: Box::new(lines), requests })
}

#[cfg(unix)]
fn interrupts() -> io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(4);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    }
    Ok(receiver)
}

#[cfg(not(unix))]
fn interrupts() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {} });
    Ok(receiver)
}

/// Reads lines on a thread of its own, since nothing can interrupt that; it ends with the process.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES);
    let terminal = io::stdin().is_terminal();
    if terminal {
        if in_background() {
            // Reading would stop the whole process, and the call with it.
            return receiver;
        }
        discard_typed_ahead();
    }
    // Without the thread there are no lines, which the receiver tells.
    let _ = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || read_lines(&mut io::stdin().lock(), terminal, &sender));
    receiver
}

/// Whether the terminal listens to another job of its shell.
fn in_background() -> bool {
    #[cfg(unix)]
    return rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group != rustix::process::getpgrp());
    #[cfg(not(unix))]
    false
}

/// What was typed before the question was asked is no answer to it.
fn discard_typed_ahead() {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
}

fn read_lines(input: &mut impl BufRead, terminal: bool, sender: &mpsc::Sender<String>) {
    let mut ends = 0;
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => {
                // Ctrl-D on an empty line: not a yes. The terminal goes on; one that is gone says so again.
                ends += 1;
                if !terminal || ends > 1 {
                    return;
                }
            }
            Ok(_) => ends = 0,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], terminal: bool) -> Vec<String> {
        let (sender, mut receiver) = mpsc::channel(1000);
        read_lines(&mut &bytes[..], terminal, &sender);
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    #[test]
    fn lines_end_with_the_input() {
        assert_eq!(read(b"y\nno", false), ["y\n", "no"]);
        assert_eq!(read(b"", false), [""; 0]);
    }

    #[test]
    fn an_end_of_input_at_a_terminal_is_an_empty_answer() {
        assert_eq!(read(b"y\n", true), ["y\n", ""]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let lines = read(&[b'y'; 1000], false);
        assert!(lines.len() == 4 && lines.iter().all(|line| line.len() as u64 <= MAX_LINE));
    }
}
