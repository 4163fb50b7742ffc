//! RTSP 1.0 (RFC 2326) as this project speaks it: messages, transports, and both roles.

pub(crate) mod asker;
pub mod auth;
pub(crate) mod client;
pub(crate) mod headers;
pub(crate) mod message;
pub(crate) mod server;
pub(crate) mod transport;
pub(crate) mod url;
pub(crate) mod wiped;
