//! Where a call is, and what it holds only while it is there.

use crate::handshake::Nonce;
use crate::handshake::exchange::Exchange;
use crate::handshake::keys::Confirm;
use crate::handshake::suite::Suite;
use crate::handshake::transcript::Transcript;
use crate::identity::PublicKey;
use crate::sas::{Commitment, SasKey, SasNonce};

/// Where a call is.
///
/// ```text
///            the caller                                   the called side
///
///   dial ─▶ Hello ──── M1 ───────────────────────────▶ Listening ◀─ answer
///             │ ◀───── M2, or once "again with" ─────────  │
///             ▼                                            ▼
///           Proof ──── M3: who I am, SETUP, PLAY ─────▶ Greeted
///             │                                            ▼
///             │                                         Deciding ─▶ Event::Incoming
///             │ ◀───── M4: busy, declined, glare ───────── │ admit ─────────────────▶ Over
///             │ ◀───── M4: ringing, who I am ───────────── │
///             ▼                                            ▼
///          Calling ─── reveal ────────────────────────▶ Ringing ── decline, no answer ─▶ Over
///             │ ◀───── M5: accepted ────────────────────── │ accept
///             ▼                                            ▼
///           Active ◀── SETUP, SETUP, PLAY (call only) ── Active
///             │                                            │
///             └── hang up, peer lost, fault ─▶ Over ◀──────┘
/// ```
///
/// From every state: a fault, a deadline and the owner's hanging up lead to `Over`, with a reason of their own, and so does a closed
/// connection, but from `Active`: that call may go on over another one. Nothing leaves `Over`.
#[derive(Debug)]
pub(crate) enum State {
    /// Caller: M1 is out.
    Hello(Box<Hello>),
    /// Caller: M3 is out, with the requests for the other's streams behind it.
    Proof(Box<Proof>),
    /// Caller: the called peer has proven who it is, and rings.
    Calling,
    /// Called: nothing useful was heard yet.
    Listening(Box<Listening>),
    /// Called: M2 is out; who calls is not known.
    Greeted(Box<Greeted>),
    /// Called: the caller has proven who it is, and the engine has not said what becomes of it. What arrives
    /// meanwhile is held, so that answers keep their order.
    Deciding(Box<Deciding>),
    /// Called: it rings here.
    Ringing,
    /// Accepted.
    Active,
    /// The end; nothing is read any more.
    Over,
}

impl State {
    /// Its name in logs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Proof(_) => "proof",
            Self::Calling => "calling",
            Self::Listening(_) => "listening",
            Self::Greeted(_) => "greeted",
            Self::Deciding(_) => "deciding",
            Self::Ringing => "ringing",
            Self::Active => "active",
            Self::Over => "over",
        }
    }
}

/// Between M1 and M2.
#[derive(Debug)]
pub(crate) struct Hello {
    pub exchange: Exchange,
    pub transcript: Transcript,
    pub nonce: Nonce,
}

/// Between M3 and M4.
#[derive(Debug)]
pub(crate) struct Proof {
    /// After M3.
    pub transcript: Transcript,
    pub confirm: Confirm,
    pub sas: SasKey,
    pub nonce: SasNonce,
}

/// Before M2.
#[derive(Debug)]
pub(crate) struct Listening {
    pub transcript: Transcript,
    /// What was asked for instead of the shares of the first M1.
    pub retried: Option<Suite>,
    /// Plain requests answered that were no M1.
    pub strays: u32,
    /// An M1 whose answer costs a power, while the engine decides whether it is worth it; and that it was.
    pub costly: Costly,
}

/// Whether an M1 that costs a power may be answered.
#[derive(Debug)]
pub(crate) enum Costly {
    /// Nobody was asked yet.
    Unasked,
    /// This M1 waits for the answer.
    Asked(Vec<u8>),
    /// It may.
    Afforded,
}

impl Listening {
    /// Waits for M1, after `transcript`.
    pub(crate) const fn new(transcript: Transcript, retried: Option<Suite>) -> Self {
        Self { transcript, retried, strays: 0, costly: Costly::Unasked }
    }
}

/// Between M2 and M3.
#[derive(Debug)]
pub(crate) struct Greeted {
    /// After M2.
    pub transcript: Transcript,
    pub confirm: Confirm,
    pub sas: SasKey,
}

/// Between M3 and M4.
#[derive(Debug)]
pub(crate) struct Deciding {
    /// After M3.
    pub transcript: Transcript,
    pub confirm: Confirm,
    pub sas: SasKey,
    pub caller: PublicKey,
    pub commitment: Commitment,
    /// The number of the request that M4 answers.
    pub cseq: u32,
    /// Where the caller wants to be dialled back.
    pub listen_port: Option<u16>,
    /// Sealed requests that came behind M3, at most [`MAX_HELD`].
    pub held: Vec<Vec<u8>>,
}

/// Requests held while it is decided what becomes of a caller: two SETUPs, a PLAY, and some to spare.
pub(crate) const MAX_HELD: usize = 8;

/// What the called side needs to check the caller's reveal.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub sas: SasKey,
    pub caller: PublicKey,
    pub commitment: Commitment,
    pub nonce: SasNonce,
}
