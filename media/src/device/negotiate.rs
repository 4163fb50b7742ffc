//! What a sound device is opened with: as we use sound ourselves where it can, as it prefers where it cannot.

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfig};

use super::names;
use crate::pcm::SAMPLE_RATE;

/// Samples of a callback, at 48 kHz, if the device can: default sizes lose samples on some systems and buffer seconds on
/// others.
pub(super) const CALLBACK: u32 = 480;

/// Runs a stream of the device with `start`, and says its rate.
pub(super) fn open<T>(
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

/// With ALSA, as we use sound ourselves if the device can, or else as it prefers: to ask for that takes some six thousand
/// questions to the kernel, where opening a device takes a hundred.
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

/// Lets a stream run.
pub(super) fn running(stream: cpal::Stream) -> Result<cpal::Stream, cpal::Error> {
    stream.play()?;
    Ok(stream)
}

/// The device has samples of a kind that we do not.
pub(super) fn unusable(format: SampleFormat) -> cpal::Error {
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
