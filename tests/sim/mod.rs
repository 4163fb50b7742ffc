//! Two complete peers in a world whose time is a number: every failure is a seed.
//!
//! Payloads are opaque here: a scenario looks at signalling, paths, repair and adaptation. The simulated TCP pipe keeps
//! order and adds delay, nothing else; it supports no claim about quality on a lossy link.

mod hostile;
mod node;
mod pictures;
mod sound;
mod world;

pub use hostile::Hostile;
pub use node::{Arrived, Node, Setup, SoundClocks};
pub use pictures::Pictures;
pub use sound::Sound;
pub use world::{A, B, Conditions, World};

/// Makes two tests of each function that takes a [`Carrier`](visavis_net::carrier::Carrier): what is below makes no difference.
#[macro_export]
macro_rules! on_both_carriers {
    ($($name:ident)*) => {
        mod over_tcp_udp {
            $(#[test] fn $name() { super::$name(visavis_net::carrier::Carrier::TcpUdp); })*
        }
        mod over_quic {
            $(#[test] fn $name() { super::$name(visavis_net::carrier::Carrier::Quic); })*
        }
    };
}
