use std::sync::{Condvar, Mutex};

use super::*;
use crate::device::{AudioSourceSpec, Kind};
use crate::testing::moment;

/// Which devices are there, and what opening one does.
#[derive(Debug, Default)]
struct World {
    present: [bool; 2],
    default: Option<String>,
    /// The first is not there any more, and what was opened goes on elsewhere.
    moved: bool,
    /// Opening does not return while this is set.
    hangs: bool,
    opened: usize,
    closed: usize,
    /// How many had been closed when the latest was opened.
    closed_before: usize,
}

type Shared = Arc<(Mutex<World>, Condvar)>;

/// A device: which choice it was.
#[derive(Debug)]
struct Device(usize, Shared);

impl Drop for Device {
    fn drop(&mut self) {
        // As a driver does that waits for its hardware.
        thread::sleep(Duration::from_millis(20));
        change(&self.1, |world| world.closed += 1);
    }
}

struct Two(Shared);

impl Choices<Device> for Two {
    fn count(&self) -> usize {
        2
    }

    fn open(&self, choice: usize, _: Instant) -> Result<Device, DeviceError> {
        let mut world = self.0.0.lock().unwrap();
        while world.hangs {
            world = self.0.1.wait(world).unwrap();
        }
        if !world.present[choice] {
            return Err(DeviceError::NotFound { kind: Kind::Microphone, name: self.name(choice) });
        }
        (world.opened, world.closed_before) = (world.opened + 1, world.closed);
        Ok(Device(choice, Arc::clone(&self.0)))
    }

    fn name(&self, choice: usize) -> String {
        ["headset", "default"][choice].to_owned()
    }

    fn presence(&self, choice: usize) -> Presence {
        let world = self.0.0.lock().unwrap();
        match (choice, &world.default) {
            (0, _) if world.moved => Ok(None),
            (1, Some(default)) => Ok(Some(default.clone())),
            _ => Err(Unsure),
        }
    }

    fn stand_in(&self, _: Instant) -> Option<Device> {
        Some(Device(9, Arc::clone(&self.0)))
    }
}

fn change(shared: &Shared, change: impl FnOnce(&mut World)) {
    change(&mut shared.0.lock().unwrap());
    shared.1.notify_all();
}

/// A device and a clock that is moved by hand.
struct Test {
    world: Shared,
    lasting: Lasting<Device>,
    now: Instant,
}

impl Test {
    fn new(present: [bool; 2]) -> Self {
        let world = Shared::default();
        change(&world, |world| world.present = present);
        Self { lasting: Lasting::new(Two(Arc::clone(&world))), world, now: moment() }
    }

