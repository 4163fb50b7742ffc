//! Two endpoints, datagrams between them by hand, and a clock that jumps.

mod stock;

use super::*;
use crate::testing::moment;

const A: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 8554);
const B: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 8554);
const C: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3)), 1024);

struct Pair {
    ends: [Endpoint; 2],
    addresses: [SocketAddr; 2],
    events: [Vec<Event>; 2],
    now: Instant,
    verdict: Verdict,
    /// Bytes that each side sent.
    sent: [usize; 2],
}

impl Pair {
    fn new(profiles: [&[SrtpProfile]; 2]) -> Self {
        let end = |profiles: &[SrtpProfile], seed| Endpoint::new(profiles, Pool::new(16), [seed; 32]).expect("keys");
        Self {
            ends: [end(profiles[0], 1), end(profiles[1], 2)],
            addresses: [A, B],
            events: [Vec::new(), Vec::new()],
            now: moment(),
            verdict: Verdict::Accept,
            sent: [0, 0],
        }
    }

    /// A connection from the first to the second.
    fn connected(profiles: [&[SrtpProfile]; 2]) -> (Self, [Id; 2]) {
        let mut pair = Self::new(profiles);
        let dialled = pair.ends[0].dial(pair.now, B).expect("an address");
        pair.run();
        let accepted = pair.events[1].iter().find_map(|event| match event {
            Event::Connected { id, .. } => Some(*id),
            _ => None,
        });
        (pair, [dialled, accepted.expect("connected")])
    }

    /// Carries datagrams until there are none.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            for from in [0, 1] {
                moved |= self.carry(from);
            }
            if !moved {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize) -> bool {
        let mut out = Vec::new();
        let mut moved = false;
        while let Some(transmit) = self.ends[from].poll_transmit(self.now, &mut out) {
            moved = true;
            self.sent[from] += out.len();
            for datagram in out.chunks(transmit.segment) {
                assert!(is_quic(datagram[0]), "{:#x}", datagram[0]);
                if transmit.to == self.addresses[1 - from] {
                    let verdict = self.verdict;
                    let judge = |_, proven| match verdict {
                        Verdict::Prove if proven => Verdict::Accept,
                        verdict => verdict,
                    };
                    self.ends[1 - from].receive(self.now, self.addresses[from], datagram, judge);
                }
            }
            out.clear();
        }
        for end in [0, 1] {
            while let Some(event) = self.ends[end].poll_event() {
                self.events[end].push(event);
            }
        }
        moved
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.run();
            let due = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            for index in [0, 1] {
                self.ends[index].handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn control(&self, end: usize, of: Stream) -> Vec<u8> {
        let bytes = self.events[end].iter().filter_map(|event| match event {
            Event::Control { stream, bytes, .. } if *stream == of => Some(bytes.to_vec()),
            _ => None,
        });
        bytes.flatten().collect()
    }

    fn media(&self, end: usize) -> Vec<Vec<u8>> {
        let packets = self.events[end].iter().filter_map(|event| match event {
            Event::Media { packet, .. } => Some(packet.to_vec()),
            _ => None,
        });
        packets.collect()
    }

    fn is_closed(&self, end: usize) -> bool {
        self.events[end].iter().any(|event| matches!(event, Event::Closed { .. }))
    }
}

fn exported(events: &[Event]) -> &Exported {
    let found = events.iter().find_map(|event| match event {
        Event::Connected { exported, .. } => Some(exported),
        _ => None,
    });
    found.expect("connected")
}

#[test]
fn both_ends_have_the_same_secret_and_other_connections_another() {
    let all = SrtpProfile::ALL;
    let (one, _) = Pair::connected([&all, &all]);
    let (two, _) = Pair::connected([&all, &all]);
    let [a, b, c] = [&one.events[0], &one.events[1], &two.events[0]].map(|events| exported(events));
    assert_eq!(a.secret, b.secret);
    assert_ne!(a.secret, c.secret);
    assert_ne!(*a.secret, [0; 32]);
    assert!(!format!("{a:?}").contains("secret"));
}

#[test]
fn the_strongest_profile_of_both_is_agreed_on() {
    let [strong, weak] = SrtpProfile::ALL;
    for (one, other, agreed) in [
        (&[weak, strong][..], &[weak, strong][..], strong),
        (&[weak, strong], &[weak], weak),
        (&[weak], &[strong, weak], weak),
        (&[strong], &[strong], strong),
    ] {
        let (pair, _) = Pair::connected([one, other]);
        assert!(pair.events.iter().all(|events| exported(events).srtp == agreed));
    }
    let mut pair = Pair::new([&[strong], &[weak]]);
    pair.ends[0].dial(pair.now, B).expect("an address");
    pair.run();
    assert!(pair.is_closed(0) && !pair.events[1].iter().any(|event| matches!(event, Event::Connected { .. })));
}

#[test]
fn each_stream_carries_control_both_ways_and_in_order() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    // The called side may speak first on its own stream; more than one flow-control window goes through.
    let long: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
    pair.ends[1].send_control(pair.now, ids[1], Stream::Dialled, b"call");
    pair.ends[0].send_control(pair.now, ids[0], Stream::Dialler, &long);
    pair.run();
    pair.ends[1].send_control(pair.now, ids[1], Stream::Dialler, b"answer");
    pair.ends[0].send_control(pair.now, ids[0], Stream::Dialled, b"ed");
    pair.run();
    assert_eq!(pair.control(0, Stream::Dialled), b"call");
    assert_eq!(pair.control(1, Stream::Dialler), long);
    assert_eq!(pair.control(0, Stream::Dialler), b"answer");
    assert_eq!(pair.control(1, Stream::Dialled), b"ed");
}

