//! Real microphones and loudspeakers, through cpal.
//!
//! The system's callback and our thread share two rings and a few atomics and nothing else. Callbacks come in sizes of the
//! system's choosing; the ring is what makes frames and blocks of them. The ring holds mono samples at the device's own
//! rate; conversion happens on our side of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{ErrorKind, FromSample, SampleFormat, SizedSample, StreamConfig};
use rtrb::{Consumer, Producer};

use super::callback::{Hear, Mark, Shared, Speak, Stamp};
use super::negotiate::{self, CALLBACK, running, unusable};
use super::pace::{Lead, Pace};
use super::quiet::quietly;
use super::sound_system::find;
use super::{DeviceError, Kind};
use crate::mean::Mean;
use crate::pcm::{self, BLOCK, BLOCK_TIME, FRAME, FRAME_TIME, SAMPLE_RATE};
use crate::resample::Resampler;

/// Samples of a callback of a microphone of ALSA, which holds two of them: a frame is complete no later than with shorter
/// ones, and whoever is late by less than this loses nothing.
const HEARD: u32 = FRAME as u32;

/// Both rings hold this much: a microphone's is emptied every 20 ms, a loudspeaker's holds what the next callback takes.
/// What does not fit is dropped.
const RING: Duration = Duration::from_millis(250);

/// What a loudspeaker's ring is filled to before its first callback.
const AT_FIRST: Duration = Duration::from_millis(20);

/// The least time between two looks for sound that should have come.
const POLL: Duration = Duration::from_millis(1);

/// No system is that far behind: what says so is a broken clock.
const FARTHEST: Duration = Duration::from_secs(2);

/// A device that gives or takes nothing for this long is gone.
const SILENT: Duration = Duration::from_secs(3);

/// A microphone that is running.
pub(super) struct Microphone {
    watch: Watch,
    ring: Consumer<i16>,
    marks: Consumer<Mark>,
    pace: Pace,
    rate: u32,
    resampler: Option<Resampler>,
    /// Converted samples, at most one ring's worth.
    ready: Vec<i16>,
    /// Converted samples taken so far.
    taken: u64,
    /// From the capture of a sample until the system hands it over.
    system: Mean,
    stream: cpal::Stream,
}

impl Microphone {
    /// Opens the default microphone, or the one called `name`.
    pub(super) fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        quietly(|| Self::start(name))
    }

    fn start(name: Option<&str>) -> Result<Self, DeviceError> {
        let (device, name) = find(Kind::Microphone, name)?;
        let watch = Watch::new(Kind::Microphone, name);
        let opened = negotiate::open(&device, HEARD, DeviceTrait::default_input_config, |format, config| {
            let (hear, ring, marks) = Hear::new(room(config.sample_rate), config.channels, &watch.shared);
            let stream = match format {
                SampleFormat::I16 => listen::<i16>(&device, config, hear, &watch.shared),
                SampleFormat::I32 => listen::<i32>(&device, config, hear, &watch.shared),
                SampleFormat::F32 => listen::<f32>(&device, config, hear, &watch.shared),
                SampleFormat::U16 => listen::<u16>(&device, config, hear, &watch.shared),
                SampleFormat::U8 => listen::<u8>(&device, config, hear, &watch.shared),
                other => Err(unusable(other)),
            };
            Ok((running(stream?)?, ring, marks))
        });
        let ((stream, ring, marks), rate) = opened.map_err(|error| watch.error(&error))?;
        let resampler = (rate != SAMPLE_RATE).then(|| Resampler::to_48k(rate));
        let (pace, system) = (Pace::new(rate), Mean::over(50));
        let ready = Vec::with_capacity(RING_SAMPLES);
        Ok(Self { watch, ring, marks, pace, rate, resampler, ready, taken: 0, system, stream })
    }

    /// Takes over what the callback left, and says whether a frame is complete.
    pub(super) fn poll(&mut self, now: Instant) -> Result<bool, DeviceError> {
        self.watch.check(now)?;
        let available = self.ring.slots().min(RING_SAMPLES.saturating_sub(self.ready.len()));
        if let Ok(chunk) = self.ring.read_chunk(available) {
            match &mut self.resampler {
                Some(resampler) => resampler.push(chunk, &mut self.ready),
                None => self.ready.extend(chunk),
            }
        }
        while let Ok(mark) = self.marks.pop() {
            self.pace.note(by_our_clock(&self.stream, now, mark.at), mark);
        }
        Ok(self.ready.len() >= FRAME)
    }

    /// When to look for the next frame.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let missing = FRAME.saturating_sub(self.ready.len()) as u64;
        if missing == 0 {
            return now;
        }
        let guess = now + pcm::duration(missing);
        self.pace.brings(self.own(self.taken + FRAME as u64)).unwrap_or(guess).clamp(now + POLL, guess + POLL)
    }

    /// Takes a complete frame, and says when its first sample was captured.
    pub(super) fn take(&mut self, now: Instant, frame: &mut [i16; FRAME]) -> Instant {
        frame.copy_from_slice(&self.ready[..FRAME]);
        self.ready.drain(..FRAME);
        self.taken += FRAME as u64;
        let end = self.own(self.taken);
        let handed_over = match self.pace.of(end.saturating_sub(1)) {
            Some((at, mark)) => {
                let through = mark.through_ring();
                // What a callback brings was captured before it came, each sample at its time.
                let away = mark.away.max(self.pace.lasts(u64::from(mark.count))).min(FARTHEST);
                let earlier = self.pace.lasts(end.saturating_sub(through.start));
                self.system.push(away.saturating_sub(earlier));
                at
            }
            None => now.checked_sub(pcm::duration(self.ready.len() as u64)).unwrap_or(now),
        };
        handed_over.checked_sub(FRAME_TIME + self.system()).unwrap_or(handed_over)
    }

    /// From the capture of a sample until the system hands it over, on average over the last second.
    pub(super) fn system(&self) -> Duration {
        self.system.get().unwrap_or_default()
    }

    /// Samples that found no room.
    pub(super) fn missed(&self) -> u64 {
        self.watch.shared.missed.load(Ordering::Relaxed)
    }

    /// So many of our samples in samples of the device.
    fn own(&self, samples: u64) -> u64 {
        samples * u64::from(self.rate) / u64::from(SAMPLE_RATE)
    }
}

