//! The codec work of one direction of a call and nothing else: what a whole call's processor time is compared with.
//!
//! Calls turbojpeg and libopus as any program would, without a line of this project in between.
#![allow(clippy::print_stdout, reason = "a command line program")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser;
use opus::{Application, Bitrate, Channels};
use serde_json::json;
use turbojpeg::{Compressor, Decompressor, Subsamp, YuvImage};

/// Encode and decode sound and pictures as fast as possible; print the processor time as JSON.
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
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pictures = Pictures::read(&args.video)?;
    let mut wav = hound::WavReader::open(&args.audio).with_context(|| args.audio.display().to_string())?;
    let sound: Vec<i16> = wav.samples().collect::<Result<_, _>>()?;
    let before = processor_seconds()?;
    let bytes = code_pictures(&pictures, args.seconds * args.fps, args.quality)?;
    let video = processor_seconds()?;
    code_sound(&sound, args.seconds * 50, args.bitrate)?;
    let audio = processor_seconds()?;
    let result = json!({
        "video_cpu_seconds": video - before,
        "audio_cpu_seconds": audio - video,
        "cpu_seconds": audio - before,
        "video_bits_per_second": bytes * 8 / args.seconds,
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

/// Gives the bytes of all JPEGs.
fn code_pictures(pictures: &Pictures, count: usize, quality: i32) -> anyhow::Result<usize> {
    let (mut compressor, mut decompressor) = (Compressor::new()?, Decompressor::new()?);
    compressor.set_quality(quality)?;
    compressor.set_subsamp(Subsamp::Sub2x2)?;
    let mut jpeg = vec![0; compressor.buf_len(pictures.width, pictures.height)?];
    let mut decoded = vec![0; pictures.size()];
    let mut bytes = 0;
    for number in 0..count {
        let start = number % (pictures.data.len() / pictures.size()) * pictures.size();
        let shape = |pixels| YuvImage {
            pixels,
            width: pictures.width,
            align: 1,
            height: pictures.height,
            subsamp: Subsamp::Sub2x2,
        };
        let len = compressor.compress_yuv_to_slice(shape(&pictures.data[start..start + pictures.size()]), &mut jpeg)?;
        let image = YuvImage {
            pixels: decoded.as_mut_slice(),
            width: pictures.width,
            align: 1,
            height: pictures.height,
            subsamp: Subsamp::Sub2x2,
        };
        decompressor.decompress_to_yuv(&jpeg[..len], image)?;
        bytes += len;
    }
    Ok(bytes)
}

fn code_sound(sound: &[i16], count: usize, bitrate: i32) -> anyhow::Result<()> {
    let mut encoder = opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(bitrate))?;
    encoder.set_inband_fec(false)?;
    encoder.set_packet_loss_perc(0)?;
    let mut decoder = opus::Decoder::new(48_000, Channels::Mono)?;
    let frames = sound.len() / 960;
    ensure!(frames > 0, "less than 20 ms of sound");
    let (mut packet, mut pcm) = ([0; 1275], [0; 960]);
    for number in 0..count {
        let start = number % frames * 960;
        let len = encoder.encode(&sound[start..start + 960], &mut packet)?;
        decoder.decode(&packet[..len], &mut pcm, false)?;
    }
    Ok(())
}

/// User and system time of this process so far. proc(5): fields 14 and 15 of `stat`, in ticks of 10 ms.
fn processor_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').context("no name in stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}
