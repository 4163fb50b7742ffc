use super::*;

#[test]
fn media_arrives_whole_and_in_order_over_the_confirmed_path() {
    let mut world = World::connected(1);
    world.run_for(Duration::from_millis(50));
    world.talk(Duration::from_millis(500), Some(0.8));
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.errors, [vec![], vec![]]);
    assert_eq!(world.peers[0].stats().path, Some(Path::Udp(address(B))));
    assert_eq!(world.peers[1].stats().path, Some(Path::Udp(address(A))));
    assert_eq!(world.of(1, SOUND).len(), 25);
    for ssrc in [SOUND, PICTURES] {
        let seqs = world.of(1, ssrc);
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0].next()), "{ssrc} has gaps");
    }
    let pictures = world.received[1].iter().filter(|received| received.ssrc == PICTURES);
    assert_eq!(pictures.filter(|received| received.marker).count(), 16);
    assert!(world.received[1].iter().all(|received| !received.repaired && !received.payload.is_empty()));
}

#[test]
fn reports_tell_clocks_and_the_round_trip() {
    let mut world = World::connected(2);
    world.talk(Duration::from_millis(1600), Some(0.5));
    let clock = world.events[1].iter().find_map(|(_, event)| match event {
        Event::ClockMap { ssrc: SOUND, time, ntp } => Some((*time, *ntp)),
        _ => None,
    });
    let (time, ntp) = clock.expect("a sender report with the first packet");
    // The stream's own packets must agree with the map: same offset between the wall clock and the stream's.
    let packet = world.received[1].iter().find(|received| received.ssrc == SOUND).expect("sound");
    let sent = world.peers[0].clock.ntp(packet.arrival - Duration::from_millis(10));
    let by_map = time.add(crate::rtp::time::ClockRate::OPUS.ticks(Duration::ZERO)).since(packet.time);
    let by_wall = (ntp.to_unix().as_secs_f64() - sent.to_unix().as_secs_f64()) * 48_000.0;
    assert!((f64::from(by_map) - by_wall).abs() < 100.0, "{by_map} {by_wall}");
    let round_trip = world.peers[0].stats().round_trip.expect("known");
    assert!(round_trip.abs_diff(Duration::from_millis(20)) < Duration::from_millis(2), "{round_trip:?}");
}
