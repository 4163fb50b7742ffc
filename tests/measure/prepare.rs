//! Makes the files a measured call sends: speech with pauses and clicks in them, a clip with a stamp in each picture.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use visavis_media::click;
use visavis_media::device::y4m::{Reader, Writer};
use visavis_media::picture::Picture;
use visavis_media::stamp::Stamp;

use super::sound::{RATE, read_wav, write_wav};
use super::{CLICKS, PERIOD, SPEECH};

/// Samples of fade where a passage is cut, so that the cut itself makes no sound: 5 ms.
const FADE: usize = RATE / 200;
/// How far before the longest possible end of a passage a pause to cut in is looked for.
const SEARCH: usize = RATE * 3 / 2;
/// Root mean square that speech is brought to: −26 dB of full scale, the level of ITU-T P.56 in test recordings.
const LEVEL: f64 = 0.05 * 32_768.0;

/// Writes `seconds` of speech, rounded up to whole periods, with its passages and clicks where [`super`] says.
///
/// # Errors
/// When a file cannot be read or written, or the recordings are too short or silent.
pub fn speech(recordings: &[impl AsRef<Path>], seconds: usize, out: &Path) -> anyhow::Result<()> {
    let mut voice = Vec::new();
    for path in recordings {
        voice.extend(read_wav(path.as_ref())?);
    }
    ensure!(voice.len() >= RATE * PERIOD, "less than {PERIOD} s of speech: give more recordings");
    let mut pcm = vec![0; seconds.div_ceil(PERIOD) * PERIOD * RATE];
    arrange(&level(&trim(&voice))?, &mut pcm);
    write_wav(out, &pcm)
}

/// Fills `pcm`, whole periods long, with passages of `voice`, over and over.
fn arrange(voice: &[i16], pcm: &mut [i16]) {
    let longest = ((SPEECH.end - SPEECH.start) * RATE as f64) as usize;
    let mut rest = voice;
    for period in pcm.chunks_exact_mut(PERIOD * RATE) {
        // A short rest would be a passage of a word or two.
        if rest.len() < longest / 2 {
            rest = voice;
        }
        let (passage, after) = rest.split_at(cut(rest, longest));
        rest = after;
        let start = (SPEECH.start * RATE as f64) as usize;
        let to = &mut period[start..start + passage.len()];
        to.copy_from_slice(passage);
        for i in 0..FADE.min(passage.len() / 2) {
            let gain = i as f32 / FADE as f32;
            for at in [i, passage.len() - 1 - i] {
                to[at] = (f32::from(to[at]) * gain) as i16;
            }
        }
        for at in CLICKS {
            click::mix(&mut period[at * RATE..]);
        }
    }
}

/// Where to cut: in the quietest 30 ms of the last part of what may be used.
fn cut(voice: &[i16], longest: usize) -> usize {
    if voice.len() <= longest {
        return voice.len();
    }
    let size = RATE * 3 / 100;
    let from = longest.saturating_sub(SEARCH);
    let windows = voice[from..longest].windows(size).enumerate().step_by(size / 3);
    let quietest = windows.min_by_key(|(_, window)| energy(window));
    quietest.map_or(longest, |(at, _)| from + at + size / 2)
}

/// Without the silence at both ends, and with long silence inside cut to 0.4 s: a passage should be mostly speech.
fn trim(voice: &[i16]) -> Vec<i16> {
    let block = RATE / 100;
    let threshold = energy(voice) / voice.len().max(1) as u64 * block as u64 / 400;
    let mut out = Vec::with_capacity(voice.len());
    let (mut silent, mut heard) = (0, false);
    for part in voice.chunks(block) {
        silent = if energy(part) < threshold { silent + 1 } else { 0 };
        heard |= silent == 0;
        if heard && silent <= 40 {
            out.extend_from_slice(part);
        }
    }
    out.truncate(out.len() - (silent.min(40) * block).min(out.len()));
    out
}

