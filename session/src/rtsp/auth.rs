//! Who may watch, for players that know RTSP and no more: Digest and Basic authentication (RFC 7616, RFC 7617), both roles.
//!
//! A server has one [`Guard`] over its [`Users`], and one [`Seen`] for each connection. A client has one [`Answerer`] for each
//! connection, made from [`Credentials`].

mod answer;
mod digest;
mod guard;
mod nonce;
mod params;
mod users;

pub use answer::{Answerer, ChallengeError, Credentials};
pub use guard::{Guard, Seen, Verdict};
pub use users::{Users, UsersError};

/// The realm of every password here. It is part of what a client hashes, so it never changes (RFC 7616 §3.4.2).
pub const REALM: &str = "visavis";

#[cfg(test)]
mod tests;
