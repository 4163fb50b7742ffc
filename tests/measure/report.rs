//! One direction of a call, measured from its files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::events::Events;
use super::pictures::{self, Clip};
use super::sound::{self, Delay, Track};
use super::spread::Spread;

/// Where a direction's files are.
#[derive(Clone, Debug, clap::Args)]
pub struct Files {
    /// Events of the side that sent, one JSON object a line.
    #[arg(long)]
    pub sent_events: PathBuf,
    /// Events of the side that played.
    #[arg(long)]
    pub played_events: PathBuf,
    /// The WAV file that was sent.
    #[arg(long)]
    pub sent_audio: PathBuf,
    /// The WAV file that was played into.
    #[arg(long)]
    pub played_audio: PathBuf,
    /// The Y4M file that was sent.
    #[arg(long)]
    pub sent_video: Option<PathBuf>,
    /// The Y4M file that was played into; `FILE.times` lies beside it.
    #[arg(long, requires = "sent_video")]
    pub played_video: Option<PathBuf>,
    /// How much faster the playing sound clock was made to run, in parts per million.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub skew_ppm: f64,
    /// Compare every so many pictures.
    #[arg(long, default_value_t = 3)]
    pub every: usize,
    /// What was sent is a recording of a microphone, which begins anywhere: its first whole period counts.
    #[arg(long)]
    pub recorded: bool,
    /// The sound has a click every second, as the synthetic source's, and no speech.
    #[arg(long)]
    pub synthetic: bool,
}

/// What was measured; times in milliseconds unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Sound from capture to play-out, told by clicks.
    pub mouth_to_ear_clicks: Option<Spread>,
    /// Clicks sent while both sides ran.
    pub clicks_sent: usize,
    /// The same told by speech, four times a second.
    pub mouth_to_ear_speech: Option<Spread>,
    /// Pieces of speech that were looked for; those not recognised were lost or spoiled.
    pub speech_pieces: usize,
    /// PESQ wide-band, mean of all passages; filled in by the speech meter.
    pub pesq: Option<f64>,
    /// PESQ of each passage.
    #[serde(default)]
    pub pesq_passages: Vec<f64>,
    /// What is known about pictures.
    pub pictures: Option<Pictures>,
    /// Delay of pictures less delay of sound captured at the same time, as handed to the sinks. Positive: sound leads.
    pub lip_sync: Option<Spread>,
    /// Where the time goes that sound takes from mouth to ear.
    pub budget: Option<Budget>,
    /// Silence of 5 ms and more within speech, in all.
    pub holes_ms: f64,
    /// Delay of the jitter buffer, as the player said.
    pub jitter_buffer: Option<Spread>,
    /// Packets received, as the player said.
    pub packets: Option<u64>,
    /// Packets lost for good, as the player said.
    pub packets_lost: Option<u64>,
    /// Which way packets went in the end, as the player said: `udp` or `tcp`.
    pub carrier: Option<String>,
    /// Why the call ended at the player.
    pub ended: Option<String>,
    /// The same in one word; `ended` when nothing went wrong.
    pub outcome: Option<String>,
}

/// Pictures of one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pictures {
    /// From capture to the sink, decoded and due.
    pub capture_to_decoded: Option<Spread>,
    /// Structural similarity with the sent pictures.
    pub ssim: Option<Spread>,
    /// New pictures shown a second.
    pub per_second: f64,
    /// Seconds in which the picture was frozen.
    pub frozen_seconds: f64,
    /// How often it froze.
    pub freezes: usize,
    /// The longest time that one picture stood.
    pub longest: f64,
    /// How long pictures were watched, in seconds.
    pub seconds: f64,
    /// Pictures that could not be matched with a sent one.
    pub mismatched: usize,
}

/// A report and the passages for the speech meter.
#[derive(Debug)]
pub struct Measured {
    /// The figures.
    pub report: Report,
    /// What PESQ is to compare.
    pub passages: Vec<sound::Passage>,
}

