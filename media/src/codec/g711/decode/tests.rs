use std::f64::consts::TAU;

use super::*;
use crate::pcm::FRAME;

/// `seconds` of a tone at 8 kHz, coded.
fn coded(law: Law, hertz: f64, seconds: f64) -> Vec<u8> {
    let code = |sample| match law {
        Law::Mu => audio_codec_algorithms::encode_ulaw(sample),
        Law::A => audio_codec_algorithms::encode_alaw(sample),
    };
    let samples = (seconds * f64::from(RATE)) as usize;
    (0..samples).map(|n| code(((n as f64 * hertz / f64::from(RATE) * TAU).sin() * 12_000.0) as i16)).collect()
}

/// How strong a tone is in sound at 48 kHz: its amplitude, its phase in radians, and what is left without it, squared.
fn measure(pcm: &[i16], hertz: f64) -> (f64, f64, f64) {
    let angle = |n: usize| n as f64 * hertz / f64::from(SAMPLE_RATE) * TAU;
    let sum = |wave: fn(f64) -> f64| {
        pcm.iter().enumerate().map(|(n, x)| f64::from(*x) * wave(angle(n))).sum::<f64>() * 2.0 / pcm.len() as f64
    };
    let (s, c) = (sum(f64::sin), sum(f64::cos));
    let rest = pcm.iter().enumerate().map(|(n, x)| (f64::from(*x) - s * angle(n).sin() - c * angle(n).cos()).powi(2));
    (s.hypot(c), c.atan2(s), rest.sum::<f64>() / pcm.len() as f64)
}

#[test]
fn packets_of_any_length_give_their_own_length_and_the_same_tone() {
    for (law, length) in [(Law::Mu, 160), (Law::A, 240), (Law::Mu, 320), (Law::A, 8), (Law::Mu, 801), (Law::A, 1_600)] {
        let (mut decoder, mut heard) = (Decoder::new(law), Vec::new());
        for packet in coded(law, 440.0, 4.0).chunks_exact(length) {
            let mut pcm = vec![0; MAX_PACKET * 6];
            assert_eq!(samples(packet), Some(length * 6));
            let count = decoder.decode(packet, &mut pcm).expect("a packet");
            assert_eq!(count, length * 6);
            heard.extend_from_slice(&pcm[..count]);
        }
        assert!(decoder.ready.len().abs_diff(6) <= 1, "{}", decoder.ready.len());
        let (amplitude, phase, rest) = measure(&heard[48_000..96_000], 440.0);
        assert!((11_900.0..12_100.0).contains(&amplitude), "{law:?} {length}: {amplitude}");
        // 38 dB, which is what the laws have at most.
        assert!(rest < 12_000.0 * 12_000.0 / 2.0 / 4_000.0, "{law:?} {length}: {rest}");
        let late = -phase.rem_euclid(TAU) / TAU + 1.0;
        let expected = (f64::from(DELAY) / f64::from(RATE) * 440.0).fract();
        assert!((late - expected).abs() < 0.01, "{late} periods late, not {expected}");
    }
}

#[test]
fn a_gap_is_bridged_without_a_click_and_then_fades() {
    for hertz in [100.0, 440.0, 1_000.0] {
        let packets: Vec<_> = coded(Law::Mu, hertz, 2.0).chunks(160).map(<[u8]>::to_vec).collect();
        let (mut decoder, mut heard) = (Decoder::new(Law::Mu), Vec::new());
        for (n, packet) in packets.iter().enumerate() {
            let mut pcm = [0; FRAME];
            if (20..21).contains(&n) || (40..60).contains(&n) {
                decoder.conceal(&mut pcm);
            } else {
                assert_eq!(decoder.decode(packet, &mut pcm), Some(FRAME));
            }
            heard.extend_from_slice(&pcm);
        }
        let bend = |pcm: &[i16]| {
            pcm.windows(3).map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs()).max().unwrap_or(0)
        };
        let clean = bend(&heard[FRAME..19 * FRAME]);
        assert!(bend(&heard[FRAME..]) < clean * 2 + 100, "{hertz}: {} {clean}", bend(&heard[FRAME..]));
        let level = |frame: usize| measure(&heard[frame * FRAME..(frame + 1) * FRAME], hertz).0;
        assert!(level(20) > 10_000.0, "{hertz}: {}", level(20));
        assert!(heard[50 * FRAME..60 * FRAME].iter().all(|sample| *sample == 0));
        assert!(level(61) > 11_000.0);
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let mut decoder = Decoder::new(Law::A);
    for length in [0, 1, 7, MAX_PACKET + 1, 65_535] {
        let packet = vec![0x55; length];
        assert_eq!(samples(&packet), None);
        assert_eq!(decoder.decode(&packet, &mut vec![0; 400_000]), None);
    }
    assert_eq!(decoder.decode(&[0x55; 160], &mut [0; 959]), None);
    assert_eq!(decoder.decode(&[0x55; 160], &mut [0; 960]), Some(960));
    // Before the first packet, and of lengths that do not fit.
    let mut decoder = Decoder::new(Law::A);
    for length in [0, 1, 5, 6, 480, 481] {
        let mut pcm = vec![1; length];
        decoder.conceal(&mut pcm);
        assert!(pcm.iter().all(|sample| *sample == 0));
    }
}
