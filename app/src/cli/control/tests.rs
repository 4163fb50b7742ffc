use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::claim::{Claim, ClaimError};
use super::client::ClientError;
use super::*;
use crate::cli::output::Style;
use crate::cli::output::tests::screen;
use crate::exit::Exit;

fn refused(line: &str) -> (String, String) {
    let Reply(reply) = Request::read(line.as_bytes()).expect_err(line);
    assert_eq!(reply["ok"], false);
    (reply["error"].as_str().expect("a word").to_owned(), reply["text"].as_str().expect("a sentence").to_owned())
}

#[test]
fn what_a_client_writes_is_what_is_read() {
    let mutes = [Source::Microphone, Source::Camera]
        .into_iter()
        .flat_map(|source| [Switch::On, Switch::Off, Switch::Toggle].map(|to| Request::Mute { source, to }));
    for request in
        [Request::Status, Request::Hangup, Request::Accept, Request::Decline, Request::Reload].into_iter().chain(mutes)
    {
        let line = serde_json::to_string(&request).expect("written");
        assert_eq!(Request::read(line.as_bytes()), Ok(request), "{line}");
    }
    assert_eq!(Request::read(br#"{"verb":"hangup","reason":"of a later version"}"#), Ok(Request::Hangup));
    let all = Request::Mute { source: Source::Microphone, to: Switch::On };
    assert_eq!(Request::read(br#"{"verb":"mute"}"#), Ok(all));
}

#[test]
fn another_version_is_told_what_this_one_knows() {
    let (error, text) = refused(r#"{"verb":"hold"}"#);
    assert_eq!(error, "unknown-verb");
    assert!(text.contains("\"hold\"") && text.contains("status, hangup, accept, decline, mute, reload"), "{text}");
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    assert!(refused(&format!(r#"{{"verb":"{}"}}"#, "x".repeat(3000))).1.len() < 300);
}

#[test]
fn what_is_no_request_is_refused() {
    for line in ["", "\n", "status", "{}", "[]", "3", r#"{"verb":3}"#, r#"{"verb":"mute","to":"maybe"}"#, "\u{fffd}"] {
        assert_eq!(refused(line).0, "malformed", "{line}");
    }
    refused(&"[".repeat(4000));
    assert!(Request::read(b"{\"verb\":\"\xff\"}").is_err());
}

/// A running instance that says what it was asked for, and a client.
fn attended() -> (UnixStream, mpsc::Receiver<Asked>) {
    let (client, stream) = UnixStream::pair().expect("sockets");
    let (desk, requests) = mpsc::channel(1);
    tokio::spawn(server::attend(stream, desk, server::Answers::new()));
    (client, requests)
}

async fn reply(requests: &mut mpsc::Receiver<Asked>) {
    let asked = requests.recv().await.expect("a request");
    asked.reply.send(Reply::done(&format!("{:?}", asked.request))).expect("somebody waits");
}

async fn read_line(client: &mut UnixStream) -> Value {
    let mut line = Vec::new();
    loop {
        match client.read_u8().await.expect("an answer") {
            b'\n' => return serde_json::from_slice(&line).expect("an object"),
            byte => line.push(byte),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_line_has_its_answer() {
    let (mut client, mut requests) = attended();
    client.write_all(b"{\"verb\":\"status\"}\n{\"verb\":\"hold\"}\n{\"verb\":\"accept\"}\n").await.expect("sent");
    reply(&mut requests).await;
    assert_eq!(read_line(&mut client).await["text"], "Status");
    assert_eq!(read_line(&mut client).await["error"], "unknown-verb");
    reply(&mut requests).await;
    assert_eq!(read_line(&mut client).await["text"], "Accept");
    // A last line without its end counts.
    client.write_all(b"{\"verb\":\"hangup\"}").await.expect("sent");
    client.shutdown().await.expect("said");
    reply(&mut requests).await;
    assert_eq!(read_line(&mut client).await["text"], "Hangup");
    assert_eq!(client.read(&mut [0]).await.expect("the end"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_line_without_end_takes_no_memory() {
    let (mut client, mut requests) = attended();
    client.write_all(&[b' '; 5000]).await.expect("sent");
    assert_eq!(read_line(&mut client).await["error"], "malformed");
    assert!(requests.recv().await.is_none(), "nothing was asked, and the client was sent away");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_sent_away() {
    let (mut client, _requests) = attended();
    client.write_all(b"{\"verb\"").await.expect("sent");
    assert_eq!(client.read(&mut [0]).await.expect("the end"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_sent_away() {
    let (mut client, mut requests) = attended();
    let (mut asked, mut sent) = (0_u32, Ok(()));
    while sent.is_ok() && asked < 100_000 {
        // A request that fits the buffer; its answer will not at some time.
        sent = client.write_all(b"{\"verb\":\"status\"}\n").await;
        while let Ok(Some(request)) = tokio::time::timeout(Duration::from_millis(1), requests.recv()).await {
            let _ = request.reply.send(Reply::done(&"x".repeat(10_000)));
            asked += 1;
        }
    }
    assert!(sent.is_err(), "{asked} answers and still there");
}

#[test]
fn one_instance_has_the_socket_and_a_dead_one_gives_it_up() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("run");
    let first = Claim::make(&folder).expect("the first");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let socket = folder.join("control.sock");
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    let error = Claim::make(&folder).expect_err("the second");
    assert!(matches!(error, ClaimError::Running));
    assert!(error.to_string().contains("--no-control"), "{error}");
    assert!(socket.exists(), "the second takes nothing from the first");
    drop(first);
    assert!(!socket.exists());
    // Killed: nobody removed it.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket of nobody"));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("opened to others");
    let _again = Claim::make(&folder).expect("in its place");
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
}

#[test]
fn who_cannot_be_reached_is_said() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (screen, ..) = screen(Style::Plain);
    let asked = |folder: &Path| client::run(folder, Request::Status, &screen);
    assert!(matches!(asked(&dir.path().join("nothing")), Err(ClientError::NotRunning)));
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("control.sock")).expect("a socket of nobody"));
    assert!(matches!(asked(dir.path()), Err(ClientError::NotRunning)));
}

#[tokio::test]
async fn a_command_reaches_the_one_that_runs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let claim = Claim::make(dir.path()).expect("ours");
    let (mut requests, _answers) = server::serve(&claim).expect("listening");
    tokio::spawn(async move {
        while let Some(asked) = requests.recv().await {
            let reply = match asked.request {
                Request::Hangup => Reply::refused(Refusal::NoCall, "no call"),
                Request::Accept => Reply::refused(Refusal::Stopping, "the end"),
                other => Reply::done(&format!("{other:?}")),
            };
            let _ = asked.reply.send(reply);
        }
    });
    for (request, style, exit, out, err) in [
        (Request::Status, Style::Plain, Exit::Ended, "Status\n", ""),
        (Request::Status, Style::Json, Exit::Ended, "{\"event\":\"reply\",\"ok\":true,\"text\":\"Status\"}\n", ""),
        (Request::Hangup, Style::Plain, Exit::NoCall, "", "visavis: no call\n"),
        (Request::Accept, Style::Plain, Exit::Failed, "", "visavis: the end\n"),
    ] {
        let (screen, shown, complained) = screen(style);
        let folder = dir.path().to_owned();
        let ran = tokio::task::spawn_blocking(move || client::run(&folder, request, &screen));
        assert_eq!(ran.await.expect("no panic").expect("an answer"), exit);
        assert_eq!((shown.text().as_str(), complained.text().as_str()), (out, err));
    }
}

#[test]
fn who_ends_an_instance_hears_of_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let claim = Claim::make(dir.path()).expect("ours");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut client = runtime.block_on(async {
        let (mut requests, answers) = server::serve(&claim).expect("listening");
        let mut client = UnixStream::connect(dir.path().join("control.sock")).await.expect("accepted");
        client.write_all(b"{\"verb\":\"hangup\"}\n").await.expect("sent");
        let asked = requests.recv().await.expect("a request");
        // As soon as it is answered all is over, and nobody takes requests.
        asked.reply.send(Reply::done("Hung up.")).expect("somebody waits");
        drop(requests);
        answers.written().await;
        client.into_std().expect("a socket")
    });
    runtime.shutdown_background();
    client.set_nonblocking(false).expect("a socket");
    let mut reply = String::new();
    std::io::Read::read_to_string(&mut client, &mut reply).expect("read");
    assert_eq!(reply, "{\"event\":\"reply\",\"ok\":true,\"text\":\"Hung up.\"}\n");
}

#[tokio::test]
async fn one_too_many_is_told_so() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let claim = Claim::make(dir.path()).expect("ours");
    let _served = server::serve(&claim).expect("listening");
    let mut clients = Vec::new();
    for _ in 0..17 {
        clients.push(UnixStream::connect(dir.path().join("control.sock")).await.expect("accepted"));
    }
    assert_eq!(read_line(&mut clients[16]).await["error"], "too-many-clients");
    // One leaves, and there is room again.
    drop(clients.split_off(15));
    loop {
        let mut client = UnixStream::connect(dir.path().join("control.sock")).await.expect("accepted");
        client.write_all(b"{\"verb\":\"hold\"}\n").await.expect("sent");
        if read_line(&mut client).await["error"] == "unknown-verb" {
            break;
        }
    }
}
