//! Payload formats: how a codec's frames become RTP payloads and back.
//!
//! Nothing here knows sequence numbers, keys or clocks beyond those it is handed.

pub mod h264;
pub mod jpeg;
pub mod opus;
#[cfg(test)]
mod testing;
