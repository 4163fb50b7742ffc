//! Pictures and sound from the device to the device, beside turbojpeg and libopus alone on the same input.
#![allow(missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use visavis_media::device::VideoSourceSpec;
use visavis_media::device::video::{Captured, Image, VideoSource};
use visavis_media::picture::Picture;
use visavis_media::{FRAME, SAMPLE_RATE};
use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::time::RtpTime;
use visavis_net::testing::moment;

fn main() {
    divan::main();
}

/// From planes to planes: encoded, cut into payloads of RFC 2435, put together, decoded.
mod jpeg {
    use turbojpeg::{Compressor, Decompressor, Subsamp, YuvImage};
    use visavis_media::codec::jpeg::Decoder;
    use visavis_media::encode::VideoEncoder;
    use visavis_media::picture::Sampling;
    use visavis_net::payload::jpeg::{Depacketizer, Packetizer};

    use super::*;

    const SIZES: [&str; 2] = ["640x480", "1280x720"];
    const QUALITY: u8 = 80;
    /// Bytes of payload in a packet of 1,200.
    const PAYLOAD: usize = 1171;

    #[divan::bench(args = SIZES)]
    fn visavis(bencher: Bencher<'_, '_>, size: &str) {
        let pictures = pictures(size);
        let mut encoder = VideoEncoder::new(QUALITY).expect("an encoder");
        let mut packetizer = Packetizer::new(PAYLOAD);
        let mut depacketizer = Depacketizer::new();
        let mut decoder = Decoder::new().expect("a decoder");
        let mut decoded = Picture::new(16, 16, Sampling::Yuv420).expect("valid");
        let (mut payloads, mut packet, mut seq, mut now) = (Vec::new(), Vec::new(), ExtSeq(0), moment());
        let mut pictures = pictures.iter().cycle();
        bencher.bench_local(|| {
            let image = Image::Yuv(Arc::clone(pictures.next().expect("a cycle")));
            now += Duration::from_millis(33);
            let encoded = encoder.step(&Captured { at: now, image }).expect("encodes").expect("no budget is set");
            packetizer.packetize(&encoded.jpeg, &mut payloads).expect("it fits RFC 2435");
            let (mut whole, last) = (None, payloads.len() - 1);
            for (index, payload) in payloads.drain(..).enumerate() {
                // As sealing does on one side and the socket on the other.
                packet.clear();
                packet.extend_from_slice(&payload.header);
                packet.extend_from_slice(&payload.body);
                whole = depacketizer.push(seq, RtpTime(seq.0 as u32 & !1023), index == last, &packet).expect("our own");
                seq = seq.next();
            }
            // The next picture has a time of its own.
            seq = ExtSeq((seq.0 | 1023) + 1);
            decoder.decode(&whole.expect("a picture").jpeg, &mut decoded).expect("our own");
        });
    }

    #[divan::bench(args = SIZES)]
    fn turbojpeg(bencher: Bencher<'_, '_>, size: &str) {
        let pictures = pictures(size);
        let (width, height, subsamp) = (pictures[0].width(), pictures[0].height(), Subsamp::Sub2x2);
        let (mut compressor, mut decompressor) = (Compressor::new().expect("one"), Decompressor::new().expect("one"));
        compressor.set_quality(i32::from(QUALITY)).expect("a quality");
        let mut jpeg = vec![0; turbojpeg::compressed_buf_len(width, height, subsamp).expect("a size")];
        let mut decoded = vec![0; pictures[0].data().len()];
        let mut pictures = pictures.iter().cycle();
        bencher.bench_local(|| {
            let pixels = pictures.next().expect("a cycle").data();
            let image = YuvImage { pixels, width, align: 1, height, subsamp };
            let len = compressor.compress_yuv_to_slice(image, &mut jpeg).expect("encodes");
            let image = YuvImage { pixels: decoded.as_mut_slice(), width, align: 1, height, subsamp };
            decompressor.decompress_to_yuv(&jpeg[..len], image).expect("decodes");
        });
    }

    /// A few pictures of the test scene, as long as the caches of a camera's frames.
    fn pictures(size: &str) -> Vec<Arc<Picture>> {
        let (width, height) = size.split_once('x').expect("a size");
        let (width, height) = (width.parse().expect("a number"), height.parse().expect("a number"));
        let mut now = moment();
        let mut source =
            VideoSource::open(&VideoSourceSpec::Synthetic { width, height, fps: 30 }, now).expect("a scene");
        let mut next = || {
            now += Duration::from_millis(34);
            match source.next(now).expect("a scene").expect("it is due").image {
                Image::Yuv(picture) => Arc::new(Picture::clone(&picture)),
                Image::Jpeg(_) => unreachable!("the scene is drawn in planes"),
            }
        };
        (0..8).map(|_| next()).collect()
    }
}

/// 20 ms from samples to samples: encoded, made a payload, checked as a receiver does, decoded.
mod opus {
    use ::opus::{Application, Bitrate, Channels, Signal};
    use visavis_media::codec::opus::{Decoder, Encoder, MAX_SAMPLES};
    use visavis_net::payload::opus::{check, packetize};

