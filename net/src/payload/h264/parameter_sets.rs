//! What a session description says of a stream.

use super::annex_b::nal_units;
use super::{MAX_PARAMETER_SETS, PPS, SPS, nal_unit_type};

/// The sequence and the picture parameter set of a stream, for its session description. RFC 6184 §8.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl ParameterSets {
    /// The first of each in a byte stream; `None` if one is missing, cut short or, with the other, above
    /// [`MAX_PARAMETER_SETS`].
    #[must_use]
    pub fn find(access_unit: &[u8]) -> Option<Self> {
        let (mut sps, mut pps) = (None, None);
        for nal_unit in nal_units(access_unit).filter_map(|range| access_unit.get(range)) {
            match nal_unit.first().map(|header| nal_unit_type(*header)) {
                Some(SPS) => sps = sps.or(Some(nal_unit)),
                Some(PPS) => pps = pps.or(Some(nal_unit)),
                _ => {}
            }
            if let (Some(sps), Some(pps)) = (sps, pps) {
                let fit = sps.len() >= 4 && sps.len() + pps.len() <= MAX_PARAMETER_SETS;
                return fit.then(|| Self { sps: sps.to_vec(), pps: pps.to_vec() });
            }
        }
        None
    }

    /// Profile, constraints and level as six hexadecimal digits. RFC 6184 §8.1, `profile-level-id`.
    #[must_use]
    pub fn profile_level_id(&self) -> String {
        self.sps.iter().skip(1).take(3).map(|byte| format!("{byte:02X}")).collect()
    }

    /// The sequence parameter set, a NAL unit without start code: in base64 the first of `sprop-parameter-sets`.
    #[must_use]
    pub fn sps(&self) -> &[u8] {
        &self.sps
    }

    /// The picture parameter set, a NAL unit without start code: in base64 the second of `sprop-parameter-sets`.
    #[must_use]
    pub fn pps(&self) -> &[u8] {
        &self.pps
    }
}