const RING_SAMPLES: usize = SAMPLE_RATE as usize / 4;

/// Samples that a ring holds.
fn room(rate: u32) -> usize {
    (RING.as_secs_f64() * f64::from(rate)) as usize
}

/// A moment of the stream's clock, not long ago, by ours.
fn by_our_clock(stream: &cpal::Stream, now: Instant, at: Duration) -> Instant {
    let ago = since_start(stream.now()).saturating_sub(at).min(FARTHEST);
    now.checked_sub(ago).unwrap_or(now)
}

fn since_start(at: cpal::StreamInstant) -> Duration {
    at.duration_since(cpal::StreamInstant::ZERO)
}

/// A loudspeaker that is running.
pub(super) struct Loudspeaker {
    watch: Watch,
    ring: Producer<i16>,
    marks: Consumer<Mark>,
    pace: Pace,
    lead: Lead,
    /// Samples written so far.
    written: u64,
    /// The first samples of blocks that no callback has taken, and when they were written; at most a ring's worth.
    waiting: VecDeque<(u64, Instant)>,
    resampler: Option<Resampler>,
    converted: Vec<i16>,
    /// From write until a callback takes it, and from then until it is heard.
    ours: Mean,
    system: Mean,
    stream: cpal::Stream,
}

impl Loudspeaker {
    /// Opens the default loudspeaker, or the one called `name`.
    pub(super) fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        quietly(|| Self::start(name))
    }

    fn start(name: Option<&str>) -> Result<Self, DeviceError> {
        let (device, name) = find(Kind::Loudspeaker, name)?;
        let watch = Watch::new(Kind::Loudspeaker, name);
        let opened = negotiate::open(&device, CALLBACK, DeviceTrait::default_output_config, |format, config| {
            let (speak, ring, marks) = Speak::new(room(config.sample_rate), config.channels, &watch.shared);
            let stream = match format {
                SampleFormat::I16 => say::<i16>(&device, config, speak, &watch.shared),
                SampleFormat::I32 => say::<i32>(&device, config, speak, &watch.shared),
                SampleFormat::F32 => say::<f32>(&device, config, speak, &watch.shared),
                SampleFormat::U16 => say::<u16>(&device, config, speak, &watch.shared),
                SampleFormat::U8 => say::<u8>(&device, config, speak, &watch.shared),
                other => Err(unusable(other)),
            };
            Ok((running(stream?)?, ring, marks))
        });
        let ((stream, ring, marks), rate) = opened.map_err(|error| watch.error(&error))?;
        let resampler = (rate != SAMPLE_RATE).then(|| Resampler::new(SAMPLE_RATE, rate));
        Ok(Self {
            watch,
            ring,
            marks,
            pace: Pace::new(rate),
            lead: Lead::new(),
            written: 0,
            waiting: VecDeque::with_capacity(RING_SAMPLES / BLOCK + 1),
            resampler,
            converted: Vec::with_capacity(2 * BLOCK),
            ours: Mean::over(100),
            system: Mean::over(100),
            stream,
        })
    }

    /// Takes a block and says when the next is wanted.
    pub(super) fn write(&mut self, now: Instant, pcm: &[i16; BLOCK]) -> Result<Instant, DeviceError> {
        self.watch.check(now)?;
        self.read_marks(now);
        // A device that takes nothing is not waited for: what would be heard too late is heard by nobody.
        if self.level() >= AT_FIRST + self.pace.lasts(self.pace.largest()) + self.lead.most() {
            return Ok(now + BLOCK_TIME);
        }
        self.converted.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.push(pcm.iter().copied(), &mut self.converted),
            None => self.converted.extend_from_slice(pcm),
        }
        let (put, left) = self.ring.push_partial_slice(&self.converted);
        self.watch.shared.missed.fetch_add(left.len() as u64, Ordering::Relaxed);
        if !put.is_empty() && self.waiting.len() < self.waiting.capacity() {
            self.waiting.push_back((self.written, now));
        }
        self.written += put.len() as u64;
        Ok(match self.pace.takes(self.written) {
            Some(taken) => self.lead.before(taken),
            None if self.level() < AT_FIRST => now,
            None => now + BLOCK_TIME,
        })
    }

    /// How long what is in the ring lasts.
    fn level(&self) -> Duration {
        self.pace.lasts((self.ring.buffer().capacity() - self.ring.slots()) as u64)
    }

    fn read_marks(&mut self, now: Instant) {
        while let Ok(mark) = self.marks.pop() {
            let at = by_our_clock(&self.stream, now, mark.at);
            self.pace.note(at, mark);
            let through = mark.through_ring();
            if mark.missed > 0 && through.start > 0 {
                self.lead.missed(at);
            }
            while let Some(&(first, written)) = self.waiting.front().filter(|(first, _)| *first < through.end) {
                self.waiting.pop_front();
                let waited = at.saturating_duration_since(written);
                self.lead.met(at, waited);
                // Those that waited for the device to begin say nothing of others.
                if waited < RING {
                    self.ours.push(waited);
                }
                let within = self.pace.lasts(first.saturating_sub(through.start));
                self.system.push(mark.away.min(FARTHEST) + within);
            }
        }
    }

    /// From write to sound, on average over the last second, and how much of that is the system's.
    pub(super) fn latency(&self) -> (Duration, Duration) {
        let ours = self.ours.get().unwrap_or(AT_FIRST);
        let system = self.system.get().unwrap_or(BLOCK_TIME);
        (ours + system, system)
    }

    /// Samples of silence played for want of sound, and of sound that found no room.
    pub(super) fn missed(&self) -> u64 {
        self.watch.shared.missed.load(Ordering::Relaxed)
    }
}

