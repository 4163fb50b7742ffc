//! The client role: numbers our requests and knows which answer belongs to which.

use std::collections::VecDeque;

use rtsp_types::{Method, Url};
use visavis_net::rtp::codec::MediaKind;

use super::message::{Ask, PARAMETERS, parameters};
use super::transport::{Transport, Ways};
use crate::call::Channel;
use crate::error::PeerFault;

/// Requests that may wait for their answers at once; we never ask more.
const MAX_PENDING: usize = 32;

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purport {
    /// M1.
    Hello,
    /// M3.
    Proof,
    /// One stream of the other's presentation.
    Setup(MediaKind),
    /// Let its streams flow.
    Play,
    /// Ping.
    Ping,
    /// A word about the call: revealed, accepted, ended.
    Word,
    /// The number that M3 has committed to.
    Reveal,
    /// One of our sources is off, or on again.
    Mute(MediaKind),
    /// The first message on the second connection.
    Bind,
    /// The first message on a connection that the call shall go on over.
    Resume,
}

impl Purport {
    /// Its name in errors.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "OPTIONS",
            Self::Proof => "ANNOUNCE",
            Self::Setup(MediaKind::Audio) => "SETUP audio",
            Self::Setup(MediaKind::Video) => "SETUP video",
            Self::Play => "PLAY",
            Self::Ping => "GET_PARAMETER",
            Self::Word | Self::Reveal | Self::Mute(_) => "SET_PARAMETER",
            Self::Bind => "OPTIONS of the second connection",
            Self::Resume => "OPTIONS of another connection",
        }
    }
}

/// Our client half: one space of sequence numbers, whatever connection a request takes.
#[derive(Debug)]
pub(crate) struct Client {
    url: Url,
    next: u32,
    pending: VecDeque<(Channel, u32, Purport)>,
}

impl Client {
    /// Asks for `/call` at `host`; a host that no URL can have becomes `peer.invalid` (RFC 6761 §6.4).
    pub(crate) fn new(host: &str) -> Self {
        let dialled = Url::parse(&format!("rtsp://{host}/call")).ok();
        let dialled = dialled.filter(|url| url.path() == "/call" && url.has_host() && url.query().is_none());
        let url = dialled.unwrap_or_else(|| Url::parse("rtsp://peer.invalid/call").expect("a constant URL is valid"));
        Self { url, next: 1, pending: VecDeque::new() }
    }

    /// Writes a request out and remembers it; `None` when too many wait, which only a stalled peer brings about.
    pub(crate) fn ask(&mut self, channel: Channel, purport: Purport, ask: Ask) -> Option<Vec<u8>> {
        if self.pending.len() >= MAX_PENDING {
            return None;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.pending.push_back((channel, number, purport));
        Some(ask.write(number))
    }

    /// What the answer with this number on this connection answers. Answers come in order (RFC 2326 §9.1).
    ///
    /// # Errors
    /// [`PeerFault::StrayAnswer`].
    pub(crate) fn answered(&mut self, channel: Channel, cseq: u32) -> Result<Purport, PeerFault> {
        let at = self.pending.iter().position(|(of, ..)| *of == channel).ok_or(PeerFault::StrayAnswer)?;
        match self.pending.get(at) {
            Some((_, number, purport)) if *number == cseq => {
                let purport = *purport;
                self.pending.remove(at);
                Ok(purport)
            }
            _ => Err(PeerFault::StrayAnswer),
        }
    }

    /// Whether a request of this kind waits for its answer.
    pub(crate) fn waits_for(&self, purport: Purport) -> bool {
        self.pending.iter().any(|(.., waiting)| *waiting == purport)
    }

    /// Forgets what was asked on a connection that is gone.
    pub(crate) fn forget(&mut self, channel: Channel) {
        self.pending.retain(|(of, ..)| *of != channel);
    }

    /// A request for the presentation as a whole.
    pub(crate) fn request(&self, method: Method) -> Ask {
        Ask::new(method, Some(&self.url))
    }

    /// A request for one of its streams, pipelined with the others (RFC 7826 §18.33).
    pub(crate) fn setup(&self, kind: MediaKind, ways: Ways) -> Ask {
        let mut url = self.url.clone();
        url.set_path(&format!("/call/{}", track(kind)));
        Ask::new(Method::Setup, Some(&url))
            .header("Pipelined-Requests", PIPELINE)
            .header("Transport", Transport::offer(kind, ways).write())
    }

    /// Lets flow what was set up.
    pub(crate) fn play(&self) -> Ask {
        self.request(Method::Play).header("Pipelined-Requests", PIPELINE).header("Range", "npt=now-")
    }

    /// Says one word about the call, or about what we do in it.
    pub(crate) fn parameter(&self, name: &str, word: &str) -> Ask {
        self.request(Method::SetParameter).body(PARAMETERS, parameters(name, word))
    }
}

/// The number under which the SETUPs and the PLAY of one direction go together; there is one such group.
const PIPELINE: &str = "1";

/// The last part of a stream's URL.
pub(crate) const fn track(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_must_come_in_order_on_each_connection() {
        let mut client = Client::new("alice.local:8554");
        for (channel, purport) in
            [(Channel::Primary, Purport::Ping), (Channel::Back, Purport::Play), (Channel::Primary, Purport::Word)]
        {
            let ask = client.request(Method::GetParameter);
            assert!(client.ask(channel, purport, ask).is_some());
        }
        assert_eq!(client.answered(Channel::Back, 2), Ok(Purport::Play));
        assert_eq!(client.answered(Channel::Primary, 3), Err(PeerFault::StrayAnswer));
        assert_eq!(client.answered(Channel::Primary, 1), Ok(Purport::Ping));
        assert_eq!(client.answered(Channel::Primary, 3), Ok(Purport::Word));
        assert_eq!(client.answered(Channel::Primary, 3), Err(PeerFault::StrayAnswer));
    }

    #[test]
    fn asks_no_more_than_it_can_remember() {
        let mut client = Client::new("[2001:db8::1]:8554");
        for _ in 0..MAX_PENDING {
            let ask = client.play();
            assert!(client.ask(Channel::Primary, Purport::Play, ask).is_some());
        }
        let ask = client.play();
        assert!(client.ask(Channel::Primary, Purport::Play, ask).is_none());
    }

    #[test]
    fn any_host_gives_a_url() {
        for host in ["alice", "[::1]:1", "", "a b", "fe80::1%eth0", "\u{0}", "x:99999", "/", "h/x?", "h#"] {
            assert_eq!(Client::new(host).url.path(), "/call", "{host}");
        }
    }
}
