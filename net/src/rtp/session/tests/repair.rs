use super::*;
use crate::srtp::OpenError;

/// The packets of `seqs` that are missing between the first and the last.
fn missing(mut seqs: Vec<ExtSeq>) -> u64 {
    seqs.sort_unstable();
    seqs[seqs.len() - 1].0 - seqs[0].0 + 1 - seqs.len() as u64
}

#[test]
fn random_loss_is_repaired_with_the_same_bytes() {
    let mut world = World::connected(3);
    world.run_for(Duration::from_millis(100));
    world.links[0].loss = 0.05;
    world.talk(Duration::from_secs(10), Some(0.8));
    world.links[0].loss = 0.0;
    world.talk(Duration::from_millis(500), Some(0.8));
    world.run_for(Duration::from_millis(500));
    for ssrc in [SOUND, PICTURES] {
        let seqs = world.of(1, ssrc);
        assert!(
            missing(seqs.clone()) * 1000 <= seqs.len() as u64,
            "{} of {} are missing",
            missing(seqs.clone()),
            seqs.len()
        );
    }
    let stats = world.peers[1].stats();
    assert!(stats.received.iter().all(|stream| stream.repaired > 0 && stream.lost <= 2), "{stats:?}");
    let repaired = world.received[1].iter().filter(|received| received.repaired).count() as u64;
    assert_eq!(repaired, stats.received.iter().map(|stream| stream.repaired).sum::<u64>());
    // Repairs that crossed an answer are refused as duplicates, nothing else.
    assert!(world.errors[1].iter().all(|error| *error == ReceiveError::Replayed), "{:?}", world.errors[1]);
    let sent = world.peers[0].stats();
    assert!(sent.sent.iter().all(|stream| stream.retransmitted > 0), "{sent:?}");
}

#[test]
fn loss_on_the_way_is_told_even_when_it_is_repaired() {
    let mut world = World::connected(4);
    world.links[0].loss = 0.2;
    world.talk(Duration::from_secs(4), Some(0.3));
    let fraction = world.peers[0].stats().sent[1].fraction_lost;
    assert!((0.05..0.4).contains(&fraction), "{fraction}");
}

#[test]
fn sequence_numbers_roll_over() {
    let mut world = World::connected(5);
    for stream in &mut world.peers[0].outgoing {
        stream.next = ExtSeq(0xfff0);
    }
    world.links[0].loss = 0.05;
    world.links[0].jitter = Duration::from_millis(15);
    world.talk(Duration::from_secs(2), Some(0.8));
    world.links[0] = Link::GOOD;
    world.talk(Duration::from_millis(200), Some(0.8));
    world.run_for(Duration::from_millis(400));
    for ssrc in [SOUND, PICTURES] {
        let seqs = world.of(1, ssrc);
        assert!(seqs.iter().any(|seq| seq.rollover() == 0) && seqs.iter().any(|seq| seq.rollover() == 1));
        assert!(missing(seqs) <= 1);
    }
}

#[test]
fn replayed_and_forged_packets_change_nothing() {
    let mut world = World::connected(6);
    world.run_for(Duration::from_millis(100));
    world.sound(0, 80);
    let mut out = Vec::new();
    while let Some(transmit) = world.peers[0].poll_transmit(world.now, &mut out) {
        if header::is_rtcp(&out) {
            out.clear();
            continue;
        }
        assert_eq!(transmit.len, out.len());
        break;
    }
    let pool = Pool::new(8);
    let packet = |bytes: &[u8]| pool.copy_of(bytes).expect("it fits");
    let now = world.now;
    let home = Path::Udp(address(A));
    let elsewhere = Path::Udp(address("198.51.100.66:666"));
    let mut forged = out.clone();
    forged[20] ^= 1;
    let error = world.peers[1].receive(now, elsewhere, packet(&forged)).expect_err("forged");
    assert_eq!(error, ReceiveError::Sealed(OpenError::Forged));
    assert!(world.peers[1].receive(now, home, packet(&out)).expect("genuine").is_some());
    let error = world.peers[1].receive(now, elsewhere, packet(&out)).expect_err("replayed");
    assert_eq!(error, ReceiveError::Replayed);
    assert_eq!(world.peers[1].stats().path, Some(home));
    let mut stranger = out.clone();
    stranger[8..12].copy_from_slice(&[9; 4]);
    let error = world.peers[1].receive(now, home, packet(&stranger)).expect_err("no such stream");
    assert_eq!(error, ReceiveError::UnknownSource(Ssrc(0x0909_0909)));
    assert_eq!(world.peers[1].receive(now, home, packet(&[0x80])).expect_err("cut"), ReceiveError::Malformed);
}

#[test]
fn a_replayed_report_does_not_move_the_path() {
    let mut world = World::connected(7);
    world.run_for(Duration::from_millis(1000));
    let now = world.now + Duration::from_millis(600);
    world.peers[0].handle_timeout(now);
    let mut out = Vec::new();
    world.peers[0].poll_transmit(now, &mut out).expect("a regular report");
    let pool = Pool::new(8);
    let deliver = |world: &mut World, path| {
        let packet = pool.copy_of(&out).expect("it fits");
        world.peers[1].receive(now, path, packet).map(|received| received.is_some())
    };
    assert_eq!(deliver(&mut world, Path::Udp(address(A))), Ok(false));
    let elsewhere = Path::Udp(address("198.51.100.66:666"));
    assert_eq!(deliver(&mut world, elsewhere), Err(ReceiveError::Replayed));
    assert_eq!(world.peers[1].stats().path, Some(Path::Udp(address(A))));
}

#[test]
fn a_payload_type_that_was_not_agreed_is_the_peers_fault() {
    let mut world = World::connected(8);
    world.peers[0].outgoing[0].plan.payload_type = crate::rtp::ids::PayloadType::JPEG;
    world.sound(0, 80);
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.errors[1], [ReceiveError::PayloadType { got: 26, expected: 96 }]);
}

#[test]
fn requests_of_every_stream_fit_their_packets() {
    let mut world = World::connected(9);
    world.run_for(Duration::from_millis(100));
    let session = &mut world.peers[1];
    while session.incoming.len() < MAX_STREAMS {
        let ssrc = Ssrc(session.incoming.len() as u32);
        session.add(StreamPlan { ssrc, ..plan(Direction::Receive, Codec::Jpeg) });
    }
    for stream in &mut session.incoming {
        // Those missing are so far apart that each takes an entry of its own.
        for seq in (1..18 * 130).filter(|seq| seq % 18 != 0) {
            stream.gaps.arrived(world.now, ExtSeq(seq), None);
        }
    }
    let now = world.now + Duration::from_millis(50);
    let asked = |session: &Session| session.incoming.iter().map(|stream| stream.gaps.asked()).collect::<Vec<_>>();
    let mut bytes = Vec::new();
    for _ in 0..MAX_STREAMS {
        bytes.clear();
        let Some(transmit) = session.poll_transmit(now, &mut bytes) else { break };
        assert!(transmit.len <= crate::buf::MAX_PACKET, "{} bytes in one packet", transmit.len);
    }
    assert!(asked(session).iter().all(|&count| count > 0), "{:?}", asked(session));
}
