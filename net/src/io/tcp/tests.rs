use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn parse(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn listen(address: &str) -> Listener {
    Listener::bind(parse(address)).expect("bound")
}

async fn accept(listener: &Listener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut taken = Vec::new();
    listener.accept(&mut taken).await?;
    assert_eq!(taken.len(), 1);
    let (accepted, from) = taken.remove(0);
    Ok((accepted.keep()?, from))
}

/// A port on which nothing listens.
fn nobody() -> SocketAddr {
    listen("127.0.0.1:0").local_addr()
}

/// A listener that takes no more connections: attempts hang. Keep what it returns.
async fn full() -> Option<(SocketAddr, socket2::Socket, Vec<TcpStream>)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, Type::STREAM, None).expect("made");
    socket.bind(&parse("127.0.0.1:0").into()).expect("bound");
    socket.listen(0).expect("listens");
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    let mut queue = Vec::new();
    for _ in 0..8 {
        match timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(stream) => queue.push(stream.expect("connected")),
            Err(_) => return Some((address, socket, queue)),
        }
    }
    None
}

#[tokio::test]
async fn a_connection_has_its_options_at_both_ends() {
    let listener = listen("127.0.0.1:0");
    let addresses = [listener.local_addr()];
    let (dialled, accepted) = tokio::join!(dial(&addresses, LIMIT), accept(&listener));
    let ((mut ours, to), (mut theirs, from)) = (dialled.expect("connected"), accepted.expect("accepted"));
    assert_eq!((to, from), (listener.local_addr(), ours.local_addr().expect("bound")));
    prepare(&theirs);
    for stream in [&ours, &theirs] {
        let socket = SockRef::from(stream);
        assert!(socket.tcp_nodelay().expect("told") && socket.keepalive().expect("told"));
        let segment = socket.tcp_mss().expect("told");
        assert!(segment <= MAX_SEGMENT, "{segment}");
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_notsent_lowat().expect("told"), NOT_SENT_LOW_WATER);
    }
    ours.write_all(b"hello").await.expect("written");
    let mut bytes = [0; 5];
    theirs.read_exact(&mut bytes).await.expect("read");
    assert_eq!(&bytes, b"hello");
}

/// What the kernel holds of what was written to the connected IPv4 socket at this port. proc_net_tcp(5).
#[cfg(target_os = "linux")]
fn held_by_the_kernel(port: u16) -> u32 {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("read");
    let local = format!(":{port:04X}");
    let connected = |line: &&str| {
        let mut words = line.split_whitespace();
        words.nth(1).is_some_and(|address| address.ends_with(&local)) && words.nth(1) == Some("01")
    };
    let line = table.lines().find(connected).expect("listed");
    let queues = line.split_whitespace().nth(4).expect("queues");
    u32::from_str_radix(queues.split(':').next().expect("sent"), 16).expect("a number")
}

