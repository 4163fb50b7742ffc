//! A device kept in use while others come and go: unplugged, plugged in again, hanging, or no longer the system's default.
//!
//! Whatever may block (opening, closing, asking what there is) happens on threads of its own that nobody waits for: a
//! driver that never answers costs its device, and nothing else.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::DeviceError;

/// A driver that takes longer than this to open a device hangs, as far as its owner is told.
const HANGS: Duration = Duration::from_secs(12);
/// What is missing is looked for again after this long, and then after twice as long each time, up to [`SELDOM`].
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(8);
/// Who closes a device for good, or to open it again, waits this long for its driver.
const CLOSING: Duration = Duration::from_secs(1);
/// How often it is looked whether a better choice is there than the one in use.
const LOOK: Duration = Duration::from_secs(2);

/// A device by what its owner calls it, and those to be used in its place.
pub(super) struct Specs<S, D> {
    /// The best first.
    pub(super) specs: Vec<S>,
    pub(super) open: fn(&S, Instant) -> Result<D, DeviceError>,
    /// What takes its place while there is none.
    pub(super) stand_in: Option<S>,
    /// Says what the device of a name is now, or the system's choice for `None`.
    pub(super) presence: fn(Option<&str>) -> Presence,
    /// The name in a choice, if it is not the system's.
    pub(super) name: fn(&S) -> Option<&str>,
}

impl<S: fmt::Display + Send + Sync + 'static, D: 'static> Choices<D> for Specs<S, D> {
    fn count(&self) -> usize {
        self.specs.len()
    }

    fn open(&self, choice: usize, now: Instant) -> Result<D, DeviceError> {
        (self.open)(&self.specs[choice], now)
    }

    fn name(&self, choice: usize) -> String {
        let spec = &self.specs[choice];
        (self.name)(spec).map_or_else(|| spec.to_string(), str::to_owned)
    }

    fn presence(&self, choice: usize) -> Presence {
        (self.presence)((self.name)(&self.specs[choice]))
    }

    fn stand_in(&self, now: Instant) -> Option<D> {
        self.stand_in.as_ref().and_then(|spec| (self.open)(spec, now).ok())
    }
}

/// What the system says of a device: which it is, or that it is not there. In that case what was opened may still run: a
/// sound server moves it elsewhere, where nobody wants it.
pub(crate) type Presence = Result<Option<String>, Unsure>;

/// The system says nothing that could be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsure;

/// What an owner would have, the best first.
pub(crate) trait Choices<D>: Send + Sync + 'static {
    /// How many there are.
    fn count(&self) -> usize;

    /// Opens one.
    fn open(&self, choice: usize, now: Instant) -> Result<D, DeviceError>;

    /// What the owner calls it.
    fn name(&self, choice: usize) -> String;

    /// What would be opened now, as far as the system says that without opening it. May block.
    fn presence(&self, choice: usize) -> Presence;

    /// What takes its place while there is none.
    fn stand_in(&self, now: Instant) -> Option<D>;
}

/// What became of a device.
#[derive(Debug)]
pub enum Turn {
    /// It is in use from now on, under this name.
    Using(String),
    /// There is none: silence takes its place, or the last picture.
    Without(DeviceError),
}

/// See the module.
pub struct Lasting<D> {
    choices: Option<Arc<dyn Choices<D>>>,
    device: Option<D>,
    /// Which choice is in use, and what it was when it was opened.
    used: Option<(usize, Presence)>,
    attempt: Option<(Instant, Receiver<Outcome<D>>)>,
    /// How it is closed, unless it is a file.
    close: Option<fn(D) -> Receiver<()>>,
    /// What was in use last is being closed until this is.
    closing: Option<Receiver<()>>,
    /// When to look again.
    due: Option<Instant>,
    pause: Duration,
    /// Whether the owner knows that there is none.
    told: bool,
    /// Attempts so far: the first is for the best choice only, so that an owner hears if that is not there.
    attempts: u32,
    turn: Option<Turn>,
}

/// What an attempt brought: a device and what it is, nothing better than what is in use, or why there is none.
type Outcome<D> = Result<Option<(D, usize, Presence)>, DeviceError>;

