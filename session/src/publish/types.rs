//! What a conversation with a media server is told and what it tells.

use visavis_net::rtp::codec::Codec;

use super::{Reason, RtspUrl, Way};
use crate::player::{Choice, Ports, Transport};

/// What is pushed to a server, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The formats, one at least.
    pub choice: Choice,
    /// How packets are to go; inside of TLS they go on the connection. A server that refuses it is offered the other way.
    pub way: Way,
    /// What we call ourselves.
    pub agent: String,
    /// Our ports for datagrams of pictures and of sound: a pair for each, since some servers tell the two apart by that alone.
    pub ports: [Ports; 2],
}

/// What has come of it, for the owner of a [`Publisher`](super::Publisher).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is time to say what there is: answer with [`Publisher::describe`](super::Publisher::describe).
    Describe,
    /// Packets of these formats may go, pictures first.
    Publishing(Vec<(Codec, Transport)>),
    /// The server wants the stream elsewhere, and this conversation is over: begin another one there, at most three times in a row. It
    /// may be another host: whether that may learn the name and the password is not for a server to decide, nor whether it may be
    /// this machine itself, which only the addresses of the host tell.
    Redirect(RtspUrl),
    /// The conversation is over. Close the connection once what is to be sent has been sent.
    Over(Reason),
}
