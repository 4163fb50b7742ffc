//! Which way media goes: probing, fallback to the control connection, and back.
//!
//! ```text
//!   told of, or a packet          echo           silence of 1.5 s, another path there
//!   from a new source ─▶ Probing ──────▶ Confirmed ───────────────────────▶ Failed
//!                           │                ▲                              ▲   │
//!                           └────────────────┼───── no echo for 3 s ────────┘   │
//!                                            └────────── probe each 2 s, echo ──┘
//! ```
//!
//! Every packet that gets here has been authenticated and is no replay. Media on the control connection
//! itself, interleaved or in DATAGRAM frames, works whenever that connection does, so it needs no probe.
//!
//! Media goes to confirmed addresses only. A peer can put any source address on a packet, so one that merely showed up
//! gets probes and echoes, for up to three times the bytes that came from it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::plan::Path;
use crate::rtcp::{PROBE_LEN, Probe};

/// The most UDP addresses of the peer that are known at once; the one heard least recently goes first.
const MAX_CANDIDATES: usize = 8;
/// Echoes that may wait; beyond that a probe gets no answer and is repeated.
const MAX_ECHOES: usize = 4;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const PROBING: Duration = Duration::from_secs(3);
const SLOW_RETRY: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_millis(1500);
/// The tries of a round of probing whose round trip can be told.
const TIMED_TRIES: usize = 8;
/// Tokens of one round of probing: more than a week of slow tries.
const TOKENS: u64 = 1 << 20;
/// A source that showed up by itself and never answered is forgotten after this.
const FORGET: Duration = Duration::from_secs(30);
/// How much may go to an address that is not confirmed, for each byte that came from it. RFC 9000 §8.1.
const AMPLIFICATION: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Probing,
    Confirmed,
    Failed,
}

#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    state: State,
    /// When it got into its state.
    since: Instant,
    /// Whether we were told of it, so that it is worth probing for ever.
    told: bool,
    heard: Option<Instant>,
    /// Bytes that may go there before it is confirmed; without a limit once it was, or if we were told of it.
    credit: Option<usize>,
    /// Of the first try of this round of probing; each further try adds one, so that an echo tells which of
    /// them it answers.
    token: u64,
    /// When each try was made; later ones are not timed.
    tries: ArrayVec<Instant, TIMED_TRIES>,
    tried: u64,
    /// When to probe next; `None` while confirmed.
    probe_at: Option<Instant>,
    interval: Duration,
}

impl Candidate {
    fn enter(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
    }

    fn probe_afresh(&mut self, now: Instant, token: u64) {
        self.restart(token);
        self.probe_at = Some(now);
        self.interval = FIRST_RETRY;
    }

    fn restart(&mut self, token: u64) {
        self.token = token;
        self.tries.clear();
        self.tried = 0;
    }

    const fn is_confirmed(&self) -> bool {
        matches!(self.state, State::Confirmed)
    }

    fn affords_probe(&self) -> bool {
        self.credit.is_none_or(|credit| credit >= PROBE_LEN)
    }

    fn pay_for_probe(&mut self) {
        self.credit = self.credit.map(|credit| credit.saturating_sub(PROBE_LEN));
    }
}

/// What a packet was, as far as the choice of path cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A probe or an echo: shows that the source exists, but not that the peer uses it.
    Probe,
    /// Media or reports, newer than all before.
    Newest,
    /// Media or reports that were overtaken on the way.
    Older,
}

/// The ways to one peer and the one in use.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The control connection's own way, if it has one.
    carried: Option<Path>,
    udp: ArrayVec<Candidate, MAX_CANDIDATES>,
    selected: Option<Path>,
    /// Where the newest packet came from.
    newest: Option<SocketAddr>,
    echoes: ArrayVec<(Path, u64), MAX_ECHOES>,
    next_token: u64,
}

