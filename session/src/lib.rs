//! The conversation: who we are, how two peers agree on keys, and what they say to each other.
//!
//! Nothing here opens a socket, reads a clock, spawns a task or touches a sample. Bytes, instants and a
//! generator of randomness come in; bytes, keys and stream plans go out.

pub mod admission;
mod base64;
pub mod call;
pub mod camera;
pub mod error;
pub mod handshake;
pub mod identity;
pub mod mikey;
pub mod player;
pub mod publish;
mod rtsp;
pub mod sas;
mod sdp;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timer;

pub use rtsp::auth;