    /// What is said in so much time, looked at ten times a second; attempts take none of it.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        let mut said = Vec::new();
        let end = self.now + time;
        while self.now < end {
            said.extend(self.lasting.turn(self.now).map(|turn| match turn {
                Turn::Using(name) => name,
                Turn::Without(error) => error.to_string(),
            }));
            if self.lasting.attempt.is_some() && !self.world.0.lock().unwrap().hangs {
                thread::park_timeout(Duration::from_millis(5));
            } else {
                self.now += Duration::from_millis(100);
            }
        }
        said
    }

    fn set(&mut self, present: [bool; 2]) {
        change(&self.world, |world| world.present = present);
    }

    fn unplug(&mut self) {
        let error = DeviceError::Stalled { kind: Kind::Microphone, name: "x".into(), silent: SOON };
        self.lasting.lost(self.now, error).expect("there are others");
    }

    fn used(&self) -> Option<usize> {
        self.lasting.device().map(|device| device.0)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_device_that_is_unplugged_is_replaced_and_comes_back() {
    let mut test = Test::new([true, true]);
    assert_eq!(test.used(), None);
    assert_eq!(test.pass(MINUTE), ["headset"]);
    test.set([false, true]);
    test.unplug();
    let said = test.pass(MINUTE);
    assert_eq!((said.len(), said[1].as_str(), test.used()), (2, "default", Some(1)), "{said:?}");
    test.set([true, true]);
    assert_eq!((test.pass(MINUTE), test.used()), (vec!["headset".to_owned()], Some(0)));
}

#[test]
fn a_device_that_failed_is_closed_before_it_is_opened_again() {
    let mut test = Test::new([true, false]);
    assert_eq!(test.pass(MINUTE), ["headset"]);
    test.unplug();
    assert_eq!(test.pass(MINUTE).len(), 2);
    let world = test.world.0.lock().unwrap();
    assert_eq!((world.opened, world.closed_before), (2, 1));
}

#[test]
fn without_any_something_stands_in_and_it_is_said_once() {
    let mut test = Test::new([false, false]);
    let said = test.pass(MINUTE);
    assert_eq!((said.len(), test.used()), (1, Some(9)), "{said:?}");
    assert!(said[0].contains("headset"), "{said:?}");
    assert!(!test.lasting.is_real());
    test.set([false, true]);
    assert_eq!((test.pass(MINUTE), test.used()), (vec!["default".to_owned()], Some(1)));
    test.set([false, false]);
    test.unplug();
    assert_eq!((test.pass(MINUTE).len(), test.used()), (1, Some(9)));
    test.set([true, false]);
    assert_eq!(test.pass(MINUTE), ["headset"]);
    drop(test.lasting);
    // And two that stood in.
    let mut world = test.world.0.lock().unwrap();
    while world.closed < world.opened + 2 {
        world = test.world.1.wait(world).unwrap();
    }
}

#[test]
fn the_systems_new_default_is_followed() {
    let mut test = Test::new([false, true]);
    change(&test.world, |world| world.default = Some("speakers".into()));
    // That the one asked for is not there comes first.
    let said = test.pass(MINUTE);
    assert_eq!((said.len(), said[1].as_str()), (2, "default"), "{said:?}");
    assert_eq!(test.pass(MINUTE), [] as [String; 0]);
    change(&test.world, |world| world.default = Some("television".into()));
    assert_eq!(test.pass(MINUTE), ["default"]);
    // A sound server that is restarted has none for a moment.
    change(&test.world, |world| world.default = None);
    assert_eq!(test.pass(MINUTE), [] as [String; 0]);
}

#[test]
fn a_driver_that_hangs_costs_its_device_and_nothing_else() {
    let mut test = Test::new([true, true]);
    change(&test.world, |world| world.hangs = true);
    assert_eq!((test.pass(HANGS / 2).len(), test.used()), (0, None));
    assert_eq!((test.pass(MINUTE).len(), test.used()), (1, Some(9)));
    change(&test.world, |world| world.hangs = false);
    assert_eq!(test.pass(MINUTE), ["headset"]);
}

#[test]
fn a_file_is_no_device_to_wait_for() {
    let world = Shared::default();
    let mut lasting = Lasting::fixed(Device(0, world), "a.wav".into());
    assert!(matches!(lasting.turn(moment()), Some(Turn::Using(name)) if name == "a.wav"));
    assert!(lasting.turn(moment()).is_none());
    let error = DeviceError::format("a.wav", "is cut off");
    assert!(lasting.lost(moment(), error).is_err());
}

#[test]
fn what_a_sound_server_moved_elsewhere_comes_back() {
    let mut test = Test::new([true, true]);
    assert_eq!(test.pass(MINUTE), ["headset"]);
    change(&test.world, |world| (world.moved, world.present) = (true, [false, true]));
    assert_eq!(test.pass(MINUTE), ["default"]);
    change(&test.world, |world| (world.moved, world.present) = (false, [true, true]));
    assert_eq!(test.pass(MINUTE), ["headset"]);
}

#[test]
fn a_device_goes_by_the_name_that_its_owner_gave_it() {
    let specs = Specs::<AudioSourceSpec, ()> {
        specs: vec![AudioSourceSpec::Named("Headset".to_owned()), AudioSourceSpec::Default],
        open: |_, _| Ok(()),
        stand_in: None,
        presence: |_| Err(Unsure),
        name: AudioSourceSpec::device,
    };
    assert_eq!([0, 1].map(|choice| specs.name(choice)), ["Headset", "default"]);
}