/// Measures a direction.
///
/// # Errors
/// When a file cannot be read, or nothing of what was sent is in what was played.
pub fn measure(files: &Files) -> anyhow::Result<Measured> {
    let (sender, player) = (Events::read(&files.sent_events)?, Events::read(&files.played_events)?);
    let time = |at: Option<i128>, who: &Path, role: &str| {
        let at = at.with_context(|| format!("{}: no device-started of the {role}", who.display()))?;
        anyhow::Ok(at as f64 / 1e9)
    };
    let (sent, played) = (sound::read_wav(&files.sent_audio)?, sound::read_wav(&files.played_audio)?);
    let source = time(sender.audio_source, &files.sent_events, "audio-source")?;
    let sink = time(player.audio_sink, &files.played_events, "audio-sink")?;
    let first =
        if files.recorded { sound::first_period(&sent).context("there are no clicks in what was sent")? } else { 0 };
    let source = source + first as f64 / sound::RATE as f64;
    let sent = Track { pcm: &sent[first..], start: source, skew_ppm: 0.0 };
    let heard = Track { pcm: &played, start: sink, skew_ppm: files.skew_ppm };

    let (speech, speech_pieces) = if files.synthetic { (Vec::new(), 0) } else { sound::follow_speech(sent, heard) };
    let usual = Spread::of(speech.iter().map(|delay| delay.delay)).map_or(0.1, |spread| spread.median);
    let (clicks, clicks_sent) = sound::follow_clicks(sent, heard, usual, files.synthetic);
    if speech.is_empty() && clicks.is_empty() {
        bail!("{}: nothing of {} is heard in it", files.played_audio.display(), files.sent_audio.display());
    }
    let passages = if files.synthetic { Vec::new() } else { sound::passages(sent, heard, &speech) };
    let sound_delays = if files.synthetic { &clicks } else { &speech };

    let told = milliseconds(sound_delays).map(|spread| spread.median);
    let mut report = Report {
        budget: Budget::of(&sender, &player, told),
        holes_ms: sound::holes(&passages),
        mouth_to_ear_clicks: milliseconds(&clicks),
        clicks_sent,
        mouth_to_ear_speech: milliseconds(&speech),
        speech_pieces,
        jitter_buffer: Spread::of(player.jitter_buffer_ms.iter().copied()),
        packets: player.packets,
        packets_lost: player.lost,
        carrier: player.carrier.clone(),
        ended: player.ended.clone(),
        outcome: player.outcome.clone(),
        ..Report::default()
    };
    if let (Some(clip), Some(played)) = (&files.sent_video, &files.played_video) {
        let source = time(sender.video_source, &files.sent_events, "video-source")?;
        let (pictures, delays) = watch(clip, played, source, files.every)?;
        report.lip_sync = lip_sync(&delays, sound_delays);
        report.pictures = Some(pictures);
    }
    Ok(Measured { report, passages })
}

fn watch(clip: &Path, played: &Path, source: f64, every: usize) -> anyhow::Result<(Pictures, Vec<Delay>)> {
    let clip = Clip::read(clip)?;
    let rows = pictures::read_rows(&visavis_media::device::video_sink::times_path(played))?;
    let likeness = pictures::compare(&clip, played, &rows, every)?;
    let delays: Vec<Delay> =
        rows.iter().filter_map(|row| pictures::capture(row, source, clip.fps(), clip.len())).collect();
    let Some(start) = rows.iter().find_map(|row| row.shown) else {
        bail!("{}: no picture was shown", played.display())
    };
    // The sink refreshes at the clip's rate from its first picture on.
    let end = start + likeness.refreshes as f64 / f64::from(clip.fps());
    let Some(motion) = pictures::motion(&pictures::shown_times(&rows), end, clip.fps()) else {
        bail!("{}: pictures stopped before the call had settled", played.display());
    };
    let settled: Vec<Delay> =
        delays.iter().copied().filter(|delay| delay.captured + delay.delay > start + sound::SETTLE).collect();
    let pictures = Pictures {
        capture_to_decoded: milliseconds(&settled),
        ssim: Spread::of(likeness.ssim),
        per_second: motion.per_second,
        frozen_seconds: motion.frozen,
        freezes: motion.freezes,
        longest: motion.longest * 1e3,
        seconds: motion.seconds,
        mismatched: likeness.mismatched,
    };
    Ok((pictures, settled))
}

/// For each time that sound's delay is known, the delay of the picture captured closest to it, within 50 ms, less
/// that of the sound.
fn lip_sync(pictures: &[Delay], sounds: &[Delay]) -> Option<Spread> {
    let apart = |picture: &Delay, sound: &Delay| (picture.captured - sound.captured).abs();
    let differences = sounds.iter().filter_map(|sound| {
        let nearest = pictures.iter().min_by(|a, b| apart(a, sound).total_cmp(&apart(b, sound)))?;
        (apart(nearest, sound) < 0.05).then_some((nearest.delay - sound.delay) * 1e3)
    });
    Spread::of(differences)
}

fn milliseconds(delays: &[Delay]) -> Option<Spread> {
    Spread::of(delays.iter().map(|delay| delay.delay * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lips_are_compared_with_sound_of_the_same_moment() {
        let delay = |captured, delay| Delay { captured, delay };
        let pictures = [delay(1.0, 0.08), delay(1.033, 0.09), delay(5.0, 0.5)];
        let sounds = [delay(1.01, 0.06), delay(1.04, 0.06), delay(3.0, 0.06)];
        let spread = lip_sync(&pictures, &sounds).unwrap();
        assert_eq!(spread.count, 2);
        assert!((spread.min - 20.0).abs() < 1e-9 && (spread.max - 30.0).abs() < 1e-9);
        assert_eq!(lip_sync(&[], &sounds), None);
    }
}
