//! Messages on their way out.

use std::collections::VecDeque;

use visavis_net::carrier::tcp_udp::frame_control;

use super::{Channel, Link};
use crate::error::{EndReason, PeerFault};
use crate::handshake::HandshakeError;

/// Messages that may wait: some dozens of ours, and one for each request of a peer that does not read its answers.
const MAX_WAITING: usize = 128;

/// Up to [`MAX_WAITING`] messages in wire form, of at most 16 KiB each; beyond that the peer is at fault.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Channel, Vec<u8>)>,
    /// What was said, before it was sealed: what `docs/protocol.md` shows.
    #[cfg(test)]
    pub(super) said: Vec<(Channel, bool, Vec<u8>)>,
    /// Changes what is about to be sealed: a peer that has the keys and does not keep to the protocol.
    #[cfg(test)]
    pub(super) forge: Option<Forge>,
}

#[cfg(test)]
pub(super) type Forge = Box<dyn FnMut(&mut Vec<u8>) + Send>;

impl Outbox {
    /// Queues a message, sealed and framed if there is a `link`, plain if there is none.
    pub(super) fn send(&mut self, channel: Channel, link: Option<&mut Link>, message: &[u8]) -> Result<(), EndReason> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(PeerFault::Flood.into());
        }
        #[cfg(test)]
        let message = &self.forged(channel, link.is_some(), message);
        let wire = match link {
            None => message.to_vec(),
            Some(link) => {
                let mut sealed = Vec::with_capacity(message.len() + 32);
                link.seal.seal(message, &mut sealed).map_err(HandshakeError::Seal)?;
                let mut framed = Vec::with_capacity(sealed.len() + 4);
                frame_control(&sealed, &mut framed);
                framed
            }
        };
        self.waiting.push_back((channel, wire));
        Ok(())
    }

    #[cfg(test)]
    fn forged(&mut self, channel: Channel, sealed: bool, message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        if let Some(forge) = self.forge.as_mut().filter(|_| sealed) {
            forge(&mut message);
        }
        self.said.push((channel, sealed, message.clone()));
        message
    }

    pub(super) fn pop(&mut self) -> Option<(Channel, Vec<u8>)> {
        self.waiting.pop_front()
    }

    /// Drops what waits for a connection that is gone.
    pub(super) fn forget(&mut self, channel: Channel) {
        self.waiting.retain(|(of, _)| *of != channel);
    }
}
