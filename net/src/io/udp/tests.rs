use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::buf::MAX_PACKET;

const SOON: Duration = Duration::from_secs(5);

fn bind(address: &str) -> Socket {
    Socket::bind(address.parse().expect("an address")).expect("bound")
}

fn batch() -> RecvBatch {
    RecvBatch::new(Pool::new(64))
}

/// Datagrams of `segment` bytes, each filled with its number.
fn train(count: usize, segment: usize, last: usize) -> Vec<u8> {
    let len = |index| if index + 1 == count { last } else { segment };
    (0..count).flat_map(|index| vec![index as u8; len(index)]).collect()
}

/// Receives `count` datagrams; also how many system calls and reads that took.
async fn receive(socket: &Socket, count: usize) -> (Vec<Datagram>, usize) {
    let (mut batch, mut datagrams, mut reads) = (batch(), Vec::new(), 0);
    while datagrams.len() < count {
        timeout(SOON, socket.recv(&mut batch)).await.expect("arrives").expect("received");
        reads += batch.filled;
        datagrams.extend(&mut batch);
    }
    (datagrams, reads)
}

async fn trains_arrive(from: &str, to: &str) {
    let (sender, receiver) = (bind(from), bind(to));
    let bytes = train(40, 1200, 7);
    let to = SocketAddr::new(receiver.local_addr().ip(), receiver.local_addr().port());
    sender.send(&SendBatch { from: None, to, bytes: &bytes, segment: 1200 }).await.expect("sent");
    let (datagrams, reads) = receive(&receiver, 40).await;
    for (index, datagram) in datagrams.iter().enumerate() {
        let len = if index == 39 { 7 } else { 1200 };
        assert_eq!(*datagram.packet, vec![index as u8; len], "datagram {index}");
        assert_eq!(datagram.from.port(), sender.local_addr().port());
    }
    assert_eq!(sender.stats(), Stats { sent: 40, lost: 0 });
    if sender.max_segments() > 1 && receiver.state.gro_segments() > 1 {
        assert!(reads <= 4, "offload is on, yet 40 datagrams took {reads} reads");
    }
}

#[tokio::test]
async fn a_train_arrives_whole_and_in_order() {
    trains_arrive("127.0.0.1:0", "127.0.0.1:0").await;
}

#[tokio::test]
async fn datagrams_leave_from_the_address_that_they_are_to_leave_from() {
    let receiver = bind("127.0.0.1:0");
    let senders = ["0.0.0.0:0", "[::]:0"].map(bind);
    for sender in &senders {
        let bytes = train(40, 1200, 7);
        let at = |from: &str| SendBatch {
            from: Some(from.parse().expect("an address")),
            to: receiver.local_addr(),
            bytes: &bytes,
            segment: 1200,
        };
        let comes_from = async |from: &str, expected: &str| {
            let taken = sender.try_send(&at(from));
            assert_eq!(taken, bytes.len(), "the buffer is large enough");
            let (datagrams, reads) = receive(&receiver, 40).await;
            let expected: IpAddr = expected.parse().expect("an address");
            assert!(datagrams.iter().all(|datagram| datagram.from.ip() == expected), "{from}");
            assert!(datagrams.iter().all(|datagram| datagram.from.port() == sender.local_addr().port()));
            if sender.max_segments() > 1 && receiver.state.gro_segments() > 1 {
                assert!(reads <= 4, "offload is on, yet 40 datagrams from {from} took {reads} reads");
            }
        };
        comes_from("127.0.0.2", "127.0.0.2").await;
        comes_from("127.0.0.3", "127.0.0.3").await;
        comes_from("::ffff:127.0.0.4", "127.0.0.4").await;
        // What cannot be told to the kernel is left to it.
        comes_from("::1", "127.0.0.1").await;
        comes_from("0.0.0.0", "127.0.0.1").await;
        assert_eq!(sender.stats(), Stats { sent: 200, lost: 0 });
        assert_eq!(sender.try_send(&at("192.0.2.77")), bytes.len(), "not ours, and as good as lost");
        assert_eq!(sender.stats(), Stats { sent: 200, lost: 40 });
        // Nobody else pays for it.
        comes_from("127.0.0.2", "127.0.0.2").await;
        comes_from("::1", "127.0.0.1").await;
    }
    // A socket that has an address has no choice.
    let one = bind("127.0.0.5:0");
    let from = Some(IpAddr::from([127, 0, 0, 2]));
    assert_eq!(one.try_send(&SendBatch { from, to: receiver.local_addr(), bytes: b"one", segment: 0 }), 3);
    assert_eq!(receive(&receiver, 1).await.0[0].from, one.local_addr());
}

