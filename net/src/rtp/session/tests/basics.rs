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

#[test]
fn what_a_header_says_beyond_its_fields_arrives_with_its_packet() {
    let mut world = World::connected(3);
    world.run_for(Duration::from_millis(50));
    let extension = Extension { profile: 0xffd8, words: Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8]) };
    let first = Payload { extension: Some(extension.clone()), ..Payload::from(Bytes::from_static(b"first")) };
    let payloads = vec![first, Payload::from(Bytes::from_static(b"last"))];
    let frame = OutFrame { payloads, marker: true, ..OutFrame::empty(Codec::Jpeg, RtpTime(0), world.now) };
    assert_eq!(world.peers[0].send(world.now, PICTURES, Arc::new(frame)), Sent::Queued);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.errors, [vec![], vec![]]);
    let got = |received: &Received| (received.extension.clone(), received.payload.to_vec(), received.marker);
    let pictures: Vec<_> = world.received[1].iter().filter(|received| received.ssrc == PICTURES).map(got).collect();
    assert_eq!(pictures, [(Some(extension), b"first".to_vec(), false), (None, b"last".to_vec(), true)]);
    let stats = world.peers[0].stats();
    let sent = stats.sent.iter().find(|stream| stream.ssrc == PICTURES).expect("a stream");
    assert_eq!(sent.bytes, 9, "RFC 3550 §6.4.1: without headers");
}
