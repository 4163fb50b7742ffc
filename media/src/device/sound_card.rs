//! Real microphones and loudspeakers, through cpal.
//!
//! The system's callback and our thread share a ring and a few atomics and nothing else. Callbacks come in sizes of the
//! system's choosing; the ring is what makes frames and blocks of them. The ring holds mono samples at the device's own
//! rate; conversion happens on our side of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, ErrorKind, FromSample, Sample, SampleFormat, SizedSample, StreamConfig, SupportedBufferSize,
    SupportedStreamConfig,
};
use rtrb::{Consumer, Producer, RingBuffer};

use super::lasting::Presence;
use super::names::{self, Listed};
use super::quiet::quietly;
use super::{DeviceError, Kind};
use crate::pcm::{BLOCK, BLOCK_TIME, FRAME, SAMPLE_RATE};
use crate::resample::Resampler;

/// Samples of a callback, at 48 kHz, if the device can: default sizes lose samples on some systems and buffer seconds on
/// others.
const CALLBACK: u32 = 480;

/// The same for a microphone of ALSA, which holds two of them: a frame is complete no later than with shorter ones, and
/// whoever is late by less than this loses nothing.
const HEARD: u32 = FRAME as u32;

/// Both rings hold this much: a microphone's is emptied every 20 ms, a loudspeaker's is kept at [`LEVEL`]. What does not
/// fit is dropped.
const RING: Duration = Duration::from_millis(250);

/// What a loudspeaker's ring is kept at: a callback that takes one block while the next is on its way. Where callbacks
/// are larger, one of theirs and a block.
const LEVEL: Duration = Duration::from_millis(20);

/// A device that gives or takes nothing for this long is gone.
const SILENT: Duration = Duration::from_secs(3);

/// What a callback and our side tell each other.
#[derive(Debug, Default)]
struct Shared {
    /// The system said that the device is gone.
    failed: AtomicBool,
    /// Callbacks so far.
    calls: AtomicU64,
    /// Samples of the largest of them.
    largest: AtomicU64,
    /// Samples that found no room, or no sound to play.
    missed: AtomicU64,
    /// How often the system lost sound before or after us, because it or we were late.
    hitches: AtomicU64,
}

/// A microphone that is running.
pub(super) struct Microphone {
    watch: Watch,
    ring: Consumer<i16>,
    resampler: Option<Resampler>,
    /// Converted samples, at most one ring's worth.
    ready: Vec<i16>,
    _stream: cpal::Stream,
}

impl Microphone {
    /// Opens the default microphone, or the one called `name`.
    pub(super) fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        quietly(|| Self::start(name))
    }

    fn start(name: Option<&str>) -> Result<Self, DeviceError> {
        let (device, name) = find(Kind::Microphone, name)?;
        let watch = Watch::new(Kind::Microphone, name);
        let opened = open(&device, HEARD, DeviceTrait::default_input_config, |format, config| {
            let (producer, ring) = ring(config.sample_rate);
            let stream = match format {
                SampleFormat::I16 => listen::<i16>(&device, config, producer, &watch.shared),
                SampleFormat::I32 => listen::<i32>(&device, config, producer, &watch.shared),
                SampleFormat::F32 => listen::<f32>(&device, config, producer, &watch.shared),
                SampleFormat::U16 => listen::<u16>(&device, config, producer, &watch.shared),
                SampleFormat::U8 => listen::<u8>(&device, config, producer, &watch.shared),
                other => Err(unusable(other)),
            };
            Ok((running(stream?)?, ring))
        });
        let ((stream, ring), rate) = opened.map_err(|error| watch.error(&error))?;
        let resampler = (rate != SAMPLE_RATE).then(|| Resampler::to_48k(rate));
        Ok(Self { watch, ring, resampler, ready: Vec::with_capacity(RING_SAMPLES), _stream: stream })
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
        Ok(self.ready.len() >= FRAME)
    }

    /// Samples converted and not yet taken.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes a complete frame.
    pub(super) fn take(&mut self, frame: &mut [i16; FRAME]) {
        frame.copy_from_slice(&self.ready[..FRAME]);
        self.ready.drain(..FRAME);
    }
}

const RING_SAMPLES: usize = SAMPLE_RATE as usize / 4;

/// A loudspeaker that is running.
pub(super) struct Loudspeaker {
    watch: Watch,
    ring: Producer<i16>,
    rate: u32,
    resampler: Option<Resampler>,
    converted: Vec<i16>,
    _stream: cpal::Stream,
}

