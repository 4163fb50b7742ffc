use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::testing::moment;

/// A camera that gives what it is told to, and hangs while it is told nothing.
struct Told(Receiver<Result<Raw, String>>);

impl Driver for Told {
    fn next_frame(&mut self) -> Result<Option<Raw>, String> {
        self.0.recv().unwrap_or_else(|_| Err("it was unplugged".to_owned())).map(Some)
    }
}

/// One that has given so many frames, and what tells it to go on.
fn told(now: Instant, frames: u64) -> (Result<Camera, DeviceError>, Sender<Result<Raw, String>>) {
    let (tell, told) = channel();
    for _ in 0..frames {
        tell.send(Ok(grey())).expect("it listens");
    }
    (Camera::run(Kind::Camera, "Webcam".into(), now, move || Ok(Box::new(Told(told)) as Box<dyn Driver>)), tell)
}

/// One that works. What it has given until then is taken.
fn camera(now: Instant) -> (Camera, Sender<Result<Raw, String>>) {
    let (camera, tell) = told(now, PROOF);
    let camera = camera.expect("it works");
    assert!(matches!(camera.slot.take(), Some(Ok(_))));
    (camera, tell)
}

fn grey() -> Raw {
    Raw { layout: Layout::Grey, width: 16, height: 16, bytes: Bytes::from_static(&[128; 256]) }
}

/// What comes next at that moment; another thread has to come by first.
fn wait(camera: &mut Camera, now: Instant) -> Result<Captured, DeviceError> {
    loop {
        match camera.next(now) {
            Ok(None) => thread::yield_now(),
            Ok(Some(captured)) => return Ok(captured),
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn a_camera_that_hangs_is_given_up_and_keeps_nobody_waiting() {
    let begin = moment();
    let (mut camera, tell) = camera(begin);
    tell.send(Ok(grey())).expect("it listens");
    assert_eq!(wait(&mut camera, begin).expect("a picture").at, begin);
    let stalled = begin + STALLED;
    assert!(camera.next(stalled - Duration::from_millis(1)).expect("not yet").is_none());
    assert!(matches!(camera.next(stalled), Err(DeviceError::Stalled { .. })));
    assert!(camera.next(stalled).expect("said once").is_none());
    assert_eq!(camera.next_due(), None);
    // Its thread still hangs.
    drop(camera);
    assert!(tell.send(Ok(grey())).is_ok());
}

#[test]
fn a_camera_opened_long_ago_is_not_taken_for_one_that_hangs() {
    let begin = moment();
    let (mut camera, tell) = camera(begin);
    let later = begin + 10 * STALLED;
    assert!(camera.next(later).expect("it has just been looked at").is_none());
    tell.send(Ok(grey())).expect("it listens");
    assert!(wait(&mut camera, later).is_ok());
}

#[test]
fn a_camera_that_only_has_an_old_picture_is_not_in_use() {
    let (camera, tell) = told(moment(), PROOF - 1);
    assert!(matches!(camera, Err(DeviceError::Stalled { silent: STALLED, .. })), "{camera:?}");
    // It is left alone from then on, when its driver next comes by.
    assert!(tell.send(Ok(grey())).is_ok());
    while tell.send(Ok(grey())).is_ok() {
        thread::yield_now();
    }
}

#[test]
fn a_camera_that_is_unplugged_says_so() {
    let begin = moment();
    let (mut camera, tell) = camera(begin);
    drop(tell);
    let error = wait(&mut camera, begin).expect_err("unplugged").to_string();
    assert!(error.contains("Webcam") && error.contains("unplugged"), "{error}");
}

#[test]
fn a_camera_that_does_not_start_says_why() {
    let (tell, told) = channel();
    tell.send(Err("it was unplugged".to_owned())).expect("it listens");
    let error =
        Camera::run(Kind::Camera, "Webcam".into(), moment(), move || Ok(Box::new(Told(told)) as Box<dyn Driver>));
    assert!(error.expect_err("unplugged").to_string().contains("unplugged"));
    let error =
        Camera::run(Kind::Camera, "Webcam".into(), moment(), || Err("it is busy".to_owned())).expect_err("busy");
    assert!(error.to_string().contains("it is busy"), "{error}");
}

#[test]
fn pictures_that_could_not_travel_are_refused() {
    for (width, height, fits) in
        [(4096, 16, true), (2592, 1944, true), (4098, 16, false), (16, 4098, false), (4096, 2306, false)]
    {
        let raw = Raw { layout: Layout::Grey, width, height, bytes: vec![0; width * height].into() };
        let image = raw.image(&mut Recycler::default());
        assert_eq!(image.is_ok(), fits, "{width}x{height}");
        assert!(image.err().is_none_or(|error| error.contains(&format!("{width}x{height}")) && error.contains("4096")));
    }
}
