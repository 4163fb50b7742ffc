//! Which microphones and loudspeakers there are, and which of them the system would use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cpal::traits::{DeviceTrait, HostTrait};

use super::lasting::{Presence, Unsure};
use super::names::{self, Listed};
use super::quiet::quietly;
use super::{DeviceError, Kind};

/// The way to the sound system for those who ask what there is, kept for as long as it leads somewhere: a client of PulseAudio
/// that goes away without having had a stream leaves its connection open, and a server takes 64 of them.
///
/// A stream has a connection of its own, which goes with it. On a shared one a server would take a second stream to the same
/// loudspeaker only.
static LOOKING: Connection = Connection(Mutex::new(None));

struct Connection(Mutex<Option<Arc<cpal::Host>>>);

/// There was a sound server. Whoever opens its cards while it is away keeps it from having them when it comes back.
static SERVED: AtomicBool = AtomicBool::new(false);

impl Connection {
    /// The answer of the sound system, of the one that is there now if the one before has gone.
    fn ask<T>(&self, question: impl Fn(&cpal::Host) -> Option<T>) -> Option<T> {
        let host = self.host()?;
        if let Some(answer) = question(&host) {
            return Some(answer);
        }
        // It may have nothing to say, or nobody may be there who could.
        if is_alsa(&host) || host.devices().is_ok() {
            return None;
        }
        self.forget(&host);
        question(&*self.host()?)
    }

    fn host(&self) -> Option<Arc<cpal::Host>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A sound server that starts after us takes its cards.
        if kept.as_ref().is_none_or(|host| is_alsa(host)) {
            *kept = connect().map(Arc::new);
        }
        kept.clone()
    }

    /// Whether there is a sound server that does.
    fn answers(&self) -> bool {
        self.host().is_some_and(|host| !is_alsa(&host) && host.devices().is_ok())
    }

    fn forget(&self, host: &Arc<cpal::Host>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have found out before us.
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, host)) {
            *kept = None;
        }
    }
}

/// The sound system of this machine: its sound server if it has one, even if that is away.
fn connect() -> Option<cpal::Host> {
    let host = cpal::default_host();
    if is_alsa(&host) {
        return (!SERVED.load(Ordering::Relaxed)).then_some(host);
    }
    SERVED.store(true, Ordering::Relaxed);
    Some(host)
}

fn is_alsa(host: &cpal::Host) -> bool {
    host.id().name() == names::ALSA
}

/// The names that open devices of this kind.
pub(super) fn names(kind: Kind) -> Vec<String> {
    let found = quietly(|| LOOKING.ask(|host| listed(host, kind)));
    let listed: Vec<Listed> = found.into_iter().flatten().map(|(_, listed)| listed).collect();
    names::shown(&listed)
}

/// All that the system lists of this kind, if anything.
fn listed(host: &cpal::Host, kind: Kind) -> Option<Vec<(cpal::Device, Listed)>> {
    let alsa = is_alsa(host);
    let devices = host.devices().ok()?.filter(|device| match kind {
        Kind::Microphone => device.supports_input(),
        Kind::Loudspeaker | Kind::Camera | Kind::Screen => device.supports_output(),
    });
    let described = devices.filter_map(|device| {
        let description = device.description().ok()?;
        // ALSA's name for a device is what cpal calls its driver.
        let own = description.driver().filter(|_| alsa).map(str::to_owned);
        let id = own.or_else(|| Some(device.id().ok()?.id().to_owned())).unwrap_or_default();
        let listed = Listed { alsa, id, description: description.name().to_owned() };
        Some((device, listed))
    });
    let described: Vec<_> = described.collect();
    (!described.is_empty()).then_some(described)
}

/// The device of that name, or the one that the system would use, and the system's own name for it.
fn look_up(host: &cpal::Host, kind: Kind, name: Option<&str>) -> Option<(cpal::Device, String)> {
    if let Some(name) = name {
        let (mut devices, mut listed): (Vec<_>, Vec<_>) = listed(host, kind)?.into_iter().unzip();
        let place = names::find(&listed, name)?;
        return Some((devices.swap_remove(place), listed.swap_remove(place).id));
    }
    let device = match kind {
        Kind::Microphone => host.default_input_device(),
        Kind::Loudspeaker | Kind::Camera | Kind::Screen => host.default_output_device(),
    }?;
    let id = device.id().map(|id| id.to_string()).unwrap_or_default();
    // Without a microphone a sound server offers what goes to the loudspeaker: they would hear themselves.
    (kind != Kind::Microphone || !names::is_monitor(&id)).then_some((device, id))
}

/// A name that is not the system's choice.
fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| *name != names::DEFAULT)
}

/// What the device of a name is now, or the system's choice. ALSA, asked for a device that is in use, may well say that it
/// is not there, so it is not asked.
pub(super) fn presence(kind: Kind, name: Option<&str>) -> Presence {
    if LOOKING.host().is_none_or(|host| is_alsa(&host)) {
        return Err(Unsure);
    }
    match LOOKING.ask(|host| look_up(host, kind, named(name))) {
        Some((_, id)) => Ok(Some(id)),
        None if LOOKING.answers() => Ok(None),
        None => Err(Unsure),
    }
}

/// The device to open, and what its owner calls it.
pub(super) fn find(kind: Kind, name: Option<&str>) -> Result<(cpal::Device, String), DeviceError> {
    let name = named(name);
    let is_there = LOOKING.ask(|host| look_up(host, kind, name)).is_some();
    let host = if is_there { connect() } else { None };
    let device = host.and_then(|host| look_up(&host, kind, name));
    match (device, name) {
        (Some((device, _)), name) => Ok((device, name.unwrap_or(names::DEFAULT).to_owned())),
        (None, Some(name)) => Err(DeviceError::NotFound { kind, name: name.to_owned() }),
        (None, None) => Err(DeviceError::NoDefault(kind)),
    }
}
