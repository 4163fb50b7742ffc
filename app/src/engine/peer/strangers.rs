//! How much those may cost us who connected and have not said who they are.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use visavis_net::carrier::quic::Verdict;
use visavis_net::quota::{Block, Quota, Rate};
use visavis_session::call::EndReason;

use super::MAX_LEGS;
use crate::engine::leg::Leg;

/// Connections of one [`Block`] at once, calls and viewers included: a household behind one address.
const MAX_OF_BLOCK: usize = 16;
/// Of these, handshakes that have not come to who calls.
pub const MAX_HANDSHAKES_OF_BLOCK: usize = 8;
/// Handshakes in total that have not come to who calls. The other legs are kept for those who got further, and for those
/// who come from where contacts are.
pub const MAX_HANDSHAKES: usize = MAX_LEGS / 2;

/// New connections, each with one key agreement at most; the elliptic ones take a fraction of a millisecond.
const CONNECTIONS: [Rate; 2] =
    [Rate { burst: 32, every: Duration::from_millis(500) }, Rate { burst: 256, every: Duration::from_millis(31) }];
/// The same from where plain players may come: many watch from behind one address, and a recorder opens a stream for each of its uses.
const PLAYERS: [Rate; 2] =
    [Rate { burst: 256, every: Duration::from_millis(20) }, Rate { burst: 512, every: Duration::from_millis(5) }];
/// Key agreements that take powers of MODP: milliseconds each.
const POWERS: [Rate; 2] =
    [Rate { burst: 4, every: Duration::from_secs(2) }, Rate { burst: 16, every: Duration::from_millis(250) }];

/// Handshakes of TLS with plain players: a fraction of a millisecond each, many times what a request costs.
const TLS: [Rate; 2] =
    [Rate { burst: 32, every: Duration::from_millis(100) }, Rate { burst: 256, every: Duration::from_millis(10) }];

/// Handshakes of QUIC at once, up to which an address need not be proven first.
const UNPROVEN: usize = 8;
/// Such handshakes that begin in a time.
const UNPROVEN_RATE: Rate = Rate { burst: 16, every: Duration::from_millis(62) };
/// Tokens for those who have to prove their address: each costs us no memory and some 20 µs.
const TOKEN_RATE: Rate = Rate { burst: 64, every: Duration::from_millis(2) };

/// First packets of QUIC that are looked into: each takes some 15 µs, whatever comes of it.
const INITIAL_RATE: Rate = Rate { burst: 256, every: Duration::from_micros(500) };

/// Addresses from which contacts have come, the latest ones.
const MAX_LEARNED: usize = 64;

/// Between warnings of one kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What strangers have cost lately.
#[derive(Debug)]
pub(super) struct Strangers {
    unknown: Share,
    /// Of those who come from where contacts are: what others use up does not keep a contact from getting through.
    familiar: Share,
    /// Where the owner's list has its contacts.
    listed: BTreeSet<Block>,
    /// Where contacts have proven to be since, at most [`MAX_LEARNED`], the latest last.
    learned: VecDeque<Block>,
    /// When the buckets of [`UNPROVEN_RATE`] and [`TOKEN_RATE`] will be full.
    unproven: Option<Instant>,
    tokens: Option<Instant>,
    refused: Tally,
    failed: Tally,
}

impl Strangers {
    /// `listed` are the addresses that the owner has of contacts.
    pub(super) fn new(listed: impl Iterator<Item = IpAddr>) -> Self {
        Self {
            unknown: Share::new(),
            familiar: Share::new(),
            listed: listed.filter_map(Block::of).collect(),
            learned: VecDeque::new(),
            unproven: None,
            tokens: None,
            refused: Tally::new(),
            failed: Tally::new(),
        }
    }

    /// The owner's list is another one.
    pub(super) fn know(&mut self, listed: impl Iterator<Item = IpAddr>) {
        self.listed = listed.filter_map(Block::of).collect();
        self.learned.clear();
    }

    /// A contact has proven to be there.
    pub(super) fn learn(&mut self, address: IpAddr) {
        let Some(block) = Block::of(address) else { return };
        self.learned.retain(|known| *known != block);
        if self.learned.len() >= MAX_LEARNED {
            self.learned.pop_front();
        }
        self.learned.push_back(block);
    }

    fn is_familiar(&self, address: IpAddr) -> bool {
        Block::of(address).is_some_and(|block| self.listed.contains(&block) || self.learned.contains(&block))
    }

    /// What counts who comes from there.
    fn share(&mut self, address: IpAddr) -> &mut Share {
        if self.is_familiar(address) { &mut self.familiar } else { &mut self.unknown }
    }

    /// Whether one more first packet of QUIC, or what claims to be one, is looked into. Anybody can claim to be where contacts are:
    /// those have a bucket of their own, and not more than that.
    pub(super) fn reads_initial(&mut self, now: Instant, remote: SocketAddr) -> bool {
        let read = take(&mut self.share(remote.ip()).initials, INITIAL_RATE, now);
        if !read {
            self.refused.note(now, format!("{remote}: first packets of QUIC come too fast"));
        }
        read
    }

