use super::*;
use crate::engine::clock;

#[test]
fn the_first_is_told_at_once_and_a_flood_once_in_a_while() {
    let start = clock::now();
    let mut tally = Tally::new();
    let (mut told, mut counted) = (0, 0);
    for ms in 0..60_000 {
        let now = start + Duration::from_millis(ms);
        tally.note(now, ms.to_string());
        if let Some((count, last)) = tally.take(now) {
            assert_eq!(last, ms.to_string());
            told += 1;
            counted += count;
        }
        assert!(told > 0, "the first one");
    }
    assert_eq!((told, counted), (6, 50_001));
    let end = start + Duration::from_secs(60);
    assert_eq!(tally.due, Some(end));
    assert_eq!(tally.take(end).map(|(count, _)| count), Some(9_999));
    assert_eq!((tally.due, tally.take(end + Duration::from_secs(60))), (None, None));
}

#[test]
fn powers_cost_an_address_no_more_than_its_share_of_the_processor() {
    let start = clock::now();
    let mut strangers = Strangers::new(std::iter::empty());
    let address = IpAddr::from([192, 0, 2, 1]);
    let spent = (0..60_000).filter(|ms| strangers.affords_power(start + Duration::from_millis(*ms), address)).count();
    assert!((30..=34).contains(&spent), "{spent} powers in a minute");
}

#[test]
fn who_shakes_hands_without_end_keeps_no_other_address_out() {
    let start = clock::now();
    let mut strangers = Strangers::new(std::iter::empty());
    let (mut many, mut others) = (0, 0);
    for ms in 0..60_000 {
        let now = start + Duration::from_millis(ms);
        many += usize::from(strangers.takes_tls(now, at(1)));
        // Whoever is honest comes now and then, from elsewhere.
        others += usize::from(ms % 500 == 0 && strangers.takes_tls(now, at(2)));
    }
    assert!((630..=634).contains(&many), "{many} in a minute");
    assert_eq!(others, 120);
    assert!(strangers.refused.due.is_some(), "and it is told");
    // From many addresses, all of them together get so many.
    let later = start + Duration::from_secs(120);
    let taken = (0..10_000_u32).filter(|n| {
        let [.., a, b] = n.to_be_bytes();
        strangers.takes_tls(later + Duration::from_micros(100 * u64::from(*n)), SocketAddr::from(([198, 51, a, b], 1)))
    });
    assert!((355..=357).contains(&taken.count()), "in a second");
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 8554))
}

fn nobody() -> std::iter::Empty<&'static Leg> {
    std::iter::empty()
}

#[test]
fn whoever_writes_a_contacts_address_on_a_first_packet_cannot_spend_its_share() {
    let (home, now) = (at(7), clock::now());
    let mut strangers = Strangers::new([home.ip()].into_iter());
    let verdicts: Vec<_> = (0..10_000).map(|_| strangers.judge(now, home, false, &[], nobody())).collect();
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    // A few are let on at ease, some may prove themselves, and the others get no answer.
    assert_eq!((count(Verdict::Accept), count(Verdict::Prove)), (16, 64));
    assert!(
        strangers.admit(now, home, false, &[], nobody()),
        "the contact itself, over TCP or with a finished handshake"
    );
    assert_eq!(strangers.judge(now, home, true, &[], nobody()), Verdict::Accept);
}

#[test]
fn an_address_that_is_proven_holds_no_more_handshakes_of_quic_than_of_tcp() {
    let now = clock::now();
    let mut strangers = Strangers::new(std::iter::empty());
    let mut held = Vec::new();
    while strangers.judge(now, at(1), true, &held, nobody()) == Verdict::Accept {
        held.push(at(1));
    }
    assert_eq!(held.len(), MAX_HANDSHAKES_OF_BLOCK);
    assert_eq!(strangers.judge(now, at(2), true, &held, nobody()), Verdict::Accept, "somebody else");
    let all: Vec<_> = (0..MAX_HANDSHAKES).map(|host| SocketAddr::from(([198, 18, 0, host as u8], 1))).collect();
    assert_eq!(strangers.judge(now, at(3), true, &all, nobody()), Verdict::Ignore, "no more than all together may");
}

#[test]
fn first_packets_are_looked_into_at_a_rate_and_contacts_have_one_of_their_own() {
    let (home, now) = (at(7), clock::now());
    let mut strangers = Strangers::new([home.ip()].into_iter());
    for from in [at(1), home] {
        let read = (0..10_000).filter(|_| strangers.reads_initial(now, from)).count();
        assert_eq!(read, INITIAL_RATE.burst as usize);
    }
    assert!(strangers.reads_initial(now + Duration::from_millis(1), at(1)));
}
