//! The codec work of one direction of a call and nothing else: what a whole call's processor time is compared with.
//!
//! Calls turbojpeg and libopus as any program would, without a line of this project in between.
#![allow(clippy::print_stdout, reason = "a command line program")]

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, ensure};
use clap::Parser;
use opus::{Application, Bitrate, Channels};
use serde_json::json;
use turbojpeg::{Compressor, Decompressor, Subsamp, YuvImage};
use visavis::engine::clock;

/// Encode and decode sound and pictures; print the processor time as JSON.
#[derive(Debug, Parser)]
#[command(name = "visavis-bare")]
struct Args {
    /// WAV file, 16 bits, mono, 48 kHz; repeated as often as needed.
    #[arg(long)]
    audio: PathBuf,
    /// Y4M file, 4:2:0; repeated as often as needed.
    #[arg(long)]
    video: PathBuf,
    /// Seconds of the call.
    #[arg(long, default_value_t = 60)]
    seconds: usize,
    /// Pictures a second.
    #[arg(long, default_value_t = 30)]
    fps: usize,
    /// JPEG quality.
    #[arg(long, default_value_t = 80)]
    quality: i32,
    /// Opus bit rate, bit/s.
    #[arg(long, default_value_t = 48_000)]
    bitrate: i32,
    /// Each picture and each 20 ms of sound at its moment, as in a call, instead of one after the other: caches and
    /// clock rates are then what a call finds.
    #[arg(long)]
    paced: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pictures = Pictures::read(&args.video)?;
    let mut wav = hound::WavReader::open(&args.audio).with_context(|| args.audio.display().to_string())?;
    let sound: Vec<i16> = wav.samples().collect::<Result<_, _>>()?;
    let mut video = VideoWork::new(&pictures, args.quality)?;
    let mut audio = AudioWork::new(&sound, args.bitrate)?;
    let (pictures, frames) = (args.seconds * args.fps, args.seconds * 50);
    let before = processor_seconds()?;
    if args.paced {
        let start = clock::now();
        let at = |number: usize, rate: usize| Duration::from_secs_f64(number as f64 / rate as f64);
        let (mut picture, mut frame) = (0, 0);
        while picture < pictures || frame < frames {
            let due = at(picture, args.fps).min(at(frame, 50));
            thread::sleep(due.saturating_sub(clock::now() - start));
            if at(picture, args.fps) <= due {
                video.step(picture)?;
                picture += 1;
            } else {
                audio.step(frame)?;
                frame += 1;
            }
        }
    } else {
        (0..pictures).try_for_each(|number| video.step(number))?;
        (0..frames).try_for_each(|number| audio.step(number))?;
    }
    let result = json!({
        "cpu_seconds": processor_seconds()? - before,
        "paced": args.paced,
        "video_bits_per_second": video.bytes * 8 / args.seconds,
    });
    println!("{result}");
    Ok(())
}

/// Whole pictures, planes packed.
struct Pictures {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Pictures {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = fs::read(path).with_context(|| path.display().to_string())?;
        let end = file.iter().position(|byte| *byte == b'\n').context("no Y4M header")?;
        let header = std::str::from_utf8(&file[..end])?;
        let side = |letter: char| -> anyhow::Result<usize> {
            let field = header.split(' ').find_map(|field| field.strip_prefix(letter)).context("no size")?;
            Ok(field.parse()?)
        };
        let (width, height) = (side('W')?, side('H')?);
        let size = width * height * 3 / 2;
        let mut data = Vec::with_capacity(file.len());
        let mut rest = &file[end + 1..];
        while let Some(start) = rest.iter().take(256).position(|byte| *byte == b'\n') {
            ensure!(rest.starts_with(b"FRAME"), "not a Y4M frame");
            let Some(picture) = rest.get(start + 1..start + 1 + size) else { break };
            data.extend_from_slice(picture);
            rest = &rest[start + 1 + size..];
        }
        ensure!(!data.is_empty(), "no pictures in {}", path.display());
        Ok(Self { width, height, data })
    }

    fn size(&self) -> usize {
        self.width * self.height * 3 / 2
    }
}

/// JPEG there and back.
struct VideoWork<'a> {
    pictures: &'a Pictures,
    compressor: Compressor,
    decompressor: Decompressor,
    jpeg: Vec<u8>,
    decoded: Vec<u8>,
    /// Of all JPEGs.
    bytes: usize,
}

impl<'a> VideoWork<'a> {
    fn new(pictures: &'a Pictures, quality: i32) -> anyhow::Result<Self> {
        let (mut compressor, decompressor) = (Compressor::new()?, Decompressor::new()?);
        compressor.set_quality(quality)?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        let jpeg = vec![0; compressor.buf_len(pictures.width, pictures.height)?];
        Ok(Self { pictures, compressor, decompressor, jpeg, decoded: vec![0; pictures.size()], bytes: 0 })
    }

    fn step(&mut self, number: usize) -> anyhow::Result<()> {
        let Pictures { width, height, ref data } = *self.pictures;
        let size = self.pictures.size();
        let start = number % (data.len() / size) * size;
        let subsamp = Subsamp::Sub2x2;
        let image = YuvImage { pixels: &data[start..start + size], width, align: 1, height, subsamp };
        let len = self.compressor.compress_yuv_to_slice(image, &mut self.jpeg)?;
        let image = YuvImage { pixels: self.decoded.as_mut_slice(), width, align: 1, height, subsamp };
        self.decompressor.decompress_to_yuv(&self.jpeg[..len], image)?;
        self.bytes += len;
        Ok(())
    }
}

/// Opus there and back.
struct AudioWork<'a> {
    sound: &'a [i16],
    encoder: opus::Encoder,
    decoder: opus::Decoder,
}

impl<'a> AudioWork<'a> {
    fn new(sound: &'a [i16], bitrate: i32) -> anyhow::Result<Self> {
        ensure!(sound.len() >= 960, "less than 20 ms of sound");
        let mut encoder = opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(bitrate))?;
        encoder.set_inband_fec(false)?;
        encoder.set_packet_loss_perc(0)?;
        Ok(Self { sound, encoder, decoder: opus::Decoder::new(48_000, Channels::Mono)? })
    }

    fn step(&mut self, number: usize) -> anyhow::Result<()> {
        let start = number % (self.sound.len() / 960) * 960;
        let (mut packet, mut pcm) = ([0; 1275], [0; 960]);
        let len = self.encoder.encode(&self.sound[start..start + 960], &mut packet)?;
        self.decoder.decode(&packet[..len], &mut pcm, false)?;
        Ok(())
    }
}

/// User and system time of this process so far. proc(5): fields 14 and 15 of `stat`, in ticks of 10 ms.
fn processor_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').context("no name in stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}
