use super::*;
use crate::testing::moment;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn udp(last: u8) -> Path {
    Path::Udp(SocketAddr::from(([192, 0, 2, last], 5000)))
}

/// Lets `paths` act at its own timeouts until `end`; returns the probes it sent, as times since `start`.
fn run(paths: &mut Paths, start: Instant, end: Duration) -> Vec<(Duration, Path, u64)> {
    let mut probes = Vec::new();
    let mut now = start;
    while let Some(at) = paths.timeout(now).filter(|at| *at <= start + end) {
        now = at.max(now);
        paths.handle_timeout(now);
        while let Some((path, probe, token)) = paths.poll(now) {
            assert_eq!(probe, Probe::Request);
            probes.push((now - start, path, token));
        }
    }
    probes
}

fn echo(paths: &mut Paths, now: Instant, path: Path, token: u64) -> Option<Duration> {
    paths.heard(now, path, Heard::Probe);
    paths.probe(now, path, Probe::Echo, token)
}

#[test]
fn a_told_address_is_probed_and_confirmed() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    assert_eq!(paths.selected(), Some(Path::Interleaved), "the control connection works meanwhile");
    let probes = run(&mut paths, start, ms(40));
    let [(_, path, token)] = probes[..] else { panic!("{probes:?}") };
    assert_eq!(path, udp(1));
    assert_eq!(echo(&mut paths, start + ms(42), udp(1), token), Some(ms(42)));
    assert_eq!(paths.selected(), Some(udp(1)));
    assert!(run(&mut paths, start + ms(42), ms(1000)).is_empty());
}

#[test]
fn an_echo_tells_the_round_trip_of_the_try_it_answers() {
    let start = moment();
    let mut paths = Paths::new(u64::MAX);
    paths.add(start, udp(1));
    let probes = run(&mut paths, start, ms(200));
    assert_eq!(probes.len(), 3);
    let unknown = probes[2].2.wrapping_add(1);
    assert_eq!(echo(&mut paths, start + ms(210), udp(1), unknown), None, "it was never sent");
    assert_eq!(echo(&mut paths, start + ms(210), udp(1), probes[1].2), Some(ms(160)));
    assert_eq!(paths.selected(), Some(udp(1)));
}

#[test]
fn probing_slows_down_and_never_ends() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let times: Vec<_> = run(&mut paths, start, ms(9500)).iter().map(|(at, ..)| at.as_millis()).collect();
    assert_eq!(times, [0, 50, 150, 350, 750, 1550, 5000, 7000, 9000]);
    assert_eq!(paths.selected(), Some(Path::Interleaved));
}

#[test]
fn a_new_source_is_used_at_once_but_not_for_long_without_an_echo() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.heard(start, udp(1), Heard::Probe);
    assert_eq!(paths.selected(), Some(udp(1)));
    assert!(!run(&mut paths, start, ms(999)).is_empty(), "it is probed");
    assert_eq!(paths.selected(), Some(udp(1)));
    run(&mut paths, start, ms(1000));
    assert_eq!(paths.selected(), Some(Path::Interleaved));
    paths.heard(start + ms(1100), udp(1), Heard::Newest);
    assert_eq!(paths.selected(), Some(Path::Interleaved), "it still has to prove the way back");
}

#[test]
fn a_silent_path_is_left_and_taken_again() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let token = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), token);
    run(&mut paths, start, ms(1499));
    assert_eq!(paths.selected(), Some(udp(1)));
    let probes = run(&mut paths, start, ms(1520));
    assert_eq!(paths.selected(), Some(Path::Interleaved));
    let [(_, _, token)] = probes[..] else { panic!("{probes:?}") };
    echo(&mut paths, start + ms(1550), udp(1), token);
    assert_eq!(paths.selected(), Some(udp(1)));
}

#[test]
fn an_old_echo_proves_nothing() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let first = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), first);
    run(&mut paths, start, ms(1600));
    echo(&mut paths, start + ms(1600), udp(1), first);
    assert_eq!(paths.selected(), Some(Path::Interleaved));
}

#[test]
fn a_rebound_address_is_followed_by_its_newest_packet() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let token = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), token);
    paths.heard(start + ms(100), udp(2), Heard::Older);
    assert_eq!(paths.selected(), Some(udp(1)), "an overtaken packet came by the old way");
    paths.heard(start + ms(120), udp(2), Heard::Newest);
    assert_eq!(paths.selected(), Some(udp(2)));
    // It does not answer, so it was not the peer's way after all: the old one, still heard, is back.
    paths.heard(start + ms(1000), udp(1), Heard::Older);
    run(&mut paths, start + ms(120), ms(1000));
    assert_eq!(paths.selected(), Some(udp(1)));
}

#[test]
fn without_a_control_connection_a_doubtful_path_is_kept() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.heard(start, udp(1), Heard::Newest);
    run(&mut paths, start, ms(5000));
    assert_eq!(paths.selected(), Some(udp(1)));
}

#[test]
fn many_sources_stay_within_bounds_and_do_not_push_out_the_good_one() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let token = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), token);
    for last in 2..60 {
        // What is latched first fails, then gives way.
        let now = start + ms(1200) * u32::from(last);
        paths.heard(now, udp(1), Heard::Newest);
        paths.heard(now, udp(last), Heard::Older);
        paths.handle_timeout(now + ms(1100));
    }
    assert!(paths.udp.len() <= MAX_CANDIDATES);
    assert_eq!(paths.selected(), Some(udp(1)));
}
