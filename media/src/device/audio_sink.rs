//! Sinks of sound: loudspeaker, WAV file at a loudspeaker's pace, nothing at that pace.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::audio::wav_error;
use super::lasting::{Lasting, Specs};
#[cfg(feature = "devices")]
use super::sound_card::Loudspeaker;
use super::{AudioSinkSpec, DeviceError};
use crate::pcm::{BLOCK, SAMPLE_RATE};

/// What a loudspeaker's buffer bridges; a writer later than this leaves a hole that is heard.
const PATIENCE: Duration = Duration::from_millis(40);

/// Blocks between updates of a file's header, so that a killed program leaves a whole file: one second.
const FLUSH: u64 = 100;

/// Blocks a WAV file holds: it counts its bytes in 32 bits, which is twelve hours and a half.
const MAX_BLOCKS: u64 = (u32::MAX as u64 - 1_024) / (BLOCK as u64 * 2);

/// Something that takes a block of sound every 10 ms of its own clock.
#[derive(Debug)]
pub struct AudioSink {
    output: Output,
    start: Instant,
    /// Nanoseconds a block lasts by the machine's clock.
    block_nanos: f64,
    /// Blocks written or missed so far.
    blocks: u64,
    missed: u64,
}

enum Output {
    Nothing,
    Wav {
        path: PathBuf,
        writer: WavWriter<BufWriter<File>>,
    },
    #[cfg(feature = "devices")]
    Loudspeaker {
        device: Box<Loudspeaker>,
        due: Instant,
    },
}

impl AudioSink {
    /// Opens what `spec` names; its first sample is heard at `now`.
    ///
    /// # Errors
    /// [`DeviceError`] when the device is not there or the file cannot be made.
    pub fn open(spec: &AudioSinkSpec, now: Instant) -> Result<Self, DeviceError> {
        let (output, skew_ppm) = match spec {
            AudioSinkSpec::None => (Output::Nothing, 0.0),
            AudioSinkSpec::Wav { path, skew_ppm } => (create(path)?, *skew_ppm),
            AudioSinkSpec::Default => (loudspeaker(None, now)?, 0.0),
            AudioSinkSpec::Named(name) => (loudspeaker(Some(name), now)?, 0.0),
        };
        let block_nanos = 10_000_000.0 / (1.0 + skew_ppm.clamp(-100_000.0, 100_000.0) * 1e-6);
        Ok(Self { output, start: now, block_nanos, blocks: 0, missed: 0 })
    }

    /// Opens what `spec` names and keeps it in use while loudspeakers come and go: another one takes its place, and where
    /// there is none, what is played is heard by nobody. A file is opened at once, a loudspeaker by the first
    /// [`Lasting::turn`].
    ///
    /// # Errors
    /// As [`Self::open`], for what is no device.
    pub fn lasting(spec: &AudioSinkSpec, now: Instant) -> Result<Lasting<Self>, DeviceError> {
        let is_device = matches!(spec, AudioSinkSpec::Default | AudioSinkSpec::Named(_));
        if !is_device || !cfg!(feature = "devices") {
            return Ok(Lasting::fixed(Self::open(spec, now)?, spec.to_string()));
        }
        let mut specs = vec![spec.clone(), AudioSinkSpec::Default];
        specs.dedup();
        let presence = |name: Option<&str>| super::presence(super::Kind::Loudspeaker, name);
        Ok(Lasting::new(Specs {
            specs,
            open: Self::open,
            stand_in: Some(AudioSinkSpec::None),
            presence,
            name: AudioSinkSpec::device,
        }))
    }

    /// When the next block must be written.
    #[must_use]
    pub fn next_due(&self) -> Instant {
        #[cfg(feature = "devices")]
        if let Output::Loudspeaker { due, .. } = &self.output {
            return *due;
        }
        self.start + Duration::from_nanos((self.blocks as f64 * self.block_nanos) as u64)
    }

