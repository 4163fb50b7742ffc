//! Microphone and camera that are switched off: what we say of ours, and what the other side says of its own.

use std::time::Instant;

use rtsp_types::{Method, StatusCode};
use visavis_net::rtp::codec::MediaKind;

use super::{Call, Channel, Event, Purpose, Step};
use crate::handshake::Role;
use crate::rtsp::client::Purport;
use crate::rtsp::message::{self, Answer, PARAMETERS};
use crate::state::State;

/// Whether each source is off, by [`MediaKind`].
#[derive(Debug)]
pub(super) struct Mutes {
    /// Ours.
    wanted: [bool; 2],
    /// What the other side was last told of that; unset where it may not have heard it.
    told: [Option<bool>; 2],
    /// The other side's.
    heard: [bool; 2],
}

impl Default for Mutes {
    /// A call begins with everything on, and nobody needs to be told.
    fn default() -> Self {
        Self { wanted: [false; 2], told: [Some(false); 2], heard: [false; 2] }
    }
}

impl Mutes {
    /// What was said last may not have been heard.
    pub(super) fn forget_told(&mut self) {
        self.told = [None; 2];
    }
}

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

impl Call {
    /// Tells the other side whether our microphone or camera is off; no effect before the call is accepted. However often
    /// the owner changes its mind, one word of each kind is on its way at a time, and the latest follows it.
    pub fn mute(&mut self, _now: Instant, kind: MediaKind, muted: bool) {
        if matches!(self.state, State::Active) && !self.is_viewer() {
            self.mutes.wanted[kind as usize] = muted;
            let step = self.tell_mutes();
            self.conclude(step);
        }
    }

    /// Whether we only watch.
    pub(super) fn is_viewer(&self) -> bool {
        self.purpose == Purpose::Watch && self.role == Role::Caller
    }

    /// Says what the other side does not know yet.
    pub(super) fn tell_mutes(&mut self) -> Step {
        for kind in KINDS {
            let muted = self.mutes.wanted[kind as usize];
            let purport = Purport::Mute(kind);
            if Some(muted) != self.mutes.told[kind as usize] && !self.client.waits_for(purport) {
                self.mutes.told[kind as usize] = Some(muted);
                let (name, on, off) = words(kind);
                let body = message::parameters(name, if muted { off } else { on });
                let ask = self.client.request(Method::SetParameter).body(PARAMETERS, body);
                self.ask(self.own, purport, ask)?;
            }
        }
        Ok(())
    }

    /// SET_PARAMETER of `mute` or `camera`, or of something that is not known here.
    pub(super) fn told_mute(&mut self, channel: Channel, cseq: u32, body: &[u8]) -> Step {
        let mut known = false;
        for kind in KINDS {
            let (name, on, off) = words(kind);
            let muted = match message::parameter(body, name) {
                Some(word) if word.eq_ignore_ascii_case(off) => true,
                Some(word) if word.eq_ignore_ascii_case(on) => false,
                Some(_) | None => continue,
            };
            if !matches!(self.state, State::Active) {
                return self.reply(channel, cseq, Answer::new(StatusCode::MethodNotValidInThisState));
            }
            known = true;
            if std::mem::replace(&mut self.mutes.heard[kind as usize], muted) != muted {
                self.events.push_back(Event::Muted { kind, muted });
            }
        }
        // Hold and text are reserved.
        let answer = if known { Answer::ok() } else { Answer::new(StatusCode::ParameterNotUnderstood) };
        self.reply(channel, cseq, answer)
    }
}

/// The parameter of a source, its value while that is on, and while it is off.
const fn words(kind: MediaKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        MediaKind::Audio => ("mute", "off", "on"),
        MediaKind::Video => ("camera", "on", "off"),
    }
}
