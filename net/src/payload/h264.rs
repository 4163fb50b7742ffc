//! H.264, packetization-mode 1. RFC 6184.
//!
//! Sent are single NAL unit packets, STAP-A and FU-A. The same is received, which mode 0 is a part of; what only
//! interleaved mode needs (STAP-B, MTAP, FU-B) is refused. On either side an access unit is a byte stream with start
//! codes, as encoders give and decoders take it.

mod annex_b;
mod assembly;
mod depacketize;
mod packetize;
mod parameter_sets;
#[cfg(test)]
mod tests;

pub use annex_b::nal_units;
pub use assembly::FragmentError;
pub use depacketize::{AccessUnit, Depacketizer, Stats};
pub use packetize::{H264Error, Packetizer};
pub use parameter_sets::ParameterSets;

/// The longest access unit that we send or reassemble, start codes included: 4 MiB, as for a JPEG picture.
pub const MAX_ACCESS_UNIT: usize = 4 << 20;

/// The most bytes of parameter sets that we keep: ordinary ones have fewer than 100.
pub const MAX_PARAMETER_SETS: usize = 8 << 10;

/// The forbidden bit of a NAL unit's first byte. RFC 6184 §1.3.
const FORBIDDEN: u8 = 0x80;
/// How much others depend on a NAL unit, in its first byte. RFC 6184 §1.3.
const NRI: u8 = 0x60;
/// NAL unit types as far as we tell them apart, from here to `FILLER`. ITU-T H.264 table 7-1.
const SLICE: u8 = 1;
const PARTITION_A: u8 = 2;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
/// Those above are RTP's. RFC 6184 §5.2, table 1.
const LAST_NAL_UNIT_TYPE: u8 = 23;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Of a NAL unit's first byte, which a FU indicator and a FU header share. RFC 6184 §1.3.
const fn nal_unit_type(header: u8) -> u8 {
    header & 0x1f
}

/// Whether a NAL unit of its own may begin so: neither forbidden nor one of the types that RTP adds.
const fn is_nal_unit(header: u8) -> bool {
    header & FORBIDDEN == 0 && nal_unit_type(header) != 0 && nal_unit_type(header) <= LAST_NAL_UNIT_TYPE
}

/// Whether the first slice of a picture goes on so behind its NAL unit's first byte: `first_mb_in_slice` is an Exp-Golomb code, of which zero is
/// a single one. ITU-T H.264 §7.3.3, §9.1.
const fn is_first_slice(second: u8) -> bool {
    second & 0x80 != 0
}

/// Whether a NAL unit of this type begins with a slice header.
const fn is_slice(nal_unit_type: u8) -> bool {
    matches!(nal_unit_type, SLICE | PARTITION_A | IDR)
}

/// What no decoder needs, since timestamps and markers delimit access units: it neither leaves nor comes through.
const fn is_dispensable(nal_unit_type: u8) -> bool {
    matches!(nal_unit_type, DELIMITER | FILLER)
}