/// What the kernel holds unsent stays small: newer media can still overtake in our own queue.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_takes_little_that_it_cannot_send() {
    let listener = listen("127.0.0.1:0");
    let addresses = [listener.local_addr()];
    let (dialled, accepted) = tokio::join!(dial(&addresses, LIMIT), accept(&listener));
    let ((ours, _), (theirs, _)) = (dialled.expect("connected"), accepted.expect("accepted"));
    let mut taken = 0;
    while let Ok(Ok(())) = timeout(Duration::from_millis(100), ours.writable()).await {
        match try_write(&ours, &[0; 1024]) {
            Ok(count) => taken += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    // All that was sent has been acknowledged by now, so what the kernel still holds it could not send.
    let held = held_by_the_kernel(ours.local_addr().expect("bound").port());
    assert!(taken > 1024 && held <= 1024, "{held} bytes of {taken}");

    // What is too much for the kernel leaves nevertheless, in order.
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let mut read = vec![0; taken + sent.len()];
    let mut theirs = theirs;
    let (written, all) = tokio::join!(write_all(&ours, &sent), theirs.read_exact(&mut read));
    written.expect("written");
    all.expect("read");
    assert!(read[taken..] == sent);
}

#[tokio::test]
async fn a_dual_stack_listener_shows_plain_ipv4() {
    let listener = listen("[::]:0");
    let addresses = [SocketAddr::new(parse("127.0.0.1:0").ip(), listener.local_addr().port())];
    let (dialled, accepted) = tokio::join!(dial(&addresses, LIMIT), accept(&listener));
    let (stream, from) = (dialled.expect("connected").0, accepted.expect("accepted").1);
    assert_eq!(from, stream.local_addr().expect("bound"));
    assert!(from.is_ipv4());
}

#[tokio::test]
async fn all_that_wait_are_taken_in_few_turns() {
    let listener = listen("127.0.0.1:0");
    let mut callers = Vec::new();
    for _ in 0..MAX_ACCEPTED + 3 {
        callers.push(TcpStream::connect(listener.local_addr()).await.expect("there is room in the queue"));
    }
    let mut taken = Vec::new();
    for count in [MAX_ACCEPTED, 3] {
        listener.accept(&mut taken).await.expect("taken");
        assert_eq!(taken.len(), count);
        // What has not been looked at is not added to.
        listener.accept(&mut taken).await.expect("there are some");
        assert_eq!(taken.len(), count);
        let from: Vec<_> = taken.drain(..).map(|(_, from)| from).collect();
        let made: Vec<_> = callers.drain(..count).map(|caller| caller.local_addr().expect("bound")).collect();
        assert_eq!(from, made);
    }
    assert!(timeout(Duration::from_millis(50), listener.accept(&mut taken)).await.is_err(), "nobody else waits");
}

#[tokio::test]
async fn each_address_that_failed_is_named_with_its_reason() {
    let (first, second) = (nobody(), nobody());
    let error = dial(&[first, second], LIMIT).await.expect_err("nobody there");
    assert_eq!(error.attempts.len(), 2);
    assert_eq!(
        error.to_string(),
        format!(
            "could not connect: {first} refused: nothing listens on that port; \
             {second} refused: nothing listens on that port"
        )
    );
    assert_eq!(dial(&[], LIMIT).await.expect_err("nowhere").to_string(), "no address to connect to");
}

#[tokio::test]
async fn a_failed_address_costs_no_head_start() {
    let listener = listen("127.0.0.1:0");
    let addresses = [nobody(), nobody(), nobody(), listener.local_addr()];
    // Three head starts of 250 ms would not fit.
    let (_stream, to) = dial(&addresses, Duration::from_millis(600)).await.expect("connected");
    assert_eq!(to, listener.local_addr());
}

#[tokio::test]
async fn a_silent_address_delays_the_next_but_does_not_stop_it() {
    let Some((silent, _listener, _queue)) = full().await else {
        println!("skipped: this system never refuses to queue a connection");
        return;
    };
    let listener = listen("127.0.0.1:0");
    let (_stream, to) = dial(&[silent, listener.local_addr()], Duration::from_secs(2)).await.expect("connected");
    assert_eq!(to, listener.local_addr());

    let error = dial(&[silent, nobody()], Duration::from_millis(400)).await.expect_err("nobody answers");
    let faults = error.attempts.iter().map(|(address, fault)| (*address, fault.to_string())).collect::<Vec<_>>();
    assert_eq!(faults.len(), 2);
    assert!(faults.contains(&(silent, "no answer in time".to_owned())), "{faults:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_address_not_reached_in_time_counts_as_no_answer() {
    let Some((silent, _listener, _queue)) = full().await else {
        println!("skipped: this system never refuses to queue a connection");
        return;
    };
    let never_tried = parse("127.0.0.1:9");
    let error = dial(&[silent, never_tried], Duration::from_millis(50)).await.expect_err("nobody answers");
    assert!(error.attempts.iter().all(|(_, fault)| matches!(fault, DialFault::TimedOut)), "{error}");
    assert_eq!(error.attempts.len(), 2);
}

#[test]
fn faults_are_told_apart() {
    let fault = |kind| DialFault::from(io::Error::from(kind));
    assert!(matches!(fault(ErrorKind::ConnectionRefused), DialFault::Refused));
    assert!(matches!(fault(ErrorKind::HostUnreachable), DialFault::Unreachable));
    assert!(matches!(fault(ErrorKind::NetworkUnreachable), DialFault::Unreachable));
    assert!(matches!(fault(ErrorKind::TimedOut), DialFault::TimedOut));
    assert!(matches!(fault(ErrorKind::OutOfMemory), DialFault::Other(_)));
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let listener = listen("127.0.0.1:0");
    assert_eq!(Listener::bind(listener.local_addr()).expect_err("taken").kind(), ErrorKind::AddrInUse);
}
