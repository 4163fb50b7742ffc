//! The little of EBML that a muxer needs. RFC 8794.

/// An element's size before anybody knows it: it lasts until the file ends. RFC 8794 §6.2, in eight bytes.
pub(super) const UNKNOWN_SIZE: u64 = (1 << 56) - 1;

/// The longest header of a [`void`] that is written: identifier and an eight-byte size.
const VOID_HEADER: usize = 9;

/// Appends an identifier. Those of RFC 9559 include their length marker.
pub(super) fn id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    out.extend_from_slice(&bytes[zeros..]);
}

/// Appends a size in eight bytes, which leaves room to write another one over it. RFC 8794 §6.
pub(super) fn size(out: &mut Vec<u8>, size: u64) {
    out.extend_from_slice(&(1 << 56 | size).to_be_bytes());
}

/// Appends an element whose content `fill` appends.
pub(super) fn master(out: &mut Vec<u8>, element: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    id(out, element);
    size(out, 0);
    let start = out.len();
    fill(out);
    let length = (out.len() - start) as u64;
    out[start - 8..start].copy_from_slice(&(1 << 56 | length).to_be_bytes());
}

/// Appends an element of bytes.
pub(super) fn binary(out: &mut Vec<u8>, element: u32, content: &[u8]) {
    id(out, element);
    match content.len() {
        // All ones would mean an unknown size.
        length @ ..0x7f => out.push(0x80 | length as u8),
        length => size(out, length as u64),
    }
    out.extend_from_slice(content);
}

/// Appends a whole number in eight bytes, so that another one fits over it.
pub(super) fn uint(out: &mut Vec<u8>, element: u32, value: u64) {
    binary(out, element, &value.to_be_bytes());
}

/// Appends a number with a fraction.
pub(super) fn float(out: &mut Vec<u8>, element: u32, value: f64) {
    binary(out, element, &value.to_be_bytes());
}

/// Appends what readers pass over, `length` bytes altogether; what is shorter than its own header stays out.
pub(super) fn void(out: &mut Vec<u8>, length: usize) {
    const VOID: u32 = 0xec;
    if let Some(content) = length.checked_sub(VOID_HEADER) {
        void_header(out, content as u64);
        out.resize(out.len() + content, 0);
    } else if let Some(content) = length.checked_sub(2) {
        binary(out, VOID, &[0; VOID_HEADER][..content]);
    }
}

/// Appends the header alone of an element that makes readers pass over the next `content` bytes.
pub(super) fn void_header(out: &mut Vec<u8>, content: u64) {
    id(out, 0xec);
    size(out, content);
}
