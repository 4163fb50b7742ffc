use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::advance;

use super::*;

/// Direct writes and queued ones take turns as the other side reads; the bytes must not.
#[tokio::test]
async fn bytes_leave_in_order_and_all_of_them_before_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, (mut theirs, _)) = (dialled.expect("connected"), accepted.expect("accepted"));
    let (news, mut heard) = mpsc::channel(256);
    let mut tasks = JoinSet::new();
    let mut connection = Connection::new(ConnId(1), ours, false, &news, &mut tasks);

    let mut sent = Vec::new();
    let mut read = Vec::new();
    let mut queued = 0;
    for round in 0..400_usize {
        let piece: Vec<u8> = (0..round * 37 % 3000).map(|n| (n + round) as u8).collect();
        assert!(connection.send(&piece, 0));
        sent.extend_from_slice(&piece);
        queued += usize::from(connection.unsent() > 0);
        if round % 100 > 50 {
            let mut buffer = vec![0; 1 << 20];
            let len = theirs.read(&mut buffer).await.expect("read");
            read.extend_from_slice(&buffer[..len]);
        }
        while heard.try_recv().is_ok() {}
    }
    assert!(queued > 0, "some had to wait");
    drop(connection);
    theirs.read_to_end(&mut read).await.expect("read to the end");
    assert!(read == sent);
}

#[tokio::test]
async fn so_much_may_wait_and_pictures_beside_it() {
    const PIECE: usize = 64 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, _theirs) = (dialled.expect("connected"), accepted.expect("accepted"));
    let (news, _heard) = mpsc::channel(256);
    let mut connection = Connection::new(ConnId(1), ours, false, &news, &mut JoinSet::new());
    for pictures in [0, 3 << 20] {
        while connection.send(&[1; PIECE], pictures) {
            // What is said last, when nobody knows of pictures any more, comes behind those that wait.
            assert!(connection.unsent() > MAX_UNSENT + pictures - 1 || connection.send(b"!", 0));
        }
        let most = MAX_UNSENT + pictures;
        assert!((most..=most + 2 * PIECE).contains(&connection.unsent()), "{} of {most}", connection.unsent());
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_talking_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let mut stranger = TcpStream::connect(address).await.expect("listening");
    let (stream, _) = listener.accept().await.expect("connected");
    let (news, mut inbox) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    let connection = Connection::new(ConnId(1), stream, true, &news, &mut tasks);
    stranger.write_all(b"words").await.expect("connected");
    assert!(matches!(inbox.recv().await, Some((ConnId(1), News::Data(bytes))) if bytes == b"words"));

    drop(connection);
    let mut said = 0;
    while tasks.try_join_next().is_none() || !tasks.is_empty() {
        assert!(said < 1000, "still listened to after a hundred seconds");
        said += 1;
        // An error means that we were cut off.
        let _ = stranger.write_all(b"more").await;
        advance(Duration::from_millis(100)).await;
    }
}
