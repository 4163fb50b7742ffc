use std::sync::atomic::Ordering;
use std::time::Duration;

use super::send::SampleClock;
use super::*;
use crate::engine::clock;
use crate::engine::config::Quality;
use visavis_media::codec::opus;
use visavis_media::device::AudioSourceSpec;
use visavis_media::pcm::{FRAME, FRAME_TIME};
use visavis_net::rtp::time::ClockRate;

#[test]
fn a_microphone_that_runs_slow_or_fast_has_no_gaps_for_days() {
    for ppm in [-200.0, 0.0, 200.0] {
        let (start, mut clock) = (clock::now(), SampleClock::new(ClockRate::OPUS));
        // Thirty hours: the drift amounts to 20 s, and the clock wraps once.
        for number in 0..30 * 3_600 * 50_u32 {
            let jitter = Duration::from_millis(u64::from(number * 7 % 11));
            let captured = start + (FRAME_TIME * number).div_f64(1.0 + ppm * 1e-6) + jitter;
            assert_eq!(clock.time(captured), RtpTime(number.wrapping_mul(FRAME as u32)), "frame {number} at {ppm} ppm");
        }
    }
}

#[test]
fn what_was_not_captured_is_passed_over() {
    let (start, mut clock) = (clock::now(), SampleClock::new(ClockRate::OPUS));
    let frame = FRAME as u32;
    assert_eq!(clock.time(start), RtpTime(0));
    assert_eq!(clock.time(start + FRAME_TIME), RtpTime(frame));
    let after = start + Duration::from_secs(3);
    assert_eq!(clock.time(after), RtpTime(144_000));
    assert_eq!(clock.time(after + FRAME_TIME), RtpTime(144_000 + frame));
}

/// Whatever can be heard in what leaves: every packet, and the copy that each carries of the one before it.
fn heard(packets: &[(Instant, bytes::Bytes)], from: Instant, until: Instant) -> u16 {
    let mut decoder = opus::Decoder::new().expect("a decoder");
    let mut copies = opus::Decoder::new().expect("a decoder");
    let mut loudest = 0;
    for (captured, packet) in packets {
        let (mut pcm, mut copy) = ([0; FRAME], [0; FRAME]);
        decoder.decode(packet, &mut pcm).expect("our own packet");
        if opus::has_redundancy(packet) {
            copies.recover(packet, &mut copy).expect("our own packet");
        }
        if (from..until).contains(captured) {
            loudest = loudest.max(pcm.iter().chain(&copy).map(|sample| sample.unsigned_abs()).max().unwrap_or(0));
        }
    }
    loudest
}

#[test]
fn nothing_of_a_muted_microphone_is_in_any_packet() {
    let (start, figures) = (clock::now(), Figures::default());
    let wav = tempfile::Builder::new().suffix(".wav").tempfile().expect("a temporary file");
    let samples = (0..96_000_u32).map(|sample| if sample % 200 < 100 { 9_000_i16 } else { -9_000 });
    let samples: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let format = [
        &16_u32.to_le_bytes()[..],
        &[1, 0, 1, 0],
        &48_000_u32.to_le_bytes(),
        &96_000_u32.to_le_bytes(),
        &[2, 0, 16, 0],
    ];
    let length = |bytes: usize| (bytes as u32).to_le_bytes();
    let parts = [
        b"RIFF",
        &length(36 + samples.len())[..],
        b"WAVEfmt ",
        &format.concat(),
        b"data",
        &length(samples.len()),
        &samples,
    ];
    std::fs::write(wav.path(), parts.concat()).expect("written");
    // Loss makes every packet carry a copy of the one before it, at a bit rate that has room for it.
    figures.expected_loss.store(20, Ordering::Relaxed);
    let source = AudioSourceSpec::Wav { path: wav.path().to_owned(), repeat: true };
    let quality = Quality { opus_bitrate: 24_000, ..Quality::default() };
    let mut send = SendAudio::open(&source, &quality, start).expect("opened");
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut packets = Vec::new();
    for ms in 0..3_000 {
        match ms {
            1_005 => figures.mute_microphone(at(ms), true),
            2_005 => figures.mute_microphone(at(ms), false),
            _ => {}
        }
        // Every now and then the thread is late, and takes several frames at once.
        while let Some(frame) = send.step(at(ms - ms % 60), &figures).expect("a file") {
            packets.push((frame.captured, frame.payloads[0].body.clone()));
        }
    }
    assert!(heard(&packets, start, at(900)) > 4_000, "it can be heard before");
    // What was captured before may still ring in the decoder for a moment.
    assert!(heard(&packets, at(1_100), at(2_005)) < 50, "it cannot be heard meanwhile");
    assert!(heard(&packets, at(2_100), at(3_000)) > 4_000, "it can be heard again");
    // The first packet after it has nothing of what was captured before its owner switched it on.
    let copies = packets.iter().filter(|(_, packet)| opus::has_redundancy(packet)).count();
    assert!(copies > 40, "there are copies to look into: {copies}");
    let first = packets.iter().position(|(captured, _)| *captured >= at(2_005)).expect("it goes on");
    let mut copy = [0; FRAME];
    if opus::has_redundancy(&packets[first].1) {
        opus::Decoder::new().expect("a decoder").recover(&packets[first].1, &mut copy).expect("our own packet");
    }
    assert!(copy.iter().all(|sample| sample.unsigned_abs() < 50), "{copy:?}");
}