    /// Whether blocks may come a little late, as long as they are what they would have been: nobody listens to a file while
    /// it is written.
    #[must_use]
    pub const fn is_patient(&self) -> bool {
        match &self.output {
            Output::Nothing | Output::Wav { .. } => true,
            #[cfg(feature = "devices")]
            Output::Loudspeaker { .. } => false,
        }
    }

    /// Takes the block that was due.
    ///
    /// # Errors
    /// [`DeviceError`] when the device went away or the file cannot be written; the sink is then of no more use.
    pub fn write(&mut self, now: Instant, pcm: &[i16; BLOCK]) -> Result<(), DeviceError> {
        #[cfg(feature = "devices")]
        if let Output::Loudspeaker { device, due } = &mut self.output {
            // Its own clock sets the pace: the next block is due shortly before it is taken.
            *due = device.write(now, pcm)?;
            self.blocks += 1;
            return Ok(());
        }
        // What came too late to be heard was heard as silence.
        while now.saturating_duration_since(self.next_due()) > PATIENCE {
            self.put(&[0; BLOCK])?;
            self.missed += 1;
        }
        self.put(pcm)
    }

    /// When the first sample was heard: sample `n` of a file was heard `n` samples of its clock later.
    #[must_use]
    pub fn started_at(&self) -> Instant {
        self.start
    }

    /// How long after [`Self::write`] a block is heard; a loudspeaker's is known once it has asked for sound.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.latencies().0
    }

    /// How much of [`Self::latency`] is the sound system's.
    #[must_use]
    pub fn system(&self) -> Duration {
        self.latencies().1
    }

    fn latencies(&self) -> (Duration, Duration) {
        match &self.output {
            Output::Nothing | Output::Wav { .. } => (Duration::ZERO, Duration::ZERO),
            #[cfg(feature = "devices")]
            Output::Loudspeaker { device, .. } => device.latency(),
        }
    }

    /// Blocks that were silent because nobody wrote them in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        #[cfg(feature = "devices")]
        if let Output::Loudspeaker { device, .. } = &self.output {
            return device.missed() / BLOCK as u64;
        }
        self.missed
    }

    fn put(&mut self, pcm: &[i16; BLOCK]) -> Result<(), DeviceError> {
        self.blocks += 1;
        match &mut self.output {
            Output::Nothing => Ok(()),
            #[cfg(feature = "devices")]
            Output::Loudspeaker { .. } => Ok(()),
            Output::Wav { path, .. } if self.blocks > MAX_BLOCKS => {
                Err(DeviceError::format(&*path, "is full: a WAV file holds twelve hours of sound, record to another"))
            }
            Output::Wav { path, writer } => {
                let mut samples = writer.get_i16_writer(BLOCK as u32);
                pcm.iter().for_each(|&sample| samples.write_sample(sample));
                let mut result = samples.flush();
                if result.is_ok() && self.blocks.is_multiple_of(FLUSH) {
                    result = writer.flush();
                }
                result.map_err(|error| wav_error(path, error))
            }
        }
    }
}

#[cfg(feature = "devices")]
fn loudspeaker(name: Option<&str>, now: Instant) -> Result<Output, DeviceError> {
    Ok(Output::Loudspeaker { device: Box::new(Loudspeaker::open(name)?), due: now })
}

#[cfg(not(feature = "devices"))]
fn loudspeaker(_: Option<&str>, _: Instant) -> Result<Output, DeviceError> {
    Err(DeviceError::NotBuilt(super::Kind::Loudspeaker))
}

fn create(path: &Path) -> Result<Output, DeviceError> {
    let spec = WavSpec { channels: 1, sample_rate: SAMPLE_RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let writer = WavWriter::create(path, spec).map_err(|error| wav_error(path, error))?;
    Ok(Output::Wav { path: path.to_owned(), writer })
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            #[cfg(feature = "devices")]
            Self::Loudspeaker { .. } => f.write_str("Loudspeaker"),
            Self::Wav { path, .. } => write!(f, "Wav({})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
