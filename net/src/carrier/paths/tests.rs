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
    paths.heard(now, path, Heard::Probe, PROBE_LEN);
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
fn a_new_source_is_asked_at_once_and_used_once_it_answers() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.heard(start, udp(1), Heard::Newest, 1000);
    assert_eq!(paths.selected(), Some(Path::Interleaved));
    let probes = run(&mut paths, start, ms(10));
    let [(at, path, token)] = probes[..] else { panic!("{probes:?}") };
    assert_eq!((at, path), (ms(0), udp(1)));
    paths.heard(start + ms(20), udp(1), Heard::Newest, 1000);
    assert_eq!(paths.selected(), Some(Path::Interleaved), "it still has to prove the way back");
    echo(&mut paths, start + ms(40), udp(1), token);
    assert_eq!(paths.selected(), Some(udp(1)));
}

#[test]
fn to_an_address_that_never_answers_goes_three_times_what_came_from_it() {
    for received in [1, 40, 100, 1200] {
        let start = moment();
        let mut paths = Paths::new(7);
        paths.add(start, Path::Interleaved);
        for n in 0..20 {
            let now = start + ms(n * 100);
            paths.heard(now, udp(1), Heard::Newest, received);
            paths.probe(now, udp(1), Probe::Request, n);
            assert_ne!(paths.selected(), Some(udp(1)));
        }
        let sent =
            std::iter::from_fn(|| paths.poll(start + ms(2000))).count() + run(&mut paths, start, ms(60_000)).len();
        assert!(sent * PROBE_LEN <= 3 * 20 * received, "{sent} probes for {received} bytes twenty times");
        assert!(sent > 0);
        paths.handle_timeout(start + ms(60_000));
        assert!(paths.udp.is_empty(), "it is forgotten in the end");
    }
}

#[test]
fn a_probe_that_came_pays_for_its_echo_and_for_one_of_ours() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.heard(start, udp(1), Heard::Probe, PROBE_LEN);
    paths.probe(start, udp(1), Probe::Request, 99);
    assert_eq!(paths.poll(start), Some((udp(1), Probe::Echo, 99)));
    let Some((path, Probe::Request, token)) = paths.poll(start) else { panic!("no probe") };
    assert_eq!(path, udp(1));
    echo(&mut paths, start + ms(30), udp(1), token);
    assert_eq!(paths.selected(), Some(udp(1)));
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
fn a_rebound_address_is_followed_once_it_answers() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, Path::Interleaved);
    paths.add(start, udp(1));
    let token = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), token);
    paths.heard(start + ms(100), udp(2), Heard::Older, 1000);
    let Some((_, _, token)) = paths.poll(start + ms(100)) else { panic!("no probe") };
    echo(&mut paths, start + ms(110), udp(2), token);
    assert_eq!(paths.selected(), Some(udp(1)), "overtaken packets came by the old way");
    paths.heard(start + ms(120), udp(2), Heard::Newest, 1000);
    assert_eq!(paths.selected(), Some(udp(2)));
    paths.heard(start + ms(140), udp(3), Heard::Newest, 1000);
    assert_eq!(paths.selected(), Some(udp(2)), "media stays where it is confirmed");
    let Some((_, _, token)) = paths.poll(start + ms(140)) else { panic!("no probe") };
    echo(&mut paths, start + ms(160), udp(3), token);
    assert_eq!(paths.selected(), Some(udp(3)), "it followed as soon as that one was confirmed");
}

#[test]
fn without_a_control_connection_a_silent_path_is_kept() {
    let start = moment();
    let mut paths = Paths::new(7);
    paths.add(start, udp(1));
    let token = run(&mut paths, start, ms(10))[0].2;
    echo(&mut paths, start, udp(1), token);
    run(&mut paths, start, ms(60_000));
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
        // What never answers fails, then gives way.
        let now = start + ms(1200) * u32::from(last);
        paths.heard(now, udp(1), Heard::Newest, 1000);
        paths.heard(now, udp(last), Heard::Newest, 1000);
        paths.handle_timeout(now + ms(1100));
    }
    assert!(paths.udp.len() <= MAX_CANDIDATES);
    assert_eq!(paths.selected(), Some(udp(1)));
}