impl<D: Send + 'static> Lasting<D> {
    /// Something that is open and stays so, like a file: when it fails, it has failed.
    pub(crate) fn fixed(device: D, name: String) -> Self {
        let mut fixed = Self::empty(None);
        (fixed.device, fixed.turn) = (Some(device), Some(Turn::Using(name)));
        fixed
    }

    /// The best of several choices; it is opened when [`Self::turn`] is first called.
    pub(crate) fn new(choices: impl Choices<D>) -> Self {
        Self::empty(Some(Arc::new(choices)))
    }

    fn empty(choices: Option<Arc<dyn Choices<D>>>) -> Self {
        let close = choices.is_some().then_some(close as fn(D) -> Receiver<()>);
        Self {
            choices,
            device: None,
            close,
            closing: None,
            used: None,
            attempt: None,
            due: None,
            pause: SOON,
            told: false,
            attempts: 0,
            turn: None,
        }
    }

    /// Does what is due, and says once what has changed. The thread that calls it is woken when there is something new.
    pub fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.take_outcome(now);
        if self.attempt.is_none() && self.due.is_none_or(|due| due <= now) {
            self.look(now);
        }
        self.turn.take()
    }

    /// Whether what is in use is what was asked for, or a device in its place, and does not just stand in.
    pub fn is_real(&self) -> bool {
        self.choices.is_none() || self.used.is_some()
    }

    /// What is in use, or stands in; nothing until the first attempt to open it is over.
    pub fn device(&self) -> Option<&D> {
        self.device.as_ref()
    }

    /// The same, to be used.
    pub fn device_mut(&mut self) -> Option<&mut D> {
        self.device.as_mut()
    }

    /// The device in use failed: another one is looked for.
    ///
    /// # Errors
    /// The same error where there is no other, as with a file.
    pub fn lost(&mut self, now: Instant, error: DeviceError) -> Result<(), DeviceError> {
        if self.choices.is_none() || self.used.is_none() {
            return Err(error);
        }
        self.used = None;
        self.without(now, error);
        (self.due, self.pause) = (Some(now), SOON);
        Ok(())
    }

    fn without(&mut self, now: Instant, error: DeviceError) {
        self.told = true;
        self.turn = Some(Turn::Without(error));
        let stand_in = self.choices.as_ref().and_then(|choices| choices.stand_in(now));
        self.replace(stand_in);
    }

    fn replace(&mut self, device: Option<D>) {
        if let Some(old) = std::mem::replace(&mut self.device, device) {
            self.closing = Some(close(old));
        }
    }

    fn take_outcome(&mut self, now: Instant) {
        let Some((since, attempt)) = &self.attempt else { return };
        let (since, outcome) = (*since, attempt.try_recv());
        match outcome {
            Ok(Ok(Some((device, choice, presence)))) => {
                self.attempt = None;
                self.replace(Some(device));
                self.used = Some((choice, presence));
                self.turn = self.choices.as_ref().map(|choices| Turn::Using(choices.name(choice)));
                (self.due, self.pause, self.told) = (Some(now + LOOK), SOON, false);
            }
            Ok(Ok(None)) => (self.attempt, self.due) = (None, Some(now + LOOK)),
            Ok(Err(error)) => {
                self.attempt = None;
                self.due = Some(now + self.pause);
                self.pause = (self.pause * 2).min(SELDOM);
                // What was in use is gone, though it may still run.
                self.told &= self.used.take().is_none();
                self.tell_failure(now, error);
            }
            Err(TryRecvError::Empty) if now.saturating_duration_since(since) > HANGS => {
                let error = DeviceError::Codec { what: "the device", reason: "its driver does not answer".to_owned() };
                self.tell_failure(now, error);
            }
            Err(TryRecvError::Empty) => {}
            // It panicked in a driver's library, most likely; that is as good as an answer.
            Err(TryRecvError::Disconnected) => (self.attempt, self.due) = (None, Some(now + SELDOM)),
        }
    }

    fn tell_failure(&mut self, now: Instant, error: DeviceError) {
        if !self.told && self.used.is_none() {
            self.without(now, error);
        }
    }

    fn look(&mut self, now: Instant) {
        let Some(choices) = self.choices.clone() else { return };
        let (answer, attempt) = sync_channel(1);
        let (used, owner, closing) = (self.used.clone(), thread::current(), self.closing.take());
        let count = if self.attempts == 0 { 1 } else { choices.count() };
        self.attempts = self.attempts.saturating_add(1);
        let work = move || {
            // A driver that gave up keeps to that for as long as anybody has it open.
            if let Some(closing) = closing {
                let _ = closing.recv_timeout(CLOSING);
            }
            let outcome = best(&*choices, count, used.as_ref(), now);
            // Whoever gave up waiting has no use for it.
            let _ = answer.send(outcome);
            owner.unpark();
        };
        match thread::Builder::new().name("open-device".into()).spawn(work) {
            Ok(_) => self.attempt = Some((now, attempt)),
            Err(error) => {
                tracing::warn!(%error, "no thread to be had to open a device");
                self.due = Some(now + SELDOM);
            }
        }
    }
}

/// Opens the best of the first `count` choices that is there and better than what is `used`.
fn best<D: 'static>(
    choices: &dyn Choices<D>,
    count: usize,
    used: Option<&(usize, Presence)>,
    now: Instant,
) -> Outcome<D> {
    let (mut reason, mut gone) = (None, false);
    for choice in 0..count {
        let presence = choices.presence(choice);
        match used {
            Some((used, _)) if choice > *used && !gone => break,
            Some((used, before)) if choice == *used => match &presence {
                Err(Unsure) => break,
                Ok(None) => gone = true,
                Ok(Some(_)) if presence == *before => break,
                Ok(Some(_)) => {}
            },
            _ => {}
        }
        match choices.open(choice, now) {
            Ok(device) => return Ok(Some((device, choice, presence))),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    match reason {
        Some(error) if used.is_none() || gone => Err(error),
        _ => Ok(None),
    }
}

/// Drops a device on a thread of its own; the answer disappears when it is done.
fn close<D: Send + 'static>(device: D) -> Receiver<()> {
    let (done, closed) = sync_channel(1);
    let work = move || {
        drop(device);
        drop(done);
    };
    // Without a thread to be had, it is dropped where it is.
    let _ = thread::Builder::new().name("close-device".into()).spawn(work);
    closed
}

impl<D> Drop for Lasting<D> {
    fn drop(&mut self) {
        if let (Some(close), Some(device)) = (self.close, self.device.take()) {
            // Whoever opens it next should find it free.
            let _ = close(device).recv_timeout(CLOSING);
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Lasting<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting").field("device", &self.device).field("used", &self.used).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
