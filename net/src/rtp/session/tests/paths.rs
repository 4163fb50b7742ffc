use super::*;

const UDP_B: fn() -> Path = || Path::Udp(address(B));

fn sounds_since(world: &World, from: Instant) -> usize {
    world.received[1].iter().filter(|received| received.ssrc == SOUND && received.arrival >= from).count()
}

#[test]
fn blocked_datagrams_leave_the_control_connection() {
    let mut world = World::connected(10);
    for link in &mut world.links {
        link.cut = true;
    }
    world.talk(Duration::from_secs(2), Some(0.5));
    assert_eq!(world.peers[0].stats().path, Some(Path::Interleaved));
    assert_eq!(world.peers[1].stats().path, Some(Path::Interleaved));
    assert!(sounds_since(&world, world.start) >= 98);
    assert!(world.of(1, PICTURES).len() > 50);
}

#[test]
fn a_dead_path_is_left_and_taken_again() {
    let mut world = World::connected(11);
    world.talk(Duration::from_secs(1), Some(0.5));
    assert_eq!(world.peers[0].stats().path, Some(UDP_B()));
    for link in &mut world.links {
        link.cut = true;
    }
    world.talk(Duration::from_secs(2), Some(0.5));
    let fallen = world.now;
    assert_eq!(world.peers.each_ref().map(|peer| peer.stats().path), [Some(Path::Interleaved); 2]);
    world.talk(Duration::from_secs(1), Some(0.5));
    assert!(sounds_since(&world, fallen) >= 48);
    for link in &mut world.links {
        link.cut = false;
    }
    world.talk(Duration::from_millis(2500), Some(0.5));
    assert_eq!(world.peers[0].stats().path, Some(UDP_B()));
    assert_eq!(world.peers[1].stats().path, Some(Path::Udp(address(A))));
}

#[test]
fn a_one_way_block_moves_both_ways_to_the_control_connection() {
    let mut world = World::connected(12);
    world.links[1].cut = true;
    world.talk(Duration::from_millis(1500), Some(0.5));
    assert_eq!(world.peers[0].stats().path, Some(Path::Interleaved), "no echo ever came");
    assert_eq!(world.peers[1].stats().path, Some(Path::Interleaved), "its own probes were never answered");
}

#[test]
fn an_address_that_changes_is_followed() {
    let mut world = World::connected(13);
    world.talk(Duration::from_secs(1), Some(0.5));
    let moved = address("203.0.113.9:4242");
    world.addresses[0] = moved;
    world.talk(Duration::from_millis(300), Some(0.5));
    assert_eq!(world.peers[1].stats().path, Some(Path::Udp(moved)));
    world.talk(Duration::from_secs(3), Some(0.5));
    assert_eq!(world.peers[1].stats().path, Some(Path::Udp(moved)));
    assert_eq!(world.peers[0].stats().path, Some(UDP_B()));
}

#[test]
fn a_quiet_path_stays_alive() {
    let mut world = World::connected(14);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.peers.each_ref().map(|peer| peer.stats().path), [Some(UDP_B()), Some(Path::Udp(address(A)))]);
    let heard = world.peers[0].last_heard().expect("reports");
    assert!(world.now - heard < Duration::from_millis(600));
    assert!(world.transmits[0] < 20 * 3, "{} transmits in 20 s of silence", world.transmits[0]);
}

