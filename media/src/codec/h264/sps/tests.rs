use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codec::h264::Encoder;
use crate::codec::h264::decode_tests::x264;
use crate::picture::Sampling;
use crate::testing;

/// Bits of a sequence parameter set.
#[derive(Default)]
struct Writer(Vec<u8>, u32);

impl Writer {
    fn bits(&mut self, count: u32, value: u32) -> &mut Self {
        for bit in (0..count).rev() {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().expect("one") |= ((value >> bit & 1) as u8) << (7 - self.1 % 8);
            self.1 += 1;
        }
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let length = (value + 1).ilog2();
        self.bits(length, 0).bits(length + 1, value + 1)
    }
}

/// A set of main profile for pictures of so many macroblocks, in the form that a stream has it in.
pub(crate) fn sps(columns: u32, rows: u32) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bits(8, 0x67).bits(8, 77).bits(8, 0).bits(8, 52);
    writer.ue(0).ue(0).ue(2).ue(1).bits(1, 0).ue(columns - 1).ue(rows - 1);
    writer.bits(1, 1).bits(1, 1).bits(1, 0).bits(1, 0).bits(1, 1);
    writer.0
}

#[test]
fn the_shape_is_what_encoders_say() {
    for (width, height) in [(320, 240), (322, 242), (64, 48), (1280, 720)] {
        let picture = testing::picture(width, height, Sampling::Yuv420, 1);
        let unit = Encoder::new(None).encode(&picture, Duration::ZERO, true).expect("encodes");
        let expected = Shape { width: width as u32, height: height as u32, full_range: true };
        assert_eq!(Shape::find(&unit.bytes), Some(expected));
    }
    for (name, full_range, options) in [
        ("plain", false, ["-pix_fmt", "yuv420p", "-vf", "scale=200:150:flags=neighbor", "-profile:v", "high"]),
        ("matrix", false, ["-pix_fmt", "yuv420p", "-vf", "scale=200:150:flags=neighbor", "-x264-params", "cqm=jvt"]),
        ("full", true, ["-pix_fmt", "yuv420p", "-vf", "scale=200:150:flags=neighbor", "-x264-params", "fullrange=on"]),
        (
            "main",
            false,
            ["-pix_fmt", "yuv420p", "-vf", "scale=200:150:flags=neighbor,setsar=16/15", "-profile:v", "main"],
        ),
    ] {
        let Some((_, units)) = x264(&format!("sps-{name}"), 2, &options) else { return };
        assert_eq!(Shape::find(&units[0]), Some(Shape { width: 200, height: 150, full_range }), "{name}");
        assert_eq!(Shape::find(&units[1]), None);
    }
}

#[test]
fn sides_are_bounded_and_what_is_cut_off_says_nothing() {
    let whole = sps(256, 160);
    assert_eq!(Shape::of(&whole), Some(Shape { width: 4096, height: 2560, full_range: false }));
    assert!((0..whole.len() - 1).all(|length| Shape::of(&whole[..length]).is_none()));
    assert_eq!(Shape::of(&sps(1_025, 1)), None);
    // More is cut off than there is.
    let mut writer = Writer::default();
    writer.bits(8, 0x67).bits(8, 66).bits(16, 30).ue(0).ue(0).ue(2).ue(1).bits(1, 0).ue(1).ue(1).bits(2, 0b11);
    let cut = |writer: &mut Writer, left| writer.bits(1, 1).ue(left).ue(0).ue(0).ue(0).bits(1, 0).0.clone();
    assert_eq!(Shape::of(&cut(&mut Writer(writer.0.clone(), writer.1), 4)).map(|shape| shape.width), Some(24));
    assert_eq!(Shape::of(&cut(&mut Writer(writer.0.clone(), writer.1), 16)), None);
    assert_eq!(Shape::of(&cut(&mut Writer(writer.0.clone(), writer.1), 1 << 29)), None);
}

proptest! {
    #[test]
    fn no_bytes_break_it(mut bytes in prop::collection::vec(any::<u8>(), 0..200), profile in any::<bool>()) {
        if let (true, Some(second)) = (profile, bytes.get_mut(1)) {
            *second = 100;
        }
        if let Some(shape) = Shape::of(&bytes) {
            prop_assert!((1..=2 * MAX_SIDE).contains(&shape.width) && (1..=2 * MAX_SIDE).contains(&shape.height));
        }
        let _ = Shape::find(&bytes);
    }
}