impl Paths {
    /// `seed` makes tokens of different sessions differ; they travel encrypted, so they need no more.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            carried: None,
            udp: ArrayVec::new_const(),
            selected: None,
            newest: None,
            echoes: ArrayVec::new_const(),
            next_token: seed,
        }
    }

    /// The way to send media and reports.
    pub(crate) const fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// Adds a way to reach the peer. A UDP address is probed at once.
    pub(crate) fn add(&mut self, now: Instant, path: Path) {
        match path {
            Path::Interleaved | Path::Quic => self.carried = Some(path),
            Path::Udp(address) => match self.udp.iter_mut().find(|candidate| candidate.address == address) {
                Some(candidate) => (candidate.told, candidate.credit) = (true, None),
                None => self.insert(now, address, None),
            },
        }
        self.select();
    }

    /// There is no control connection any more.
    pub(crate) fn lose_carried(&mut self) {
        self.carried = None;
        self.select();
    }

    /// Notes an authenticated packet of `len` bytes.
    pub(crate) fn heard(&mut self, now: Instant, path: Path, what: Heard, len: usize) {
        let Path::Udp(address) = path else { return };
        let token = self.next_token;
        match self.udp.iter_mut().find(|candidate| candidate.address == address) {
            Some(candidate) => {
                candidate.heard = Some(now);
                candidate.credit = candidate.credit.map(|credit| credit.saturating_add(AMPLIFICATION * len));
                // It comes through again; ask at once whether we do.
                if candidate.state == State::Failed && candidate.interval >= SLOW_RETRY {
                    candidate.probe_afresh(now, token);
                    self.next_token = self.next_token.wrapping_add(TOKENS);
                }
            }
            None => self.insert(now, address, Some(AMPLIFICATION * len)),
        }
        if what == Heard::Newest {
            self.newest = Some(address);
        }
        self.select();
    }

    /// Takes the peer's half of a probe that came over `path`; an echo yields its round trip.
    pub(crate) fn probe(&mut self, now: Instant, path: Path, probe: Probe, token: u64) -> Option<Duration> {
        match probe {
            Probe::Request => {
                let _ = self.echoes.try_push((path, token));
                None
            }
            Probe::Echo => {
                let candidate = self.udp.iter_mut().find(|candidate| Path::Udp(candidate.address) == path)?;
                let attempt = token.wrapping_sub(candidate.token);
                if attempt >= candidate.tried {
                    return None;
                }
                let sent = candidate.tries.get(attempt as usize);
                let round_trip = sent.map(|at| now.saturating_duration_since(*at));
                candidate.enter(now, State::Confirmed);
                candidate.heard = Some(now);
                candidate.credit = None;
                candidate.probe_at = None;
                self.select();
                round_trip
            }
        }
    }

    /// The next probe or echo to send, to exactly this path.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(Path, Probe, u64)> {
        while let Some((path, token)) = self.echoes.pop_at(0) {
            match self.udp.iter_mut().find(|candidate| Path::Udp(candidate.address) == path) {
                Some(candidate) if candidate.affords_probe() => candidate.pay_for_probe(),
                None if path.is_carried() => {}
                Some(_) | None => continue,
            }
            return Some((path, Probe::Echo, token));
        }
        let due =
            |candidate: &&mut Candidate| candidate.affords_probe() && candidate.probe_at.is_some_and(|at| at <= now);
        let candidate = self.udp.iter_mut().find(due)?;
        candidate.pay_for_probe();
        let token = candidate.token.wrapping_add(candidate.tried);
        let _ = candidate.tries.try_push(now);
        candidate.tried += 1;
        candidate.probe_at = Some(now + candidate.interval);
        candidate.interval = match candidate.state {
            State::Failed if candidate.interval * 2 >= SLOW_RETRY => SLOW_RETRY,
            State::Probing | State::Confirmed | State::Failed => candidate.interval * 2,
        };
        Some((Path::Udp(candidate.address), Probe::Request, token))
    }

    /// When [`Self::handle_timeout`] or [`Self::poll`] has something to do.
    pub(crate) fn timeout(&self, now: Instant) -> Option<Instant> {
        if !self.echoes.is_empty() {
            return Some(now);
        }
        let probe = |candidate: &Candidate| candidate.probe_at.filter(|_| candidate.affords_probe());
        self.udp.iter().flat_map(|candidate| [probe(candidate), self.deadline(candidate)]).flatten().min()
    }

    /// Moves on what has waited long enough.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for index in 0..self.udp.len() {
            if self.deadline(&self.udp[index]).is_none_or(|at| now < at) {
                continue;
            }
            let token = self.next_token;
            self.next_token = self.next_token.wrapping_add(TOKENS);
            let candidate = &mut self.udp[index];
            match candidate.state {
                State::Confirmed => candidate.probe_afresh(now, token),
                State::Probing => {
                    candidate.restart(token);
                    candidate.probe_at = Some(now + SLOW_RETRY);
                    candidate.interval = SLOW_RETRY;
                }
                State::Failed => {}
            }
            candidate.enter(now, State::Failed);
        }
        self.udp.retain(|candidate| {
            let since = candidate.heard.unwrap_or(candidate.since).max(candidate.since);
            candidate.told || candidate.state != State::Failed || now.saturating_duration_since(since) < FORGET
        });
        self.select();
    }

    /// When a candidate has been in its state for too long.
    fn deadline(&self, candidate: &Candidate) -> Option<Instant> {
        match candidate.state {
            State::Probing => Some(candidate.since + PROBING),
            // With nothing to fall back on, a silent path is better than none.
            State::Confirmed => self.carried.map(|_| candidate.heard.unwrap_or(candidate.since) + SILENCE),
            State::Failed => None,
        }
    }

    /// `credit` for a source that showed up, nothing for an address that we were told.
    fn insert(&mut self, now: Instant, address: SocketAddr, credit: Option<usize>) {
        if self.udp.is_full() {
            let idle =
                |candidate: &Candidate| (candidate.is_confirmed(), candidate.told, candidate.heard, candidate.since);
            let oldest = (0..self.udp.len()).min_by_key(|&index| idle(&self.udp[index]));
            oldest.map(|index| self.udp.remove(index));
        }
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(TOKENS);
        let mut candidate = Candidate {
            address,
            state: State::Probing,
            since: now,
            told: credit.is_none(),
            heard: credit.map(|_| now),
            credit,
            token,
            tries: ArrayVec::new_const(),
            tried: 0,
            probe_at: None,
            interval: FIRST_RETRY,
        };
        candidate.probe_afresh(now, token);
        self.udp.push(candidate);
    }

    /// Takes the confirmed source of the newest packet, for there an address of the peer that changed shows first; else keeps
    /// the path in use while it is confirmed; otherwise takes the best there is.
    fn select(&mut self) {
        let rank = |candidate: &&Candidate| {
            let address = Some(candidate.address);
            (address == self.newest, address.map(Path::Udp) == self.selected, candidate.heard)
        };
        let best = self.udp.iter().filter(|candidate| candidate.is_confirmed()).max_by_key(rank);
        self.selected = match best {
            Some(candidate) => Some(Path::Udp(candidate.address)),
            None => self.carried,
        };
    }
}

#[cfg(test)]
mod tests;
