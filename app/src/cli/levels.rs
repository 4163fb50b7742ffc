//! `visavis devices --watch`: what is plugged in and out, and which microphone hears what.

use std::time::{Duration, Instant};

use serde_json::json;
use visavis_media::FRAME;
use visavis_media::device::audio::AudioSource;
use visavis_media::device::{AudioSourceSpec, Devices};

use super::echo::{bar, dbfs};
use super::output::{Screen, Style};
use super::tools::kinds;
use crate::engine::clock;

/// How often the system is asked what there is.
const LOOK: Duration = Duration::from_secs(2);
/// How often levels are shown to a person, and told to a program.
const SHOW: Duration = Duration::from_millis(100);
const TELL: Duration = Duration::from_secs(1);
/// Microphones that are listened to at once; more are listed only.
const MAX_METERS: usize = 8;
/// Columns of one meter.
const METER: usize = 10;

/// A microphone that is listened to.
struct Meter {
    name: String,
    source: AudioSource,
    /// The loudest samples since it was last shown, and since it was last told.
    shown: u16,
    told: u16,
}

/// Runs for so long, or until the process is ended.
pub(super) fn watch(duration: Option<Duration>, screen: &Screen) {
    let begin = clock::now();
    let mut known = Devices::default();
    let mut meters: Vec<Meter> = Vec::new();
    let (mut look, mut show, mut tell) = (begin, begin + SHOW, begin + TELL);
    loop {
        let now = clock::now();
        if screen.is_broken() || duration.is_some_and(|duration| now.saturating_duration_since(begin) >= duration) {
            screen.clear();
            return;
        }
        if now >= look {
            let devices = Devices::list();
            say_changes(&known, &devices, screen);
            listen(&mut meters, &devices, now);
            known = devices;
            look = clock::now() + LOOK;
        }
        meters.retain_mut(|meter| meter.read(now));
        if now >= show {
            let bars = meters
                .iter_mut()
                .map(|meter| format!("{} {}", bar(std::mem::take(&mut meter.shown), METER), meter.name.escape_debug()));
            let line = bars.collect::<Vec<_>>().join("  ");
            screen.bottom(&line.chars().take(screen.width().saturating_sub(1)).collect::<String>());
            show = now + SHOW;
        }
        if now >= tell {
            for meter in &mut meters {
                let peak = dbfs(std::mem::take(&mut meter.told));
                screen.json(&json!({"event": "level", "name": meter.name, "peak_dbfs": peak}));
                if screen.style() == Style::Plain {
                    screen.line(&format!("{} {peak} dB", meter.name.escape_debug()));
                }
            }
            tell = now + TELL;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Meter {
    /// Takes over what was heard; `false` when the device is gone.
    fn read(&mut self, now: Instant) -> bool {
        let mut frame = [0; FRAME];
        loop {
            match self.source.read(now, &mut frame) {
                Ok(Some(_)) => {
                    let peak = frame.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
                    (self.shown, self.told) = (self.shown.max(peak), self.told.max(peak));
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

fn say_changes(before: &Devices, now: &Devices, screen: &Screen) {
    for ((_, option, kind, old), (_, _, _, new)) in kinds(before).into_iter().zip(kinds(now)) {
        for (names, others, event, sign) in [(new, old, "device", '+'), (old, new, "device-gone", '-')] {
            for name in names.iter().filter(|name| !others.contains(name)) {
                screen.line(&format!("{sign} {kind} {} ({option})", name.escape_debug()));
                screen.json(&json!({"event": event, "kind": kind, "name": name}));
            }
        }
    }
}

/// Listens to every microphone that is there. What cannot be opened is tried again at the next look.
fn listen(meters: &mut Vec<Meter>, devices: &Devices, now: Instant) {
    meters.retain(|meter| devices.microphones.contains(&meter.name));
    for name in &devices.microphones {
        let is_new = meters.iter().all(|meter| meter.name != *name);
        // The default one is one of the others.
        if !is_new || meters.len() >= MAX_METERS || (name == "default" && devices.microphones.len() > 1) {
            continue;
        }
        match AudioSource::open(&AudioSourceSpec::Named(name.clone()), now) {
            Ok(source) => meters.push(Meter { name: name.clone(), source, shown: 0, told: 0 }),
            Err(error) => tracing::info!(%error, "a microphone cannot be listened to"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::screen;

    #[test]
    fn what_comes_and_goes_is_said_once() {
        let with = |microphones: &[&str]| Devices {
            microphones: microphones.iter().map(|name| (*name).to_owned()).collect(),
            ..Devices::default()
        };
        let (screen, out, _) = screen(Style::Plain);
        say_changes(&with(&["a"]), &with(&["a"]), &screen);
        say_changes(&with(&["a", "b"]), &with(&["b", "c"]), &screen);
        assert_eq!(out.text(), "+ microphone c (--audio)\n- microphone a (--audio)\n");
    }
}