#[test]
fn media_of_the_longest_kind_fits_at_once() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    let train = [vec![1; crate::buf::MAX_SEALED], vec![2; crate::buf::MAX_SEALED], vec![3; 5]].concat();
    pair.ends[0].send_media(ids[0], &train, crate::buf::MAX_SEALED);
    pair.run();
    let lens: Vec<_> = pair.media(1).iter().map(|packet| (packet[0], packet.len())).collect();
    assert_eq!(lens, [(1, crate::buf::MAX_SEALED), (2, crate::buf::MAX_SEALED), (3, 5)]);
    assert_eq!(pair.ends[0].backlog(ids[0]), 0);
    // What no path carries is lost, and nothing else.
    pair.ends[0].send_media(ids[0], &[4; 1_500], 1_500);
    pair.ends[0].send_media(ids[0], &[5; 10], 10);
    pair.run();
    assert_eq!(pair.media(1).len(), 4);
}

#[test]
fn what_is_said_last_arrives_before_the_end() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.ends[0].send_control(pair.now, ids[0], Stream::Dialler, b"goodbye");
    pair.ends[0].close(pair.now, ids[0]);
    assert!(!pair.ends[0].is_idle());
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.control(1, Stream::Dialler), b"goodbye");
    assert!(pair.is_closed(1));
    assert!(!pair.is_closed(0), "who closes is not told");
    pair.ends[1].close(pair.now, ids[1]);
    pair.pass(Duration::from_secs(3));
    assert!(pair.ends.iter().all(|end| end.is_idle() && end.connections.is_empty() && end.handles.is_empty()));
}

#[test]
fn an_end_that_overtakes_the_last_word_waits_for_it() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.ends[1].send_control(pair.now, ids[1], Stream::Dialled, b"call");
    pair.run();
    let mut sent = Vec::new();
    for last in [false, true] {
        if last {
            pair.ends[0].close(pair.now, ids[0]);
        } else {
            pair.ends[0].send_control(pair.now, ids[0], Stream::Dialler, b"goodbye");
        }
        let mut out = Vec::new();
        while let Some(transmit) = pair.ends[0].poll_transmit(pair.now, &mut out) {
            sent.extend(out.chunks(transmit.segment).map(<[u8]>::to_vec));
            out.clear();
        }
    }
    assert!(sent.len() > 1);
    for datagram in sent.iter().rev() {
        pair.ends[1].receive(pair.now, A, datagram, |_, _| Verdict::Ignore);
    }
    pair.run();
    let kinds: Vec<_> = pair.events[1].iter().map(|event| matches!(event, Event::Closed { .. })).collect();
    assert_eq!(pair.control(1, Stream::Dialler), b"goodbye");
    assert_eq!(kinds.iter().position(|closed| *closed), Some(kinds.len() - 1), "{:?}", pair.events[1]);
}

#[test]
fn who_does_not_read_holds_nothing_up_for_ever() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.ends[0].send_control(pair.now, ids[0], Stream::Dialler, b"goodbye");
    pair.addresses[1] = C;
    pair.ends[0].close(pair.now, ids[0]);
    pair.pass(LAST_WORDS + Duration::from_secs(5));
    assert!(pair.ends[0].is_idle() && pair.ends[0].connections.is_empty());
    // A peer that takes nothing is closed once so much waits.
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    let chunk = vec![0; 64 * 1024];
    for _ in 0..=MAX_UNSENT / chunk.len() + 2 {
        pair.ends[0].send_control(pair.now, ids[0], Stream::Dialler, &chunk);
    }
    while let Some(event) = pair.ends[0].poll_event() {
        pair.events[0].push(event);
    }
    assert!(pair.is_closed(0));
}