    use super::*;

    const BITRATE: u32 = 48_000;

    #[divan::bench]
    fn visavis(bencher: Bencher<'_, '_>) {
        let mut encoder = Encoder::new(BITRATE, 0).expect("an encoder");
        let mut decoder = Decoder::new().expect("a decoder");
        let (speech, mut pcm) = (speech(), [0; MAX_SAMPLES]);
        let mut frames = speech.iter().cycle();
        bencher.bench_local(|| {
            let packet = encoder.encode(frames.next().expect("a cycle")).expect("encodes");
            let payload = packetize(&packet).expect("a packet");
            check(&payload.body).expect("a packet");
            decoder.decode(&payload.body, &mut pcm).expect("decodes")
        });
    }

    #[divan::bench]
    fn libopus(bencher: Bencher<'_, '_>) {
        let mut encoder = bare_encoder();
        let mut decoder = ::opus::Decoder::new(SAMPLE_RATE, Channels::Mono).expect("a decoder");
        let (speech, mut packet, mut pcm) = (speech(), [0; 1275], [0; MAX_SAMPLES]);
        let mut frames = speech.iter().cycle();
        bencher.bench_local(|| {
            let len = encoder.encode(frames.next().expect("a cycle"), &mut packet).expect("encodes");
            decoder.decode(&packet[..len], &mut pcm, false).expect("decodes")
        });
    }

    /// Set as ours is.
    fn bare_encoder() -> ::opus::Encoder {
        let mut encoder = ::opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).expect("an encoder");
        encoder.set_bitrate(Bitrate::Bits(BITRATE.cast_signed())).expect("a rate");
        encoder.set_signal(Signal::Voice).expect("a signal");
        encoder
    }
}

/// 20 ms of received sound: one packet into the jitter buffer, two blocks out of it, on a link with 30 ms of jitter.
mod playout {
    use ::opus::Channels;
    use bytes::Bytes;
    use visavis_media::BLOCK;
    use visavis_media::codec::opus::Encoder;
    use visavis_media::playout::{AudioPacket, Playout, PlayoutConfig};

    use super::*;

    #[divan::bench]
    fn visavis(bencher: Bencher<'_, '_>) {
        let packets = packets();
        let mut playout = Playout::new(PlayoutConfig::default()).expect("a play-out");
        let (start, mut pcm) = (moment(), [0; BLOCK]);
        let mut numbers = 0_u64..;
        let mut turn = || {
            let number = numbers.next().expect("it has no end");
            let sent = start + Duration::from_millis(20) * u32::try_from(number).expect("a short run");
            let arrival = sent + Duration::from_millis(number * 7 % 30);
            playout.push(AudioPacket {
                seq: ExtSeq(number),
                time: RtpTime((number as u32).wrapping_mul(FRAME as u32)),
                arrival,
                payload: &packets[number as usize % packets.len()],
                repaired: false,
            });
            step(&mut playout, sent, &mut pcm);
        };
        // Until it knows the network.
        (0..50).for_each(|_| turn());
        bencher.bench_local(turn);
        assert!(playout.stats().decoded > 0 && playout.stats().malformed == 0);
    }

    /// What cannot be saved: decoding.
    #[divan::bench]
    fn libopus_decode(bencher: Bencher<'_, '_>) {
        let packets = packets();
        let mut decoder = ::opus::Decoder::new(SAMPLE_RATE, Channels::Mono).expect("a decoder");
        let (mut packets, mut pcm) = (packets.iter().cycle(), [0; FRAME]);
        bencher.bench_local(|| decoder.decode(packets.next().expect("a cycle"), &mut pcm, false).expect("decodes"));
    }

    fn step(playout: &mut Playout, now: Instant, pcm: &mut [i16; BLOCK]) {
        playout.step(now + Duration::from_millis(30), pcm);
        playout.step(now + Duration::from_millis(40), pcm);
    }

    fn packets() -> Vec<Bytes> {
        let mut encoder = Encoder::new(48_000, 0).expect("an encoder");
        speech().iter().map(|frame| encoder.encode(frame).expect("encodes")).collect()
    }
}

/// Four seconds of words of a buzzing voice with a wandering pitch, and pauses with faint noise.
fn speech() -> Vec<[i16; FRAME]> {
    let (mut phase, mut noise) = (0.0_f32, 1_u32);
    let mut sample = |i: usize| {
        let t = i as f32 / SAMPLE_RATE as f32;
        phase += (140.0 + 30.0 * (t * 3.0).sin()) / SAMPLE_RATE as f32;
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let loudness = ((t.fract() * std::f32::consts::PI / 0.7).sin()).max(0.0) * f32::from(t.fract() < 0.7);
        let voice: f32 = (1..16).map(|k| (phase * k as f32 * std::f32::consts::TAU).sin() / (k as f32 + 1.0)).sum();
        (voice * loudness * 8_000.0 + (noise >> 24) as f32 / 12.0) as i16
    };
    (0..200).map(|frame| std::array::from_fn(|i| sample(frame * FRAME + i))).collect()
}