impl Loudspeaker {
    /// Opens the default loudspeaker, or the one called `name`.
    pub(super) fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        quietly(|| Self::start(name))
    }

    fn start(name: Option<&str>) -> Result<Self, DeviceError> {
        let (device, name) = find(Kind::Loudspeaker, name)?;
        let watch = Watch::new(Kind::Loudspeaker, name);
        let opened = open(&device, CALLBACK, DeviceTrait::default_output_config, |format, config| {
            let (ring, consumer) = ring(config.sample_rate);
            let stream = match format {
                SampleFormat::I16 => speak::<i16>(&device, config, consumer, &watch.shared),
                SampleFormat::I32 => speak::<i32>(&device, config, consumer, &watch.shared),
                SampleFormat::F32 => speak::<f32>(&device, config, consumer, &watch.shared),
                SampleFormat::U16 => speak::<u16>(&device, config, consumer, &watch.shared),
                SampleFormat::U8 => speak::<u8>(&device, config, consumer, &watch.shared),
                other => Err(unusable(other)),
            };
            Ok((running(stream?)?, ring))
        });
        let ((stream, ring), rate) = opened.map_err(|error| watch.error(&error))?;
        let resampler = (rate != SAMPLE_RATE).then(|| Resampler::new(SAMPLE_RATE, rate));
        Ok(Self { watch, ring, rate, resampler, converted: Vec::with_capacity(2 * BLOCK), _stream: stream })
    }

    /// Takes a block and says how long until the next is wanted.
    pub(super) fn write(&mut self, now: Instant, pcm: &[i16; BLOCK]) -> Result<Duration, DeviceError> {
        self.watch.check(now)?;
        self.converted.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.push(pcm.iter().copied(), &mut self.converted),
            None => self.converted.extend_from_slice(pcm),
        }
        let (_, left) = self.ring.push_partial_slice(&self.converted);
        self.watch.shared.missed.fetch_add(left.len() as u64, Ordering::Relaxed);
        let level = self.ring.buffer().capacity() - self.ring.slots();
        Ok(self.lasts(level as u64).saturating_sub(self.level()))
    }

    /// From write to sound: the ring's level and one callback of the system's.
    pub(super) fn latency(&self) -> Duration {
        self.level() + self.callback()
    }

    fn level(&self) -> Duration {
        LEVEL.max(self.callback() + BLOCK_TIME)
    }

    fn callback(&self) -> Duration {
        self.lasts(self.watch.shared.largest.load(Ordering::Relaxed)).clamp(BLOCK_TIME, RING / 2)
    }

    fn lasts(&self, samples: u64) -> Duration {
        Duration::from_secs_f64(samples as f64 / f64::from(self.rate))
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

/// The names that open devices of this kind.
pub(super) fn names(kind: Kind) -> Vec<String> {
    let listed: Vec<Listed> = quietly(|| listed(kind)).into_iter().map(|(_, listed)| listed).collect();
    names::shown(&listed)
}

/// All that the system lists of this kind.
fn listed(kind: Kind) -> Vec<(cpal::Device, Listed)> {
    let host = cpal::default_host();
    let alsa = host.id().name() == names::ALSA;
    let devices = host.devices().into_iter().flatten().filter(|device| match kind {
        Kind::Microphone => device.supports_input(),
        Kind::Loudspeaker | Kind::Camera => device.supports_output(),
    });
    let described = devices.filter_map(|device| {
        let description = device.description().ok()?;
        // ALSA's name for a device is what cpal calls its driver.
        let own = description.driver().filter(|_| alsa).map(str::to_owned);
        let id = own.or_else(|| Some(device.id().ok()?.id().to_owned())).unwrap_or_default();
        let listed = Listed { alsa, id, description: description.name().to_owned() };
        Some((device, listed))
    });
    described.collect()
}

/// What the device of a name is now, or the system's choice. ALSA, asked for a device that is in use, may well say that it
/// is not there, so it is not asked.
pub(super) fn presence(kind: Kind, name: Option<&str>) -> Presence {
    let host = cpal::default_host();
    if host.id().name() == names::ALSA {
        return Presence::Unknown;
    }
    let device = match (name.filter(|name| *name != names::DEFAULT), kind) {
        (Some(name), _) => {
            let listed: Vec<Listed> = listed(kind).into_iter().map(|(_, listed)| listed).collect();
            return match names::find(&listed, name) {
                Some(place) => Presence::Is(listed[place].id.clone()),
                // An empty list is a server that does not answer.
                None if listed.is_empty() => Presence::Unknown,
                None => Presence::Gone,
            };
        }
        (None, Kind::Microphone) => host.default_input_device(),
        (None, Kind::Loudspeaker | Kind::Camera) => host.default_output_device(),
    };
    let id = device.and_then(|device| device.id().ok());
    id.map_or(Presence::Unknown, |id| Presence::Is(id.to_string()))
}

fn find(kind: Kind, name: Option<&str>) -> Result<(cpal::Device, String), DeviceError> {
    let Some(name) = name.filter(|name| *name != names::DEFAULT) else {
        let host = cpal::default_host();
        let device = match kind {
            Kind::Microphone => host.default_input_device(),
            Kind::Loudspeaker | Kind::Camera => host.default_output_device(),
        };
        return device.map(|device| (device, names::DEFAULT.to_owned())).ok_or(DeviceError::NoDefault(kind));
    };
    let (mut devices, listed): (Vec<_>, Vec<_>) = listed(kind).into_iter().unzip();
    match names::find(&listed, name) {
        Some(place) => Ok((devices.swap_remove(place), name.to_owned())),
        None => Err(DeviceError::NotFound { kind, name: name.to_owned() }),
    }
}

/// Runs a stream of the device with `start`, and says its rate.
fn open<T>(
    device: &cpal::Device,
    callback: u32,
    preference: fn(&cpal::Device) -> Result<SupportedStreamConfig, cpal::Error>,
    start: impl Fn(SampleFormat, StreamConfig) -> Result<T, cpal::Error>,
) -> Result<(T, u32), cpal::Error> {
    let preferred = || preference(device).map(|preferred| (preferred.sample_format(), config(&preferred)));
    if device.id().is_ok_and(|id| id.host().name() == names::ALSA) {
        return negotiate(callback, preferred, start);
    }
    let (format, config) = preferred()?;
    Ok((start(format, config)?, config.sample_rate))
}

/// With ALSA, as we use sound ourselves if the device can, or else as it prefers. To ask it for that is slow: thousands of
/// combinations are tried, which takes longer than all the rest.
fn negotiate<T>(
    callback: u32,
    preferred: impl FnOnce() -> Result<(SampleFormat, StreamConfig), cpal::Error>,
    start: impl Fn(SampleFormat, StreamConfig) -> Result<T, cpal::Error>,
) -> Result<(T, u32), cpal::Error> {
    // A card that several programs share has callbacks of a size of its own, which it tells too late.
    let either_size = |format, config: StreamConfig| {
        let any = StreamConfig { buffer_size: BufferSize::Default, ..config };
        let opened = start(format, config).or_else(|error| start(format, any).map_err(|_| error));
        opened.map(|opened| (opened, config.sample_rate))
    };
    let ours = StreamConfig { channels: 1, sample_rate: SAMPLE_RATE, buffer_size: BufferSize::Fixed(callback) };
    either_size(SampleFormat::I16, ours).or_else(|_| {
        let (format, config) = preferred()?;
        either_size(format, config)
    })
}

fn running(stream: cpal::Stream) -> Result<cpal::Stream, cpal::Error> {
    stream.play()?;
    Ok(stream)
}

fn ring(rate: u32) -> (Producer<i16>, Consumer<i16>) {
    RingBuffer::new((RING.as_secs_f64() * f64::from(rate)) as usize)
}

fn unusable(format: SampleFormat) -> cpal::Error {
    cpal::Error::with_message(ErrorKind::UnsupportedConfig, format!("it wants samples as {format}"))
}

fn config(default: &SupportedStreamConfig) -> StreamConfig {
    let wanted = CALLBACK * default.sample_rate() / SAMPLE_RATE;
    let size = match *default.buffer_size() {
        SupportedBufferSize::Range { min, max } => wanted.min(max).max(min),
        SupportedBufferSize::Unknown => wanted,
    };
    StreamConfig {
        channels: default.channels(),
        sample_rate: default.sample_rate(),
        buffer_size: BufferSize::Fixed(size),
    }
}

fn listen<T: SizedSample>(
    device: &cpal::Device,
    config: StreamConfig,
    mut ring: Producer<i16>,
    shared: &Arc<Shared>,
) -> Result<cpal::Stream, cpal::Error>
where
    i16: FromSample<T>,
{
    let (seen, told) = (Arc::clone(shared), Arc::clone(shared));
    let channels = usize::from(config.channels).max(1);
    let data = move |input: &[T], _: &cpal::InputCallbackInfo| {
        seen.calls.fetch_add(1, Ordering::Relaxed);
        for frame in input.chunks_exact(channels) {
            let sum: i32 = frame.iter().map(|&sample| i32::from(i16::from_sample(sample))).sum();
            if ring.push((sum / channels as i32) as i16).is_err() {
                seen.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    device.build_input_stream(config, data, move |error| note(&told, &error), None)
}

fn speak<T: SizedSample + FromSample<i16>>(
    device: &cpal::Device,
    config: StreamConfig,
    mut ring: Consumer<i16>,
    shared: &Arc<Shared>,
) -> Result<cpal::Stream, cpal::Error> {
    let (seen, told) = (Arc::clone(shared), Arc::clone(shared));
    let channels = usize::from(config.channels).max(1);
    // A hole starts and ends softly: the level falls and rises over 2 ms instead of at once.
    let (mut last, mut gain) = (0_i16, 0_i32);
    let data = move |output: &mut [T], _: &cpal::OutputCallbackInfo| {
        seen.calls.fetch_add(1, Ordering::Relaxed);
        seen.largest.fetch_max((output.len() / channels) as u64, Ordering::Relaxed);
        for frame in output.chunks_exact_mut(channels) {
            match ring.pop() {
                Ok(sample) => (last, gain) = (sample, (gain + 1).min(SOFT)),
                Err(_) => {
                    gain = (gain - 1).max(0);
                    seen.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
            frame.fill(T::from_sample((i32::from(last) * gain / SOFT) as i16));
        }
    };
    device.build_output_stream(config, data, move |error| note(&told, &error), None)
}

/// Samples a loudspeaker fades over where sound is missing.
const SOFT: i32 = 96;

fn note(shared: &Shared, error: &cpal::Error) {
    // A hitch or a change of route is no end; these are.
    if matches!(error.kind(), ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable)
    {
        shared.failed.store(true, Ordering::Relaxed);
    } else if error.kind() == ErrorKind::Xrun {
        shared.hitches.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Config = (SampleFormat, StreamConfig);

    /// What a card is opened with that takes some configurations only and prefers 44.1 kHz, and what it was asked before.
    fn asked(takes: impl Fn(&Config) -> bool) -> (Result<(Config, u32), cpal::Error>, usize) {
        let preferred = StreamConfig { channels: 2, sample_rate: 44_100, buffer_size: BufferSize::Fixed(441) };
        let refused = std::cell::Cell::new(0);
        let start = |format, config| {
            if takes(&(format, config)) {
                return Ok((format, config));
            }
            refused.set(refused.get() + 1);
            Err(cpal::Error::with_message(ErrorKind::UnsupportedConfig, format!("refusal {}", refused.get())))
        };
        (negotiate(CALLBACK, || Ok((SampleFormat::F32, preferred)), start), refused.get())
    }

    #[test]
    fn a_card_that_takes_what_we_have_is_asked_for_nothing_else() {
        let ours = StreamConfig { channels: 1, sample_rate: SAMPLE_RATE, buffer_size: BufferSize::Fixed(CALLBACK) };
        let (opened, refused) = asked(|_| true);
        assert_eq!((opened.expect("taken"), refused), (((SampleFormat::I16, ours), SAMPLE_RATE), 0));
    }

    #[test]
    fn a_shared_card_has_callbacks_of_its_own_size() {
        let (opened, _) = asked(|(_, config)| config.buffer_size == BufferSize::Default);
        let ((format, config), rate) = opened.expect("taken");
        assert_eq!((format, config.channels, rate), (SampleFormat::I16, 1, SAMPLE_RATE));
    }

    #[test]
    fn a_card_that_takes_nothing_of_ours_has_what_it_prefers() {
        let ((format, _), rate) = asked(|(format, _)| *format == SampleFormat::F32).0.expect("taken");
        assert_eq!((format, rate), (SampleFormat::F32, 44_100));
    }

    #[test]
    fn why_a_card_refuses_what_it_prefers_is_told() {
        let (refusal, refused) = asked(|_| false);
        assert!(refusal.expect_err("refused").to_string().contains("refusal 3"));
        assert_eq!(refused, 4);
    }
}
