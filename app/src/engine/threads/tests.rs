use std::sync::mpsc::{Sender, channel};

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