#[test]
fn nobody_there_is_told_after_the_limit() {
    let mut pair = Pair::new([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.ends[0].dial(pair.now, C).expect("an address");
    pair.pass(HANDSHAKE_LIMIT - Duration::from_millis(1));
    assert!(!pair.is_closed(0));
    pair.pass(Duration::from_millis(2));
    assert!(pair.is_closed(0));
    pair.pass(Duration::from_secs(10));
    assert!(pair.ends[0].is_idle() && pair.ends[0].connections.is_empty());
    assert!(pair.ends[0].dial(pair.now, SocketAddr::new(B.ip(), 0)).is_none());
}

#[test]
fn an_address_can_be_asked_to_prove_itself_first() {
    let mut pair = Pair::new([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.verdict = Verdict::Prove;
    pair.ends[0].dial(pair.now, B).expect("an address");
    // The first flight meets a Retry, and nothing is kept of it.
    pair.carry(0);
    assert_eq!(pair.ends[1].connections.len(), 0);
    pair.run();
    assert!(pair.events.iter().all(|events| exported(events).secret == exported(&pair.events[0]).secret));
    let proven = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Connected { proven: true, .. }));
    assert!(proven(&pair.events[1]));
    let (pair, _) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    assert!(!proven(&pair.events[1]));
}

#[test]
fn strangers_get_no_more_than_they_send() {
    for (verdict, most) in
        [(Verdict::Ignore, 0.0), (Verdict::Refuse, 1.0), (Verdict::Prove, 1.0), (Verdict::Accept, 3.0)]
    {
        let mut pair = Pair::new([&SrtpProfile::ALL, &SrtpProfile::ALL]);
        pair.verdict = verdict;
        // An address that is not the sender's: no answer ever gets to it.
        pair.addresses[0] = C;
        pair.ends[0].dial(pair.now, B).expect("an address");
        let mut first = Vec::new();
        let transmit = pair.ends[0].poll_transmit(pair.now, &mut first).expect("a first flight");
        for datagram in first.chunks(transmit.segment) {
            pair.ends[1].receive(pair.now, C, datagram, |_, _| verdict);
        }
        // Until the handshake is given up, with all repetitions.
        let mut answered = 0;
        for _ in 0..100 {
            let mut out = Vec::new();
            while pair.ends[1].poll_transmit(pair.now, &mut out).is_some() {
                answered += out.len();
                out.clear();
            }
            pair.now += Duration::from_millis(100);
            pair.ends[1].handle_timeout(pair.now);
        }
        let times = answered as f64 / first.len() as f64;
        println!("{verdict:?}: {} bytes are answered with {answered}, {times:.2} times as many", first.len());
        assert!(times <= most, "{verdict:?}: {times}");
        assert_eq!(pair.ends[1].connections.len(), 0, "{verdict:?}: nothing is left of it");
    }
}

#[test]
fn a_caller_that_moves_keeps_its_connection() {
    let (mut pair, ids) = Pair::connected([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.addresses[0] = C;
    pair.ends[0].send_media(ids[0], &[7; 100], 100);
    pair.pass(Duration::from_secs(1));
    assert!(pair.events[1].iter().any(|event| matches!(event, Event::Moved { remote: C, .. })));
    pair.ends[1].send_media(ids[1], &[8; 100], 100);
    pair.run();
    assert_eq!((pair.media(1), pair.media(0)), (vec![vec![7; 100]], vec![vec![8; 100]]));
}

#[test]
fn junk_and_damaged_datagrams_are_harmless() {
    let mut pair = Pair::new([&SrtpProfile::ALL, &SrtpProfile::ALL]);
    pair.ends[0].dial(pair.now, B).expect("an address");
    let mut first = Vec::new();
    let transmit = pair.ends[0].poll_transmit(pair.now, &mut first).expect("a first flight");
    assert!(is_initial(first[0]));
    let datagram = first[..transmit.segment].to_vec();
    // From here on, nothing of the real caller arrives.
    pair.addresses[1] = C;
    for at in 0..datagram.len().min(256) {
        for flip in [1, 0x80] {
            let mut damaged = datagram.clone();
            damaged[at] ^= flip;
            pair.ends[1].receive(pair.now, A, &damaged, |_, _| Verdict::Accept);
            pair.ends[1].receive(pair.now, A, &damaged[..at], |_, _| Verdict::Accept);
        }
    }
    pair.pass(HANDSHAKE_LIMIT + Duration::from_secs(5));
    assert_eq!(pair.ends[1].connections.len(), 0);
    assert!(!pair.events[1].iter().any(|event| matches!(event, Event::Connected { .. })));
}

#[test]
fn first_bytes_tell_quic_from_media() {
    // RFC 9443 §3: RTP and RTCP, and what comes before them.
    assert!((128..=191).all(|first| !is_quic(first)) && (0..=63).all(|first| !is_quic(first)));
    assert!((64..=127).chain(192..=255).all(is_quic));
}