    /// What becomes of somebody whose QUIC handshake would be one more beside `handshakes`. Whose address has been `proven` to be
    /// its own is counted as who connects over TCP. Of the others a few are let on, and counted once the handshake has shown that; when
    /// many come they have to prove it first; and when very many do, they get no answer.
    pub(super) fn judge<'a>(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        proven: bool,
        handshakes: &[SocketAddr],
        legs: impl ExactSizeIterator<Item = &'a Leg>,
    ) -> Verdict {
        if proven {
            return if self.admit(now, remote, false, handshakes, legs) { Verdict::Accept } else { Verdict::Ignore };
        }
        if handshakes.len() < UNPROVEN && take(&mut self.unproven, UNPROVEN_RATE, now) {
            return Verdict::Accept;
        }
        if take(&mut self.tokens, TOKEN_RATE, now) {
            return Verdict::Prove;
        }
        self.refused.note(now, format!("{remote}: they come too fast"));
        Verdict::Ignore
    }

    /// Whether one more connection may stay, which is `welcome` where the owner lets players in, `legs` being there already, and these `handshakes` of QUIC that have not come as far.
    pub(super) fn admit<'a>(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        welcome: bool,
        handshakes: &[SocketAddr],
        legs: impl ExactSizeIterator<Item = &'a Leg>,
    ) -> bool {
        let all = legs.len() + handshakes.len();
        let block = Block::of(remote.ip());
        let here = |address: SocketAddr| block.is_some() && Block::of(address.ip()) == block;
        let of_quic = handshakes.iter().filter(|address| here(**address)).count();
        let (mut strangers, mut of_block, mut strangers_of_block) = (handshakes.len(), of_quic, of_quic);
        for leg in legs {
            let (stranger, same) = (leg.is_stranger(), here(leg.remote));
            strangers += usize::from(stranger);
            of_block += usize::from(same);
            strangers_of_block += usize::from(stranger && same);
        }
        let room = all < MAX_LEGS
            && (strangers < MAX_HANDSHAKES || self.is_familiar(remote.ip()))
            && of_block < MAX_OF_BLOCK
            && strangers_of_block < MAX_HANDSHAKES_OF_BLOCK;
        let share = self.share(remote.ip());
        let connections = if welcome { &mut share.welcome } else { &mut share.connections };
        let admitted = room && connections.take(now, remote.ip());
        if !admitted {
            let reason = if room { "they come too fast" } else { "too many are open" };
            self.refused.note(now, format!("{remote}: {reason}"));
        }
        admitted
    }

    /// Whether what came as one of many that are welcome may be a call as well.
    pub(super) fn takes_call(&mut self, now: Instant, remote: SocketAddr) -> bool {
        let taken = self.share(remote.ip()).connections.take(now, remote.ip());
        if !taken {
            self.refused.note(now, format!("{remote}: they come too fast"));
        }
        taken
    }

    /// Whether what came as one of many that are welcome may begin a handshake of TLS.
    pub(super) fn takes_tls(&mut self, now: Instant, remote: SocketAddr) -> bool {
        let taken = self.share(remote.ip()).tls.take(now, remote.ip());
        if !taken {
            self.refused.note(now, format!("{remote}: handshakes of TLS come too fast"));
        }
        taken
    }

    /// Whether a stranger's handshake may take powers of MODP.
    pub(super) fn affords_power(&mut self, now: Instant, from: IpAddr) -> bool {
        self.share(from).powers.take(now, from)
    }

    /// A connection ended before it was known who made it.
    pub(super) fn failed(&mut self, now: Instant, remote: SocketAddr, reason: &EndReason) {
        self.failed.note(now, format!("{remote}: {reason}"));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.refused.due, self.failed.due].into_iter().flatten().min()
    }

    /// Warns of what has happened since the last warnings.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((count, last)) = self.refused.take(now) {
            tracing::warn!(count, last, "connections were refused");
        }
        if let Some((count, last)) = self.failed.take(now) {
            tracing::warn!(count, last, "strangers connected and did not come as far as saying who they are");
        }
    }
}

/// Takes a token from a bucket that will be full at `full`, if it has one.
fn take(full: &mut Option<Instant>, rate: Rate, now: Instant) -> bool {
    let after = rate.take(*full, now);
    *full = after.or(*full);
    after.is_some()
}

/// What one kind of strangers may cost.
#[derive(Debug)]
struct Share {
    connections: Quota,
    /// From where players may come.
    welcome: Quota,
    tls: Quota,
    powers: Quota,
    /// When the bucket of [`INITIAL_RATE`] will be full.
    initials: Option<Instant>,
}

impl Share {
    const fn new() -> Self {
        const fn quota([each, all]: [Rate; 2]) -> Quota {
            Quota::new(each, all)
        }
        Self {
            connections: quota(CONNECTIONS),
            welcome: quota(PLAYERS),
            tls: quota(TLS),
            powers: quota(POWERS),
            initials: None,
        }
    }
}

/// Counts what may happen often and is told seldom: the first one at once, the others together.
#[derive(Debug)]
struct Tally {
    count: u64,
    last: String,
    /// When to tell; unset while there is nothing to tell.
    due: Option<Instant>,
    told: Option<Instant>,
}

impl Tally {
    const fn new() -> Self {
        Self { count: 0, last: String::new(), due: None, told: None }
    }

    fn note(&mut self, now: Instant, what: String) {
        self.count += 1;
        self.last = what;
        self.due.get_or_insert(self.told.map_or(now, |told| now.max(told + WARNING_INTERVAL)));
    }

    /// How many there were and the last of them, once that may be told.
    fn take(&mut self, now: Instant) -> Option<(u64, String)> {
        self.due.take_if(|due| *due <= now)?;
        self.told = Some(now);
        Some((std::mem::take(&mut self.count), std::mem::take(&mut self.last)))
    }
}

#[cfg(test)]
mod tests;