/// Tells a device that works from one that is gone.
struct Watch {
    kind: Kind,
    name: String,
    shared: Arc<Shared>,
    /// Callbacks at the last look, and when their number last changed.
    last: Option<(u64, Instant)>,
}

impl Watch {
    fn new(kind: Kind, name: String) -> Self {
        Self { kind, name, shared: Arc::default(), last: None }
    }

    fn error(&self, reason: &dyn ToString) -> DeviceError {
        DeviceError::Backend { kind: self.kind, name: self.name.clone(), reason: reason.to_string() }
    }

    fn check(&mut self, now: Instant) -> Result<(), DeviceError> {
        if self.shared.failed.load(Ordering::Relaxed) {
            return Err(self.error(&"it was unplugged or taken away"));
        }
        let calls = self.shared.calls.load(Ordering::Relaxed);
        // It may have been opened a while ago, elsewhere.
        let (before, since) = *self.last.get_or_insert((calls, now));
        if calls != before {
            self.last = Some((calls, now));
            return Ok(());
        }
        let silent = now.saturating_duration_since(since);
        if silent < SILENT {
            return Ok(());
        }
        Err(DeviceError::Stalled { kind: self.kind, name: self.name.clone(), silent })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Shared { calls, missed, hitches, .. } = &*self.shared;
        let [calls, missed, hitches] = [calls, missed, hitches].map(|count| count.load(Ordering::Relaxed));
        tracing::debug!(kind = %self.kind, name = self.name, calls, missed, hitches, "a sound device was closed");
    }
}

fn listen<T: SizedSample>(
    device: &cpal::Device,
    config: StreamConfig,
    mut hear: Hear,
    shared: &Arc<Shared>,
) -> Result<cpal::Stream, cpal::Error>
where
    i16: FromSample<T>,
{
    let told = Arc::clone(shared);
    let data = move |input: &[T], info: &cpal::InputCallbackInfo| {
        let cpal::InputStreamTimestamp { callback, capture } = info.timestamp();
        hear.call(input, Stamp { at: since_start(callback), away: callback.duration_since(capture) });
    };
    device.build_input_stream(config, data, move |error| note(&told, &error), None)
}

fn say<T: SizedSample + FromSample<i16>>(
    device: &cpal::Device,
    config: StreamConfig,
    mut speak: Speak,
    shared: &Arc<Shared>,
) -> Result<cpal::Stream, cpal::Error> {
    let told = Arc::clone(shared);
    let data = move |output: &mut [T], info: &cpal::OutputCallbackInfo| {
        let cpal::OutputStreamTimestamp { callback, playback } = info.timestamp();
        speak.call(output, Stamp { at: since_start(callback), away: playback.duration_since(callback) });
    };
    device.build_output_stream(config, data, move |error| note(&told, &error), None)
}

fn note(shared: &Shared, error: &cpal::Error) {
    // A hitch or a change of route is no end; these are.
    if matches!(error.kind(), ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable)
    {
        shared.failed.store(true, Ordering::Relaxed);
    } else if error.kind() == ErrorKind::Xrun {
        shared.hitches.fetch_add(1, Ordering::Relaxed);
    }
}
