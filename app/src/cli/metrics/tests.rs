use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::engine::snapshot::Served;

/// Asks a server of its own and returns all of the answer.
async fn ask(snapshot: Snapshot, request: &str) -> String {
    let (_sender, receiver) = watch::channel(snapshot);
    let address = serve(SocketAddr::from(([127, 0, 0, 1], 0)), receiver).await.expect("a port");
    let mut stream = TcpStream::connect(address).await.expect("accepted");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer and the end");
    answer
}

#[tokio::test]
async fn everything_has_a_name_a_type_and_a_value() {
    let snapshot = Snapshot {
        phase: Phase::Connected,
        round_trip: Some(Duration::from_millis(23)),
        sent: Flow { frames_per_second: 29.5, video_bitrate: 3_000_000, loss: 0.25, ..Flow::default() },
        served: Served { joined: 5, refused: 2, packets: 1000, bytes: 1_200_000, skipped: 7 },
        ..Snapshot::default()
    };
    let answer = ask(snapshot, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("application/openmetrics-text"), "{answer}");
    for line in [
        "visavis_call_connected 1.0",
        "# TYPE visavis_viewers gauge",
        "visavis_viewers{kind=\"player\"} 0.0",
        "visavis_round_trip_seconds 0.023",
        "visavis_pictures_per_second{direction=\"sent\"} 29.5",
        "visavis_loss_ratio{direction=\"sent\"} 0.25",
        "visavis_bits_per_second{direction=\"sent\",kind=\"video\"} 3000000.0",
        "visavis_players_joined_total 5",
        "visavis_players_refused_total 2",
        "visavis_players_bytes_total 1200000",
        "visavis_players_skipped_total 7",
        "# EOF",
    ] {
        assert!(answer.lines().any(|other| other == line), "{line}\n{answer}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let status = |answer: String| answer.lines().next().unwrap_or_default().to_owned();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(ask(Snapshot::default(), &get("/")).await), "HTTP/1.1 404 Not Found");
    let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(ask(Snapshot::default(), post).await), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status(ask(Snapshot::default(), "HELLO\r\n\r\n").await), "HTTP/1.1 400 Bad Request");
    let bomb = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(64 * 1024));
    assert!(status(ask(Snapshot::default(), &bomb).await).starts_with("HTTP/1.1 4"));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_keeps_nobody_out() {
    let (_sender, receiver) = watch::channel(Snapshot::default());
    let address = serve(SocketAddr::from(([127, 0, 0, 1], 0)), receiver).await.expect("a port");
    let mut silent = Vec::new();
    for _ in 0..MAX_READERS {
        silent.push(TcpStream::connect(address).await.expect("accepted"));
    }
    let mut late = TcpStream::connect(address).await.expect("accepted");
    late.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.expect("its turn comes");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
