//! H.264 as files have it: lengths in front of NAL units, parameter sets apart. ISO/IEC 14496-15 §5.3.

use super::matroska::{MAX_PRIVATE, Video};
use crate::codec::h264::{Shape, nal};

/// The profile from which on the configuration tells what colour is like. §5.3.3.1.
const HIGH: u8 = 100;

/// The track of a stream that begins with this access unit; `None` if it has no parameter sets, or more of them than
/// there is room for.
pub(super) fn track(access_unit: &[u8]) -> Option<Video> {
    let shape = Shape::find(access_unit)?;
    let sets = |kind| {
        let units = nal::units(access_unit).map(|unit| &access_unit[unit]);
        units.filter(move |unit| nal::kind(unit) == kind).collect::<Vec<_>>()
    };
    let (sps, pps) = (sets(nal::SPS), sets(nal::PPS));
    let [profile, constraints, level] = *sps.first()?.get(1..4)?.first_chunk()?;
    // The six bits, and the three, before a number are ones. Lengths have four bytes.
    let mut avc = vec![1, profile, constraints, level, 0xfc | 3];
    for (count, sets) in [(0xe0, &sps), (0, &pps)] {
        avc.push(count | u8::try_from(sets.len()).ok().filter(|count| (1..32).contains(count))?);
        for set in sets {
            avc.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
            avc.extend_from_slice(set);
        }
    }
    if profile == HIGH {
        // 4:2:0 of 8 bits, which is all that there is in this profile but for grey, and no extensions.
        avc.extend_from_slice(&[0xfc | 1, 0xf8, 0xf8, 0]);
    }
    let (width, height) = (shape.width.try_into().ok()?, shape.height.try_into().ok()?);
    (avc.len() <= MAX_PRIVATE).then_some(Video { width, height, avc: Some(avc) })
}

/// An access unit with lengths instead of start codes.
pub(super) fn sample(access_unit: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(access_unit.len() + 16);
    for unit in nal::units(access_unit) {
        sample.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        sample.extend_from_slice(&access_unit[unit]);
    }
    sample
}