#[test]
fn media_waits_while_the_control_connection_is_full() {
    let mut world = World::new(15);
    world.streams();
    world.peers[0].add_candidate(world.now, Path::Interleaved);
    world.settle();
    world.peers[0].set_backlog(200 * 1024);
    let now = world.now;
    for n in 0..50 {
        world.now = now + Duration::from_millis(20) * n;
        assert_eq!(world.sound(n * 960, 80), Sent::Queued);
        assert_eq!(world.picture(n * 1800, 5000), Sent::Queued);
        let mut out = Vec::new();
        while world.peers[0].poll_transmit(world.now, &mut out).is_some() {
            assert!(out[1] == RTCP_CHANNEL, "only reports may leave");
            out.clear();
            world.peers[0].set_backlog(200 * 1024);
        }
        assert!(world.peers[0].poll_timeout().is_none_or(|at| at > world.now), "it must not spin");
    }
    world.peers[0].set_backlog(1 << 20);
    world.now += Duration::from_secs(1);
    assert!(world.peers[0].poll_transmit(world.now, &mut Vec::new()).is_none());
    assert_eq!(world.peers[0].poll_timeout(), None, "reports wait too when nothing moves");
    world.peers[0].set_backlog(0);
    let mut out = Vec::new();
    let mut frames = Vec::new();
    while let Some(transmit) = world.peers[0].poll_transmit(world.now, &mut out) {
        assert_eq!((transmit.path, transmit.segment), (Path::Interleaved, transmit.len));
        let mut report = Vec::new();
        let more = world.peers[0].poll_transmit(world.now, &mut report);
        assert!(more.is_none() || report[1] == RTCP_CHANNEL, "not before it is written");
        assert!(out.len() < 2 * 1_400, "{} bytes at once", out.len());
        let mut rest = &out[..];
        while let [b'$', channel, high, low, more @ ..] = rest {
            frames.push(*channel);
            rest = &more[usize::from(u16::from_be_bytes([*high, *low]))..];
        }
        out.clear();
        world.peers[0].set_backlog(0);
    }
    let media = |channel| frames.iter().position(|other| *other == channel);
    assert!(media(0) < media(2), "sound goes first");
    assert!(frames.iter().filter(|channel| **channel == 0).count() <= 25, "old sound is not worth sending");
    assert!(frames.contains(&2), "the newest picture is");
    let stats = world.peers[0].stats();
    assert!(stats.sent[0].dropped >= 25 && stats.sent[1].dropped >= 40, "{stats:?}");
}

#[test]
fn a_control_connection_that_halts_for_a_moment_costs_no_more_than_that() {
    let mut world = World::connected(18);
    for link in &mut world.links {
        link.cut = true;
    }
    world.talk(Duration::from_secs(5), Some(0.8));
    let budget = |world: &World| world.peers[0].stats().budget;
    let before = budget(&world);
    assert!(before > 10_000_000, "{before}");
    world.set_halted(true);
    world.talk(Duration::from_millis(250), Some(0.5));
    let resumed = world.now;
    world.set_halted(false);
    world.talk(Duration::from_secs(1), Some(0.5));
    assert!(budget(&world) >= before, "{} after {before}", budget(&world));
    let first = |ssrc| world.received[1].iter().find(|received| received.ssrc == ssrc && received.arrival > resumed);
    let sound = first(SOUND).expect("sound");
    assert!(sound.arrival <= resumed + Duration::from_millis(11), "sound is first");
    assert_eq!(world.peers[0].stats().sent[0].dropped, 0);

    world.set_halted(true);
    world.talk(Duration::from_secs(1), Some(0.5));
    assert!(budget(&world) < before / 2, "{} after {before}", budget(&world));
}

#[test]
fn goodbye_is_said_once_and_ends_media() {
    let mut world = World::connected(16);
    world.talk(Duration::from_millis(300), Some(0.5));
    world.peers[0].bye(world.now);
    assert_eq!(world.sound(0, 80), Sent::Dropped(DropReason::Ended));
    world.peers[0].bye(world.now);
    world.run_for(Duration::from_millis(700));
    assert!(world.peers[0].poll_timeout().is_none_or(|at| at > world.now), "it must not spin");
    assert_eq!(world.events[1].iter().filter(|(_, event)| *event == Event::Bye).count(), 1);
}

#[test]
fn frames_that_cannot_be_sent_say_why() {
    let mut world = World::new(17);
    let frame = |lens: &[usize]| {
        let payloads = lens.iter().map(|len| Payload::from(Bytes::from(vec![0; *len]))).collect();
        Arc::new(OutFrame { payloads, marker: false, ..OutFrame::empty(Codec::Opus, RtpTime(0), world.start) })
    };
    let (small, empty, huge) = (frame(&[10]), frame(&[]), frame(&[MAX_TOO_MUCH]));
    let now = world.now;
    let peer = &mut world.peers[0];
    assert_eq!(peer.send(now, SOUND, small.clone()), Sent::Dropped(DropReason::UnknownStream));
    peer.add(plan(Direction::Send, Codec::Opus));
    assert_eq!(peer.send(now, SOUND, small.clone()), Sent::Dropped(DropReason::NoPath));
    peer.add_candidate(now, Path::Interleaved);
    assert_eq!(peer.send(now, SOUND, empty), Sent::Dropped(DropReason::Empty));
    assert_eq!(peer.send(now, SOUND, huge), Sent::Dropped(DropReason::TooLarge));
    assert_eq!(peer.send(now, SOUND, small), Sent::Queued);
}

const MAX_TOO_MUCH: usize = crate::buf::MAX_PACKET - header::LEN - crate::srtp::TAG + 1;
