//! Sources of sound: microphone, WAV file, the test scene's click, silence.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hound::{SampleFormat, WavReader};

use super::lasting::{Lasting, Specs};
#[cfg(feature = "devices")]
use super::sound_card::Microphone;
use super::{AudioSourceSpec, DeviceError};
use crate::click;
use crate::pcm::{FRAME, FRAME_TIME, duration};
use crate::resample::Resampler;

/// A reader this late skips what a microphone's buffer would have lost by then.
const PATIENCE: Duration = Duration::from_millis(200);

/// Samples of a file that are converted in one go: often enough for no step to be long, seldom enough for the loop to be
/// warm.
const CHUNK: usize = 9_600;

/// A file with more channels than this is a mistake, or meant to keep us busy.
const MAX_CHANNELS: u16 = 64;

/// Something that yields a frame of sound every 20 ms.
pub struct AudioSource {
    input: Input,
    start: Instant,
    /// Frames taken or skipped so far.
    frames: u64,
}

enum Input {
    Silence,
    Click,
    Wav(Box<WavFile>),
    #[cfg(feature = "devices")]
    Microphone {
        device: Box<Microphone>,
        due: Instant,
    },
}

impl AudioSource {
    /// Opens what `spec` names; its first sample is captured at `now`.
    ///
    /// The synthetic click starts at `now` and at every whole second after it, in step with a synthetic picture that
    /// was opened at the same `now`.
    ///
    /// # Errors
    /// [`DeviceError`] when the device or file is not there or not usable.
    pub fn open(spec: &AudioSourceSpec, now: Instant) -> Result<Self, DeviceError> {
        let input = match spec {
            AudioSourceSpec::None => Input::Silence,
            AudioSourceSpec::Synthetic => Input::Click,
            AudioSourceSpec::Wav { path, repeat } => Input::Wav(Box::new(WavFile::open(path, *repeat)?)),
            AudioSourceSpec::Default => microphone(None, now)?,
            AudioSourceSpec::Named(name) => microphone(Some(name), now)?,
        };
        Ok(Self { input, start: now, frames: 0 })
    }

    /// Opens what `spec` names and keeps it in use while microphones come and go: another one takes its place, and silence
    /// where there is none. A file is opened at once, a microphone by the first [`Lasting::turn`].
    ///
    /// # Errors
    /// As [`Self::open`], for what is no device.
    pub fn lasting(spec: &AudioSourceSpec, now: Instant) -> Result<Lasting<Self>, DeviceError> {
        let is_device = matches!(spec, AudioSourceSpec::Default | AudioSourceSpec::Named(_));
        if !is_device || !cfg!(feature = "devices") {
            return Ok(Lasting::fixed(Self::open(spec, now)?, spec.to_string()));
        }
        let mut specs = vec![spec.clone(), AudioSourceSpec::Default];
        specs.dedup();
        let presence = |name: Option<&str>| super::presence(super::Kind::Microphone, name);
        Ok(Lasting::new(Specs {
            specs,
            open: Self::open,
            stand_in: Some(AudioSourceSpec::None),
            presence,
            name: AudioSourceSpec::device,
        }))
    }

    /// The next frame and when its first sample was captured, if it is complete by `now`.
    ///
    /// # Errors
    /// [`DeviceError`] when the device went away or the file broke off; the source is then of no more use.
    pub fn read(&mut self, now: Instant, frame: &mut [i16; FRAME]) -> Result<Option<Instant>, DeviceError> {
        #[cfg(feature = "devices")]
        if let Input::Microphone { device, due } = &mut self.input {
            let captured = device.poll(now)?.then(|| device.take(now, frame));
            *due = device.due(now);
            return Ok(captured);
        }
        while now.saturating_duration_since(self.next_due()) > PATIENCE {
            self.take(frame)?;
        }
        if now < self.next_due() {
            return Ok(None);
        }
        let captured = self.start + duration(self.frames * FRAME as u64);
        self.take(frame)?;
        Ok(Some(captured))
    }

    /// When the next frame is complete.
    #[must_use]
    pub fn next_due(&self) -> Instant {
        #[cfg(feature = "devices")]
        if let Input::Microphone { due, .. } = &self.input {
            return *due;
        }
        self.start + duration(self.frames * FRAME as u64) + FRAME_TIME
    }