#[tokio::test]
async fn addresses_that_came_and_went_are_forgotten() {
    let (sender, receiver) = (bind("0.0.0.0:0"), bind("127.0.0.1:0"));
    for n in 0..MAX_SOURCES as u16 + 50 {
        let [high, low] = n.to_be_bytes();
        let from = IpAddr::from([127, 1, high, low]);
        assert_eq!(
            sender.try_send(&SendBatch { from: Some(from), to: receiver.local_addr(), bytes: b"x", segment: 0 }),
            1
        );
        assert_eq!(receive(&receiver, 1).await.0[0].from.ip(), from);
    }
    assert!(sender.sources.lock().expect("sound").len() <= MAX_SOURCES);
}

#[tokio::test]
async fn a_train_arrives_over_ipv6() {
    if Socket::bind("[::1]:0".parse().expect("an address")).is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    trains_arrive("[::1]:0", "[::1]:0").await;
}

#[tokio::test]
async fn one_datagram_at_a_time_is_the_same() {
    let (sender, receiver) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let bytes = train(10, 500, 3);
    let way = Way { state: &sender.state, from: None, destination: receiver.local_addr(), segment: 500 };
    assert_eq!(sender.one_by_one(&way, &bytes), bytes.len());
    let (datagrams, _) = receive(&receiver, 10).await;
    let lengths = datagrams.iter().map(|datagram| datagram.packet.len()).collect::<Vec<_>>();
    assert_eq!(lengths, [500, 500, 500, 500, 500, 500, 500, 500, 500, 3]);
    assert_eq!(sender.stats(), Stats { sent: 10, lost: 0 });
}

/// More than the kernel cuts at once, and more than its buffers hold.
#[tokio::test]
async fn long_batches_are_sent_in_parts() {
    let (sender, receiver) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let bytes = train(200, 1200, 1200);
    let to = receiver.local_addr();
    let batch = SendBatch { from: None, to, bytes: &bytes, segment: 1200 };
    let (sent, (datagrams, _)) = tokio::join!(sender.send(&batch), receive(&receiver, 100));
    sent.expect("sent");
    assert!(datagrams.iter().zip(0_u8..).all(|(datagram, index)| *datagram.packet == vec![index; 1200]));
    assert_eq!(sender.stats().sent, 200);
}

#[tokio::test]
async fn a_dual_stack_socket_speaks_plain_ipv4() {
    let (any, v4) = (bind("[::]:0"), bind("127.0.0.1:0"));
    let to = SocketAddr::new("127.0.0.1".parse().expect("v4"), any.local_addr().port());
    assert_eq!(v4.try_send(&SendBatch { from: None, to, bytes: b"ping", segment: 0 }), 4);
    let (datagrams, _) = receive(&any, 1).await;
    assert_eq!(datagrams[0].from, v4.local_addr(), "no mapped address");
    assert_eq!(datagrams[0].to, Some(to.ip()), "no mapped address");
    assert_eq!(any.try_send(&SendBatch { from: None, to: datagrams[0].from, bytes: b"pong", segment: 0 }), 4);
    let (datagrams, _) = receive(&v4, 1).await;
    assert_eq!((datagrams[0].from, &*datagrams[0].packet), (to, &b"pong"[..]));
}

#[tokio::test]
async fn a_link_local_source_keeps_its_scope() {
    let Some(local) = crate::io::interfaces::local_addresses().expect("told").into_iter().find(|at| at.scope != 0)
    else {
        println!("skipped: this host has no link-local IPv6 address");
        return;
    };
    let socket = bind("[::]:0");
    let to = local.with_port(socket.local_addr().port());
    assert_eq!(socket.try_send(&SendBatch { from: None, to, bytes: b"self", segment: 0 }), 4);
    assert_eq!(socket.stats().lost, 0);
    assert_eq!(receive(&socket, 1).await.0[0].from, to);
}

