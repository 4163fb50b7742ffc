//! Whether lips fit the voice in a recording of the synthetic scene, and how much of it is there.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use visavis_media::device::y4m::Reader;
use visavis_media::picture::Picture;
use visavis_media::stamp::Stamp;
use visavis_media::{SAMPLE_RATE, click};

use super::sound::read_wav;

/// What a recording was taken apart into.
#[derive(Clone, Debug, clap::Args)]
pub struct Parts {
    /// Its sound as WAV of 16 bits, mono, 48 kHz, from the recording's zero on and with its gaps.
    #[arg(long)]
    pub sound: PathBuf,
    /// Its pictures as Y4M, each once.
    #[arg(long)]
    pub pictures: PathBuf,
    /// Their times, in seconds, one in a line.
    #[arg(long)]
    pub times: PathBuf,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    /// Pictures whose stamp could be read.
    pub pictures: usize,
    /// Pictures between the first and the last that are missing.
    pub missing: usize,
    /// Pictures a second, those that are missing not counted.
    pub per_second: f64,
    /// Clicks heard.
    pub clicks: usize,
    /// How much later than its picture a click is, in milliseconds: the least, the mean and the most.
    pub sound_late_ms: [f64; 3],
}

/// Measures a recording.
///
/// # Errors
/// When a file cannot be read, or has neither clicks nor stamps.
pub fn measure(parts: &Parts) -> anyhow::Result<Findings> {
    let pictures = pictures(&parts.pictures, &times(&parts.times)?)?;
    let clicks: Vec<f64> =
        click::find(&read_wav(&parts.sound)?).iter().map(|at| *at as f64 / f64::from(SAMPLE_RATE)).collect();
    compare(&pictures, &clicks)
}

/// A picture's time in the recording and what its stamp says.
type Seen = (f64, Stamp);

fn compare(pictures: &[Seen], clicks: &[f64]) -> anyhow::Result<Findings> {
    let ([(from, first), .., (to, last)], false) = (pictures, clicks.is_empty()) else {
        anyhow::bail!("the recording holds {} stamped pictures and {} clicks", pictures.len(), clicks.len());
    };
    // The scene's second 0 by the nearest picture to each click: a click begins each second.
    let late = clicks.iter().filter_map(|click| {
        let near = |(at, _): &&Seen| (at - click).abs();
        let (at, stamp) = pictures.iter().min_by(|a, b| near(a).total_cmp(&near(b)))?;
        let scene = f64::from(stamp.millis) / 1e3 + click - at;
        Some((scene - scene.round()) * 1e3)
    });
    let late: Vec<f64> = late.collect();
    let counted = (last.counter - first.counter) as usize + 1;
    Ok(Findings {
        pictures: pictures.len(),
        missing: counted.saturating_sub(pictures.len()),
        per_second: (pictures.len() - 1) as f64 / (to - from).max(1e-3),
        clicks: clicks.len(),
        sound_late_ms: [
            late.iter().copied().fold(f64::INFINITY, f64::min),
            late.iter().sum::<f64>() / late.len() as f64,
            late.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ],
    })
}

fn times(path: &Path) -> anyhow::Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .map(|line| line.trim_end_matches(',').parse().with_context(|| format!("{line:?} is no time")))
        .collect()
}

fn pictures(path: &Path, times: &[f64]) -> anyhow::Result<Vec<Seen>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = Reader::new(BufReader::new(file))?;
    let header = reader.header();
    let mut picture = Picture::new(header.width, header.height, header.sampling).context("no size")?;
    let mut seen = Vec::new();
    let mut count = 0;
    while reader.read(&mut picture)? {
        if let (Some(stamp), Some(at)) = (Stamp::read(&picture), times.get(count)) {
            seen.push((*at, stamp));
        }
        count += 1;
    }
    ensure!(count == times.len(), "{} holds {count} pictures and there are {} times", path.display(), times.len());
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counter: u32, at: f64) -> Seen {
        (at, Stamp::of(counter, 10))
    }

    #[test]
    fn a_click_is_compared_with_the_picture_beside_it() {
        // Recorded from the scene's 0.5 s on; the sound is 15 ms late, and one picture is missing.
        let pictures: Vec<_> = (5..40).filter(|n| *n != 11).map(|n| seen(n, f64::from(n) / 10.0 - 0.5)).collect();
        let found = compare(&pictures, &[0.515, 1.515, 2.517]).expect("something to compare");
        assert_eq!((found.pictures, found.missing, found.clicks), (34, 1, 3));
        for (value, expected) in found.sound_late_ms.into_iter().zip([15.0, 15.667, 17.0]) {
            assert!((value - expected).abs() < 0.01, "{found:?}");
        }
        assert!(compare(&pictures, &[]).is_err());
        assert!(compare(&[], &[1.0]).is_err());
    }
}
