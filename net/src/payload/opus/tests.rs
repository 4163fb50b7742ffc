use proptest::prelude::*;

use super::*;

/// First byte: configuration and code. RFC 6716 §3.1.
const fn toc(config: u8, code: u8) -> u8 {
    config << 3 | code
}

fn packet(head: &[u8], body: usize) -> Vec<u8> {
    let mut packet = head.to_vec();
    packet.resize(head.len() + body, 0x55);
    packet
}

#[test]
fn durations_of_all_configurations() {
    let tenths_of_ms = [
        100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 100, 200, 25, 50, 100, 200, 25, 50, 100,
        200, 25, 50, 100, 200, 25, 50, 100, 200,
    ];
    for (config, tenths) in (0..).zip(tenths_of_ms) {
        let shape = check(&[toc(config, 0), 1, 2]).expect("valid");
        assert_eq!(shape, Shape { samples: tenths * 48 / 10, frames: 1, stereo: false }, "configuration {config}");
    }
    assert!(check(&[toc(31, 0) | 4, 1]).expect("valid").stereo);
}

#[test]
fn a_lone_first_byte_is_silence() {
    assert_eq!(check(&[toc(1, 0)]).expect("DTX").samples, 960);
}

#[test]
fn each_rule_is_enforced() {
    assert_eq!(check(&[]), Err(OpusError::Empty), "R1");
    assert_eq!(check(&packet(&[toc(1, 0)], 1276)), Err(OpusError::FrameTooLong(1276)), "R2");
    assert!(check(&packet(&[toc(1, 0)], 1275)).is_ok(), "R2");
    assert_eq!(check(&packet(&[toc(1, 1)], 3)), Err(OpusError::Uneven { bytes: 3, frames: 2 }), "R3");
    assert_eq!(check(&[toc(1, 2)]), Err(OpusError::Truncated), "R4");
    assert_eq!(check(&packet(&[toc(1, 2), 5], 4)), Err(OpusError::Truncated), "R4");
    assert!(check(&packet(&[toc(1, 2), 5], 5)).is_ok(), "R4");
    assert_eq!(check(&packet(&[toc(1, 2), 252], 0)), Err(OpusError::Truncated), "R4");
    assert!(check(&packet(&[toc(1, 2), 252, 1], 256)).is_ok(), "R4: 252 + 4 bytes");
    assert_eq!(check(&[toc(1, 3)]), Err(OpusError::Truncated), "R6");
    assert_eq!(check(&[toc(1, 3), 0]), Err(OpusError::Duration { frames: 0, samples: 0 }), "R5");
    assert_eq!(check(&[toc(1, 3), 7]), Err(OpusError::Duration { frames: 7, samples: 6720 }), "R5");
    assert_eq!(check(&packet(&[toc(1, 3), 6], 12)).expect("120 ms").samples, MAX_SAMPLES, "R5");
    assert_eq!(check(&packet(&[toc(16, 3), 48], 48)).expect("48 × 2.5 ms").samples, MAX_SAMPLES, "R5");
    assert_eq!(check(&packet(&[toc(1, 3), 3], 4)), Err(OpusError::Uneven { bytes: 4, frames: 3 }), "R6");
    assert!(check(&packet(&[toc(1, 3), 0x40 | 2, 3], 2 + 3)).is_ok(), "R6 with padding");
    assert_eq!(check(&packet(&[toc(1, 3), 0x40 | 2, 3], 2)), Err(OpusError::Truncated), "R6: only padding");
    assert!(check(&packet(&[toc(1, 3), 0x40 | 2, 255, 1], 254 + 1 + 2)).is_ok(), "R6: 255 adds 254");
    assert!(check(&packet(&[toc(1, 3), 0x80 | 3, 1, 2], 1 + 2 + 9)).is_ok(), "R7");
    assert_eq!(check(&packet(&[toc(1, 3), 0x80 | 3, 1, 2], 2)), Err(OpusError::Truncated), "R7");
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        if let Ok(shape) = check(&bytes) {
            prop_assert!(shape.samples >= 120 && shape.samples <= MAX_SAMPLES);
            prop_assert!((1..=48).contains(&shape.frames));
        }
    }
}
