use std::sync::mpsc::{Sender, channel};

use visavis_net::rtp::ids::Ssrc;

use super::*;

/// A thread that hangs until the sender is dropped, and runs.
fn hanging(retired: &Retired) -> (Worker, Sender<()>) {
    let (release, hold) = channel::<()>();
    let (began, begin) = channel();
    let work = move |_: &AtomicBool| {
        let _ = began.send(());
        let _ = hold.recv();
    };
    let worker = Worker::spawn("play", retired, work).expect("a thread");
    begin.recv().expect("it runs");
    (worker, release)
}

#[test]
fn nobody_waits_for_a_thread_that_hangs() {
    let retired = Retired::default();
    let (worker, release) = hanging(&retired);
    // As when a call ends whose loudspeaker hangs: this returns at once.
    drop(worker);
    assert!(!retired.are_done());
    // Other work goes on, and is over when it is.
    let (told, tell) = channel();
    let other = Worker::spawn("send", &retired, move |_| _ = told.send(())).expect("a thread");
    tell.recv().expect("it ran");
    drop((other, release));
    while !retired.are_done() {
        thread::yield_now();
    }
}

#[test]
fn a_thread_waits_for_the_one_before_it() {
    let retired = Retired::default();
    let (first, release) = hanging(&retired);
    drop(first);
    let (told, tell) = channel();
    let second = Worker::spawn("play", &retired, move |_| _ = told.send(())).expect("a thread");
    assert!(tell.recv_timeout(Duration::from_millis(50)).is_err());
    drop(release);
    tell.recv().expect("now it runs");
    drop(second);
}

#[test]
fn the_word_for_another_stream_is_never_lost() {
    let (feed, mut fed) = rtrb::RingBuffer::new(2);
    let worker = Worker::spawn("play", &Retired::default(), |_| {}).expect("a thread");
    let mut player = Player { feed, word: None, worker };
    let word = |ssrc| {
        Feed::Stream(Box::new(Stream {
            ssrc: Ssrc(ssrc),
            codec: Codec::H264,
            parameter_sets: Arc::default(),
            size: None,
            ceiling: None,
        }))
    };
    let map = |n| Feed::ClockMap(RtpTime(n), NtpTime(0));
    assert_eq!([1, 2, 3].map(|n| player.give(map(n))), [true, true, false]);
    // The same source begins anew twice while nobody takes anything.
    assert_eq!([word(7), map(4), word(8), map(5)].map(|feed| player.give(feed)), [false; 4]);
    let mut taken = Vec::new();
    let mut take = || {
        taken.extend(fed.pop().map(|feed| match feed {
            Feed::Stream(stream) => format!("stream {}", stream.ssrc.0),
            Feed::ClockMap(time, _) => format!("{}", time.0),
            Feed::Packet(_) => unreachable!("none was given"),
        }));
    };
    take();
    assert!(!player.give(map(6)), "the word has taken the room");
    take();
    assert!(player.give(map(9)), "and what comes after it is of that stream");
    (0..3).for_each(|_| take());
    assert_eq!(taken, ["1", "2", "stream 8", "9"]);
}

#[test]
fn a_picture_is_complete_at_its_marker_or_where_the_next_one_begins() {
    let mut pictures = Completion::default();
    let mut wakes = |packets: &[(u32, bool)]| {
        packets.iter().map(|(time, marker)| pictures.may_come_with(RtpTime(*time), *marker)).collect::<Vec<_>>()
    };
    // With markers once each, whatever comes next; without them with the first packet of the next one.
    assert_eq!(wakes(&[(0, false), (0, true), (3, false), (3, true), (6, true)]), [false, true, false, true, true]);
    assert_eq!(wakes(&[(9, false), (9, false), (12, false), (12, false)]), [false, false, true, false]);
    // A marker that was lost.
    assert_eq!(wakes(&[(15, false), (15, true), (18, false)]), [true, true, false]);
}
