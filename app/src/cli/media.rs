//! From options to sources and sinks, and whether their files will do.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use visavis_media::device::audio::AudioSource;
use visavis_media::device::{
    AudioSinkSpec, AudioSourceSpec, DeviceError, Sinks, Sources, VideoSinkSpec, VideoSourceSpec,
};

use super::args::{Keeping, Receiving, Sending, Talk};
use crate::engine::config::{Keep, Quality};

/// What a command sends, and what it does with what it receives.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) sources: Sources,
    pub(crate) sinks: Sinks,
    pub(crate) keep: Keep,
    pub(crate) quality: Quality,
    /// The roles of what was named on the command line, as engine events have them: a default device may be missing,
    /// these may not.
    pub(crate) chosen: HashSet<&'static str>,
}

impl Media {
    /// Both ways.
    pub(crate) fn call(talk: &Talk) -> Self {
        Self::new(Some(&talk.sending), Some(&talk.receiving))
    }

    /// Only there, but for what is said to us, if that is heard.
    pub(crate) fn stream(sending: &Sending, voices: Option<&AudioSinkSpec>) -> Self {
        let mut media = Self::new(Some(sending), None);
        if let Some(voices) = voices {
            media.sinks.audio = voices.clone();
            media.chosen.extend(is_named(voices).then_some("audio-sink"));
        }
        media
    }

    /// Only here.
    pub(crate) fn watch(receiving: &Receiving) -> Self {
        Self::new(None, Some(receiving))
    }

    /// And keeps some of what comes.
    pub(crate) fn keeping(mut self, keeping: &Keeping) -> Self {
        self.keep = Keep { recording: keeping.record.clone(), snapshot: keeping.snapshot.clone() };
        let kept = [("recording", keeping.record.is_some()), ("snapshot", keeping.snapshot.is_some())];
        self.chosen.extend(kept.into_iter().filter_map(|(role, is)| is.then_some(role)));
        self
    }

    /// And leaves the loudspeaker alone, unless it was asked for.
    pub(crate) fn without_sound(mut self) -> Self {
        if self.sinks.audio == AudioSinkSpec::Default {
            self.sinks.audio = AudioSinkSpec::None;
        }
        self
    }

    fn new(sending: Option<&Sending>, receiving: Option<&Receiving>) -> Self {
        let sources = match sending {
            Some(sending) => Sources { audio: sending.audio.clone(), video: sending.video.clone() },
            None => Sources { audio: AudioSourceSpec::None, video: VideoSourceSpec::None },
        };
        let sinks = match receiving {
            Some(receiving) => Sinks { audio: receiving.audio_out.clone(), video: receiving.video_out.clone() },
            None => Sinks { audio: AudioSinkSpec::None, video: VideoSinkSpec::None },
        };
        let mut quality = Quality::default();
        if let Some(sending) = sending {
            quality.jpeg_quality = sending.quality;
            quality.opus_bitrate = sending.audio_bitrate;
            quality.max_video_bitrate = sending.bitrate;
        }
        if let Some(receiving) = receiving {
            quality.initial_delay = Duration::from_millis(receiving.initial_delay.into());
        }
        let chosen = [
            ("audio-source", !matches!(sources.audio, AudioSourceSpec::None | AudioSourceSpec::Default)),
            ("video-source", !matches!(sources.video, VideoSourceSpec::None | VideoSourceSpec::Default)),
            ("audio-sink", is_named(&sinks.audio)),
            ("video-sink", !matches!(sinks.video, VideoSinkSpec::None)),
        ];
        let chosen = chosen.into_iter().filter_map(|(role, is)| is.then_some(role)).collect();
        Self { sources, sinks, keep: Keep::default(), quality, chosen }
    }

    /// Looks at the files, so that a slip of the finger shows before anybody's bell rings. Devices are opened by the
    /// engine, when they are wanted.
    pub(crate) fn check(&self, now: Instant) -> Result<(), DeviceError> {
        if let AudioSourceSpec::Wav { .. } = &self.sources.audio {
            AudioSource::open(&self.sources.audio, now)?;
        }
        if let VideoSourceSpec::File { path, .. } = &self.sources.video
            // The names of a sequence are made from a pattern that is no file.
            && !path.to_string_lossy().contains('%')
        {
            File::open(path).map_err(|e| DeviceError::file(path, e))?;
        }
        if let AudioSinkSpec::Wav { path, .. } = &self.sinks.audio {
            check_folder(path)?;
        }
        if let VideoSinkSpec::Y4m { path, .. } = &self.sinks.video {
            check_folder(path)?;
        }
        for path in [&self.keep.recording, &self.keep.snapshot].into_iter().flatten() {
            check_folder(path)?;
        }
        if let Some(path) = self.keep.recording.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
            return Err(DeviceError::format(
                path,
                "is there already: name another file for --record, or remove this one",
            ));
        }
        Ok(())
    }
}

fn is_named(spec: &AudioSinkSpec) -> bool {
    !matches!(spec, AudioSinkSpec::None | AudioSinkSpec::Default)
}

fn check_folder(path: &Path) -> Result<(), DeviceError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match folder.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(DeviceError::format(folder, "is not a folder to write to")),
        Err(e) => Err(DeviceError::file(folder, e)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn media(line: &str) -> Media {
        let cli = Cli::try_parse_from(["visavis", "call", "x"].into_iter().chain(line.split_whitespace()));
        let Command::Call(call) = cli.expect(line).command else { panic!("a call") };
        Media::call(&call.talk).keeping(&call.keeping)
    }

    #[test]
    fn defaults_may_be_missing_and_what_is_named_may_not() {
        assert_eq!(media("").chosen, HashSet::new());
        assert_eq!(media("--audio none --video none --audio-out none").chosen, HashSet::new());
        let all = media("--audio synthetic --video device:cam --audio-out a.wav --video-out a.y4m").chosen;
        assert_eq!(all, ["audio-source", "video-source", "audio-sink", "video-sink"].into());
    }

    #[test]
    fn options_become_quality() {
        let quality = media("--quality 55 --bitrate 2M --audio-bitrate 24k --initial-delay 0").quality;
        assert_eq!((quality.jpeg_quality, quality.max_video_bitrate), (55, 2_000_000));
        assert_eq!((quality.opus_bitrate, quality.initial_delay), (24_000, Duration::ZERO));
        assert_eq!(media("").quality, Quality::default());
    }

    #[test]
    fn files_that_will_not_do_are_named_before_the_call() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = dir.path().join("text.wav");
        std::fs::write(&text, "not sound").expect("written");
        let text = text.display();
        let now = crate::engine::clock::now();
        for (line, hint) in [
            ("--audio /nowhere/a.wav".to_owned(), "/nowhere/a.wav"),
            (format!("--audio {text}"), "text.wav"),
            ("--video /nowhere/a.y4m".to_owned(), "/nowhere/a.y4m"),
            ("--audio-out /nowhere/a.wav".to_owned(), "/nowhere: "),
            (format!("--video-out {text}/a.y4m"), "is not a folder"),
            (format!("--record {text}"), "is there already"),
            ("--record /nowhere/a.mkv".to_owned(), "/nowhere: "),
            ("--snapshot /nowhere/a.jpg".to_owned(), "/nowhere: "),
        ] {
            let error = media(&line).check(now).expect_err(&line).to_string();
            assert!(error.contains(hint), "{line}: {error}");
        }
        media("--audio synthetic --video frame-%04d.jpg --audio-out a.wav").check(now).expect("fine");
    }
}
