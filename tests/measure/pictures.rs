//! How late pictures were shown, how long they stood still, and how much they looked like those sent.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, bail};
use visavis_media::device::y4m::Reader;
use visavis_media::picture::Picture;
use visavis_media::stamp::Stamp;

use super::sound::{Delay, SETTLE};
use super::ssim::{Plane, ssim};

/// A line of the list beside a picture file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What the stamp said, if it could be read.
    pub counter: Option<u32>,
    /// Handed to the sink, in seconds since the Unix epoch.
    pub decoded: f64,
    /// First refresh with it; `None` if another replaced it before.
    pub shown: Option<f64>,
    /// The number of that refresh in the file.
    pub frame: Option<u64>,
}

/// Reads such a list.
///
/// # Errors
/// When it cannot be read or has not the columns `counter`, `decoded`, `shown` and `frame`.
pub fn read_rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_rows(&text).with_context(|| path.display().to_string())
}

fn parse_rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column =
        |title: &str| titles.iter().position(|it| *it == title).with_context(|| format!("there is no column {title}"));
    let (counter, decoded, shown, frame) = (column("counter")?, column("decoded")?, column("shown")?, column("frame")?);
    let mut rows = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        // A last line may be cut short.
        if fields.len() < titles.len() {
            break;
        }
        let Ok(decoded) = fields[decoded].parse() else { bail!("{line:?} has no time of decoding") };
        rows.push(Row {
            counter: fields[counter].parse().ok(),
            decoded,
            shown: fields[shown].parse().ok(),
            frame: fields[frame].parse().ok(),
        });
    }
    Ok(rows)
}

/// A clip that was sent.
#[derive(Debug)]
pub struct Clip {
    pictures: Vec<Picture>,
    fps: u32,
}

impl Clip {
    /// Reads a prepared clip whole: a period of it is a hundred megabytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut reader = open(path)?;
        let header = reader.header();
        let mut pictures = Vec::new();
        loop {
            let mut picture = Picture::new(header.width, header.height, header.sampling).context("no size")?;
            if !reader.read(&mut picture)? {
                break;
            }
            pictures.push(picture);
        }
        Ok(Self { pictures, fps: header.rate.pictures / header.rate.seconds.max(1) })
    }

    /// Pictures a second.
    #[must_use]
    pub fn fps(&self) -> u32 {
        self.fps
    }

    /// Pictures until it repeats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }
}

/// When the source captured the picture with a counter that was decoded at a time, and how late that was.
///
/// `start` is when the source captured its first picture; after `count` pictures its counter starts over (0: never).
#[must_use]
pub fn capture(row: &Row, start: f64, fps: u32, count: usize) -> Option<Delay> {
    let offset = f64::from(row.counter?) / f64::from(fps);
    let period = count as f64 / f64::from(fps);
    let elapsed = row.decoded - start;
    let rounds = if period > 0.0 { ((elapsed - offset) / period).floor() } else { 0.0 };
    let captured = start + offset + rounds * period;
    (rounds >= 0.0 && captured <= row.decoded).then_some(Delay { captured, delay: row.decoded - captured })
}

/// How pictures moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// From the first picture shown to the end, in seconds.
    pub seconds: f64,
    /// New pictures shown a second.
    pub per_second: f64,
    /// Seconds in freezes.
    pub frozen: f64,
    /// Number of freezes.
    pub freezes: usize,
    /// The longest time one picture stood, in seconds.
    pub longest: f64,
}

/// Finds freezes in the times at which new pictures were shown, up to `end`.
///
/// As in WebRTC's statistics, a picture is frozen when the next comes later than three frame periods and also later
/// than a frame period and 150 ms; its whole time then counts.
#[must_use]
pub fn motion(shown: &[f64], end: f64, fps: u32) -> Option<Motion> {
    let (&first, _) = shown.split_first()?;
    let period = 1.0 / f64::from(fps);
    let threshold = (3.0 * period).max(period + 0.15);
    let next = shown[1..].iter().copied().chain([end]);
    let gaps: Vec<f64> = shown.iter().zip(next).map(|(from, to)| to - from).collect();
    let frozen = gaps.iter().filter(|gap| **gap >= threshold);
    let seconds = end - first;
    Some(Motion {
        seconds,
        per_second: shown.len() as f64 / seconds.max(1e-3),
        // The sum of nothing is −0, which would be printed so.
        frozen: frozen.clone().sum::<f64>() + 0.0,
        freezes: frozen.count(),
        longest: gaps.iter().copied().fold(0.0, f64::max),
    })
}

/// When new pictures were shown: the first refresh of each counter that differs from the one before, after the start
/// of the call has settled.
#[must_use]
pub fn shown_times(rows: &[Row]) -> Vec<f64> {
    let Some(first) = rows.iter().find_map(|row| row.shown) else { return Vec::new() };
    let mut last = None;
    rows.iter()
        .filter(|row| row.shown.is_some_and(|shown| shown >= first + SETTLE))
        .filter(|row| std::mem::replace(&mut last, row.counter) != row.counter || row.counter.is_none())
        .filter_map(|row| row.shown)
        .collect()
}