/// Brings speech to [`LEVEL`], silence left out of account, without clipping it.
fn level(voice: &[i16]) -> anyhow::Result<Vec<i16>> {
    let block = RATE / 100;
    let mean = energy(voice) as f64 / voice.len().max(1) as f64;
    let active: Vec<f64> = voice
        .chunks_exact(block)
        .map(|part| energy(part) as f64 / block as f64)
        .filter(|power| *power > mean / 400.0)
        .collect();
    let peak = voice.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    if active.is_empty() || peak == 0 {
        bail!("the recordings are silent");
    }
    let rms = (active.iter().sum::<f64>() / active.len() as f64).sqrt();
    let gain = (LEVEL / rms).min(f64::from(i16::MAX) / f64::from(peak));
    Ok(voice.iter().map(|&sample| (f64::from(sample) * gain) as i16).collect())
}

fn energy(pcm: &[i16]) -> u64 {
    pcm.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum()
}

/// Writes one period of a clip with a stamp in each picture; a shorter one repeats, a longer one is cut.
///
/// # Errors
/// When a file cannot be read or written, or the clip has no whole number of pictures a second or is too small.
pub fn clip(from: &Path, out: &Path) -> anyhow::Result<()> {
    let open = || {
        let file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
        Reader::new(BufReader::new(file)).with_context(|| from.display().to_string())
    };
    let mut reader = open()?;
    let header = reader.header();
    ensure!(header.rate.seconds == 1, "{}: give a clip with a whole number of pictures a second", from.display());
    let fps = header.rate.pictures;
    let file = File::create(out).with_context(|| format!("cannot make {}", out.display()))?;
    let output = BufWriter::with_capacity(1 << 20, file);
    let mut writer = Writer::new(output, header.width, header.height, header.sampling, header.rate)?;
    let mut picture = Picture::new(header.width, header.height, header.sampling).context("a picture of no size")?;
    for counter in 0..fps * PERIOD as u32 {
        if !reader.read(&mut picture)? {
            reader = open()?;
            ensure!(reader.read(&mut picture)?, "{}: there are no pictures in it", from.display());
        }
        ensure!(Stamp::of(counter, fps).draw(&mut picture), "{}: too small to carry a stamp", from.display());
        writer.write(&picture)?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(seconds: usize) -> Vec<i16> {
        let mut state = 5_u32;
        (0..seconds * RATE)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Words of 0.6 s and pauses of 0.2 s.
                let loud = if i % (RATE * 4 / 5) < RATE * 3 / 5 { 0.2 } else { 0.001 };
                ((state >> 16) as f32 - 32_768.0).mul_add(loud, 0.0) as i16
            })
            .collect()
    }

    #[test]
    fn passages_and_clicks_are_where_they_belong() {
        let mut pcm = vec![0; 3 * PERIOD * RATE];
        arrange(&voice(10), &mut pcm);
        let expected: Vec<usize> = (0..3).flat_map(|period| CLICKS.map(|at| (period * PERIOD + at) * RATE)).collect();
        assert_eq!(click::find(&pcm), expected);
        for period in pcm.chunks_exact(PERIOD * RATE) {
            let part = |from: f64, to: f64| &period[(from * RATE as f64) as usize..(to * RATE as f64) as usize];
            assert_eq!(energy(part(0.02, SPEECH.start)), 0);
            assert!(energy(part(SPEECH.start, SPEECH.start + 2.0)) > 0);
            assert_eq!(energy(part(SPEECH.end, 7.0)), 0);
        }
    }

    #[test]
    fn passages_end_in_a_pause() {
        let voice = voice(10);
        let at = cut(&voice, 6 * RATE) % (RATE * 4 / 5);
        assert!(at > RATE * 3 / 5, "{at}");
        assert_eq!(cut(&voice[..RATE], 6 * RATE), RATE);
    }

    #[test]
    fn silence_is_trimmed_and_speech_brought_to_its_level() {
        let mut pcm = vec![0; 2 * RATE];
        pcm.extend(voice(4));
        pcm.extend(vec![0; 3 * RATE]);
        pcm.extend(voice(4));
        let trimmed = trim(&pcm);
        assert!((8 * RATE..9 * RATE).contains(&trimmed.len()), "{}", trimmed.len());
        let levelled = level(&trimmed).unwrap();
        let rms = (energy(&levelled[..RATE / 2]) as f64 / (RATE / 2) as f64).sqrt();
        assert!((rms / LEVEL - 1.0).abs() < 0.1, "{rms}");
        assert!(level(&[0; 48_000]).is_err());
    }
}