    /// From the capture of a sample until the sound system hands it over, on average over the last second; a file's are there
    /// at once.
    #[must_use]
    pub fn system(&self) -> Duration {
        match &self.input {
            #[cfg(feature = "devices")]
            Input::Microphone { device, .. } => device.system(),
            _ => Duration::ZERO,
        }
    }

    /// Samples that nobody took in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        match &self.input {
            #[cfg(feature = "devices")]
            Input::Microphone { device, .. } => device.missed(),
            _ => 0,
        }
    }

    fn take(&mut self, frame: &mut [i16; FRAME]) -> Result<(), DeviceError> {
        frame.fill(0);
        match &mut self.input {
            Input::Silence => {}
            Input::Click => {
                // 50 frames a second: a click never spans two of them.
                if (self.frames * FRAME as u64).is_multiple_of(click::PERIOD) {
                    click::mix(frame);
                }
            }
            Input::Wav(file) => file.fill(frame)?,
            // Read by its own pace.
            #[cfg(feature = "devices")]
            Input::Microphone { .. } => {}
        }
        self.frames += 1;
        Ok(())
    }
}

#[cfg(feature = "devices")]
fn microphone(name: Option<&str>, now: Instant) -> Result<Input, DeviceError> {
    Ok(Input::Microphone { device: Box::new(Microphone::open(name)?), due: now + FRAME_TIME })
}

#[cfg(not(feature = "devices"))]
fn microphone(_: Option<&str>, _: Instant) -> Result<Input, DeviceError> {
    Err(DeviceError::NotBuilt(super::Kind::Microphone))
}

/// A WAV file of any rate, width and number of channels, read as it is played.
struct WavFile {
    path: PathBuf,
    body: Body,
    resampler: Option<Resampler>,
    repeat: bool,
    ended: bool,
    /// Nothing was read since it was opened or rewound.
    at_start: bool,
    /// Converted samples; at most a frame and what one chunk converts to.
    ready: Vec<i16>,
    /// Those of `ready` that have been taken.
    taken: usize,
    raw: Vec<i16>,
}

/// What is behind the header.
enum Body {
    /// The usual case: 16 bits, mono. Read in one piece and not sample by sample, it costs nothing to speak of.
    Plain(Plain),
    Any(WavReader<BufReader<File>>),
}

/// Samples of 16 bits, little-endian.
struct Plain {
    file: File,
    /// Where they begin in the file, how many bytes they have, and how many of those are left.
    start: u64,
    len: u64,
    left: u64,
    buffer: Vec<u8>,
}

impl WavFile {
    fn open(path: &Path, repeat: bool) -> Result<Self, DeviceError> {
        let reader = WavReader::open(path).map_err(|error| wav_error(path, error))?;
        let spec = reader.spec();
        if !(1..=MAX_CHANNELS).contains(&spec.channels) || !(1_000..=384_000).contains(&spec.sample_rate) {
            return Err(DeviceError::format(
                path,
                "is of no usual rate or number of channels: save it as 48 kHz, mono",
            ));
        }
        if reader.duration() == 0 {
            return Err(DeviceError::format(path, "has no sound in it"));
        }
        let resampler = (spec.sample_rate != crate::SAMPLE_RATE).then(|| Resampler::to_48k(spec.sample_rate));
        let is_plain = spec.sample_format == SampleFormat::Int && spec.bits_per_sample == 16 && spec.channels == 1;
        // A pipe cannot be told where to read on.
        let body = if is_plain && path.is_file() {
            Body::Plain(Plain::new(reader).map_err(|error| DeviceError::file(path, error))?)
        } else {
            Body::Any(reader)
        };
        Ok(Self {
            path: path.to_owned(),
            body,
            resampler,
            repeat,
            ended: false,
            at_start: true,
            ready: Vec::with_capacity(FRAME + CHUNK),
            taken: 0,
            raw: Vec::with_capacity(CHUNK),
        })
    }