/// What comparing the shown pictures with the sent ones gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likeness {
    /// Structural similarity of each compared picture.
    pub ssim: Vec<f64>,
    /// Refreshes in the file.
    pub refreshes: u64,
    /// Pictures whose stamp in the file is not the one in the list, or not one of the clip.
    pub mismatched: usize,
}

/// Compares every `every`-th new picture of a sink's file with the picture of the clip that its stamp names.
///
/// # Errors
/// When the file cannot be read.
pub fn compare(clip: &Clip, played: &Path, rows: &[Row], every: usize) -> anyhow::Result<Likeness> {
    let wanted: HashMap<u64, u32> =
        rows.iter().filter_map(|row| row.frame.zip(row.counter)).step_by(every.max(1)).collect();
    let mut reader = open(played)?;
    let header = reader.header();
    let mut picture = Picture::new(header.width, header.height, header.sampling).context("no size")?;
    let mut likeness = Likeness::default();
    loop {
        let counter = wanted.get(&likeness.refreshes);
        if !(if counter.is_some() { reader.read(&mut picture)? } else { reader.skip()? }) {
            return Ok(likeness);
        }
        likeness.refreshes += 1;
        let Some(&counter) = counter else { continue };
        let original = clip.pictures.get(counter as usize);
        let matches = Stamp::read(&picture).is_some_and(|stamp| stamp.counter == counter);
        match original.filter(|_| matches).and_then(|original| ssim(luma(original), luma(&picture))) {
            Some(value) => likeness.ssim.push(value),
            None => likeness.mismatched += 1,
        }
    }
}

fn luma(picture: &Picture) -> Plane<'_> {
    let [pixels, ..] = picture.planes();
    Plane { pixels, width: picture.width() }
}

fn open(path: &Path) -> anyhow::Result<Reader<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Reader::new(BufReader::with_capacity(1 << 20, file)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(counter: u32, decoded: f64) -> Row {
        Row { counter: Some(counter), decoded, shown: Some(decoded), frame: None }
    }

    #[test]
    fn a_list_is_read_and_a_cut_line_left_out() {
        let rows = parse_rows(
            "counter,captured,decoded,shown,frame\n7,1.000000,1.050000,1.066667,0\n,,1.080000,,\n8,1.03,1.09,1.1,1\n9,1.1",
        );
        let expected = [
            Row { counter: Some(7), decoded: 1.05, shown: Some(1.066_667), frame: Some(0) },
            Row { counter: None, decoded: 1.08, shown: None, frame: None },
            Row { counter: Some(8), decoded: 1.09, shown: Some(1.1), frame: Some(1) },
        ];
        assert_eq!(rows.unwrap(), expected);
        assert!(parse_rows("counter,decoded,shown\n").is_err());
        assert!(parse_rows("").is_err());
    }

    #[test]
    fn a_counter_that_starts_over_is_unwrapped_by_time() {
        for (counter, decoded, captured) in
            [(0, 100.02, 100.0), (239, 108.04, 107.966_667), (0, 108.05, 108.0), (3, 116.15, 116.1)]
        {
            let found = capture(&row(counter, decoded), 100.0, 30, 240).unwrap();
            assert!((found.captured - captured).abs() < 1e-5, "{found:?}");
            assert!((found.delay - (decoded - captured)).abs() < 1e-5);
        }
        // Shown before it was captured: clocks or files do not belong together.
        assert_eq!(capture(&row(5, 100.1), 100.0, 30, 240), None);
        assert_eq!(capture(&row(5, 100.1), 100.0, 30, 0), None);
    }

    #[test]
    fn freezes_are_found_and_the_end_counts() {
        let mut shown: Vec<f64> = (0..30).map(|n| f64::from(n) / 30.0).collect();
        assert_eq!(motion(&shown, 1.0, 30).unwrap().frozen, 0.0);
        shown.drain(10..14);
        // 0.1667 s without a new picture is not yet a freeze, 0.2 s is.
        assert_eq!(motion(&shown, 1.0, 30).unwrap().freezes, 0);
        shown.remove(10);
        let found = motion(&shown, 1.5, 30).unwrap();
        assert_eq!(found.freezes, 2);
        assert!((found.frozen - (0.2 + 0.533_333)).abs() < 1e-5, "{found:?}");
        assert!((found.longest - 0.533_333).abs() < 1e-5);
        assert_eq!(motion(&[], 1.0, 30), None);
    }

    #[test]
    fn a_repeated_picture_is_no_new_one() {
        let rows = [row(0, 0.0), row(1, 2.0), row(1, 2.1), row(2, 2.2)];
        assert_eq!(shown_times(&rows), [2.0, 2.2]);
    }
}