#[tokio::test]
async fn what_cannot_be_sent_is_lost_and_harms_nothing() {
    let (v4, receiver) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let lost = |to: &str, bytes: &[u8], segment| {
        let before = v4.stats().lost;
        let to = to.parse().expect("an address");
        assert_eq!(v4.try_send(&SendBatch { from: None, to, bytes, segment }), bytes.len(), "{to}");
        v4.stats().lost - before
    };
    assert_eq!(lost("[2001:db8::1]:9", &[0; 250], 100), 3, "the other family");
    assert_eq!(lost("192.0.2.9:9", &[0; 250], 100), 3, "no way there from a loopback address");
    assert_eq!(lost("127.0.0.1:9", &[0; 65_600], 0), 1, "longer than UDP has");
    assert_eq!(lost("127.0.0.1:0", &[], 0), 0);
    assert_eq!(v4.try_send(&SendBatch { from: None, to: receiver.local_addr(), bytes: b"still here", segment: 0 }), 10);
    assert_eq!(&*receive(&receiver, 1).await.0[0].packet, b"still here");
}

/// A peer may tell us any address.
#[tokio::test]
async fn an_invalid_address_does_not_end_offload() {
    let socket = bind("[::]:0");
    let segments = socket.max_segments();
    let v4 = bind("0.0.0.0:0");
    for (socket, to) in [
        (&socket, "[fe80::1]:9"),
        (&socket, "[::1]:0"),
        (&socket, "127.0.0.1:0"),
        (&socket, "[ff02::1]:9"),
        (&socket, "[::ffff:255.255.255.255]:9"),
        (&v4, "127.0.0.1:0"),
        (&v4, "255.255.255.255:9"),
        (&v4, "224.0.0.1:9"),
    ] {
        assert_eq!(
            socket.try_send(&SendBatch { from: None, to: to.parse().expect("an address"), bytes: b"?", segment: 0 }),
            1
        );
        assert_eq!(socket.max_segments(), segments, "{to}");
    }
}

#[tokio::test]
async fn a_refused_datagram_does_not_disturb_reading() {
    let (socket, peer) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let nobody = bind("127.0.0.1:0").local_addr();
    for _ in 0..3 {
        assert_eq!(socket.try_send(&SendBatch { from: None, to: nobody, bytes: b"anyone?", segment: 0 }), 7);
    }
    peer.send(&SendBatch { from: None, to: socket.local_addr(), bytes: b"hello", segment: 0 }).await.expect("sent");
    assert_eq!(&*receive(&socket, 1).await.0[0].packet, b"hello");
}

#[tokio::test]
async fn datagrams_of_no_use_are_passed_over() {
    let (sender, receiver) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let to = receiver.local_addr();
    let plain = UdpSocket::bind("127.0.0.1:0").expect("bound");
    plain.send_to(&[], to).expect("sent");
    sender.send(&SendBatch { from: None, to, bytes: &[1; MAX_PACKET + 1], segment: 0 }).await.expect("sent");
    sender.send(&SendBatch { from: None, to, bytes: &[2; MAX_PACKET], segment: 0 }).await.expect("sent");
    let mut batch = batch();
    let mut datagrams = Vec::new();
    while datagrams.is_empty() {
        timeout(SOON, receiver.recv(&mut batch)).await.expect("arrives").expect("received");
        datagrams.extend(&mut batch);
    }
    assert_eq!(*datagrams[0].packet, [2; MAX_PACKET]);
    assert_eq!(batch.oversize(), 1);
}

#[tokio::test]
async fn an_abandoned_receive_loses_nothing() {
    let (sender, receiver) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let mut batch = batch();
    assert!(timeout(Duration::from_millis(5), receiver.recv(&mut batch)).await.is_err());
    let bytes = train(3, 10, 10);
    sender.send(&SendBatch { from: None, to: receiver.local_addr(), bytes: &bytes, segment: 10 }).await.expect("sent");
    timeout(SOON, receiver.recv(&mut batch)).await.expect("arrives").expect("received");
    assert_eq!(*batch.next().expect("the first").packet, [0; 10]);
    timeout(SOON, receiver.recv(&mut batch)).await.expect("at once").expect("received");
    assert_eq!(*batch.next().expect("the second, not overwritten").packet, [1; 10]);
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let socket = bind("127.0.0.1:0");
    let error = Socket::bind(socket.local_addr()).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}