    fn fill(&mut self, frame: &mut [i16; FRAME]) -> Result<(), DeviceError> {
        while self.ready.len() - self.taken < FRAME && !self.ended {
            self.ready.drain(..self.taken);
            self.taken = 0;
            self.raw.clear();
            self.read_raw()?;
            if self.raw.is_empty() {
                // The second condition: a header may promise sound where there is none.
                if !self.repeat || self.at_start {
                    self.ended = true;
                    break;
                }
                self.at_start = true;
                let rewound = match &mut self.body {
                    Body::Plain(plain) => plain.rewind(),
                    Body::Any(reader) => reader.seek(0),
                };
                rewound.map_err(|error| DeviceError::file(&self.path, error))?;
                continue;
            }
            self.at_start = false;
            match &mut self.resampler {
                Some(resampler) => resampler.push(self.raw.iter().copied(), &mut self.ready),
                None => self.ready.extend_from_slice(&self.raw),
            }
        }
        let ready = &self.ready[self.taken..];
        let count = ready.len().min(FRAME);
        frame[..count].copy_from_slice(&ready[..count]);
        self.taken += count;
        Ok(())
    }

    /// Up to [`CHUNK`] samples at the file's own rate, its channels mixed into one; none at the end.
    fn read_raw(&mut self) -> Result<(), DeviceError> {
        let result = match &mut self.body {
            Body::Plain(plain) => plain.read(&mut self.raw).map_err(hound::Error::IoError),
            Body::Any(reader) => read_any(reader, &mut self.raw),
        };
        match result {
            Ok(()) => Ok(()),
            // A recording that was cut off promises more than it holds: what is there is played.
            Err(hound::Error::FormatError(_)) => Ok(()),
            Err(hound::Error::IoError(error)) if error.raw_os_error().is_none() => Ok(()),
            Err(error) => Err(wav_error(&self.path, error)),
        }
    }
}

fn read_any(reader: &mut WavReader<BufReader<File>>, raw: &mut Vec<i16>) -> Result<(), hound::Error> {
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    let wanted = CHUNK * channels;
    let (mut sum, mut count) = (0_i64, 0);
    let mut mix = |value: i64| {
        sum += value;
        count += 1;
        if count == channels {
            raw.push((sum / channels as i64).clamp(-32_768, 32_767) as i16);
            (sum, count) = (0, 0);
        }
    };
    match spec.sample_format {
        SampleFormat::Int => {
            let shift = u32::from(spec.bits_per_sample);
            reader.samples::<i32>().take(wanted).try_for_each(|value| {
                let value = i64::from(value?);
                mix(if shift >= 16 { value >> (shift - 16) } else { value << (16 - shift) });
                Ok(())
            })
        }
        SampleFormat::Float => reader.samples::<f32>().take(wanted).try_for_each(|value| {
            // Full scale is 1, but nothing keeps a file from saying infinity.
            mix((value?.clamp(-1.0, 1.0) * 32_767.0) as i64);
            Ok(())
        }),
    }
}

impl Plain {
    fn new(reader: WavReader<BufReader<File>>) -> std::io::Result<Self> {
        let len = u64::from(reader.len()) * 2;
        let mut reader = reader.into_inner();
        let start = reader.stream_position()?;
        let mut plain = Self { file: reader.into_inner(), start, len, left: 0, buffer: Vec::new() };
        plain.rewind()?;
        Ok(plain)
    }

    fn rewind(&mut self) -> std::io::Result<()> {
        self.left = self.len;
        self.file.seek(SeekFrom::Start(self.start)).map(drop)
    }

    fn read(&mut self, raw: &mut Vec<i16>) -> std::io::Result<()> {
        let wanted = self.left.min(2 * CHUNK as u64);
        self.buffer.clear();
        (&mut self.file).take(wanted).read_to_end(&mut self.buffer)?;
        self.left -= self.buffer.len() as u64;
        raw.extend(self.buffer.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])));
        Ok(())
    }
}

impl std::fmt::Debug for AudioSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioSource").field("start", &self.start).field("frames", &self.frames).finish_non_exhaustive()
    }
}

pub(super) fn wav_error(path: &Path, error: hound::Error) -> DeviceError {
    match error {
        hound::Error::IoError(error) => DeviceError::file(path, error),
        error => DeviceError::format(path, format!("is no WAV file we can use ({error}): save it as 16-bit PCM")),
    }
}

#[cfg(test)]
mod tests;
