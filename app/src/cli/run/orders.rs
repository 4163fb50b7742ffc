//! What the person or a program wants done meanwhile: lines on standard input, and requests over the control socket.

use std::net::SocketAddr;

use serde_json::{Value, json};
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::Purpose;

use super::{Desk, Goal};
use crate::cli::control::{Refusal, Reply, Request, Source, Switch};
use crate::cli::{camera, json, words};
use crate::engine::command::{Command, Dial};
use crate::engine::mute::Muted;
use crate::engine::snapshot::{Phase, Snapshot};

impl Desk {
    pub(super) fn line(&mut self, line: &str) {
        self.screen.entered();
        let line = line.trim().to_lowercase();
        if self.screen.is_for_programs() {
            match line.as_str() {
                "accept" => self.send(Command::Accept),
                "decline" => self.send(Command::Decline),
                "hangup" => self.send(Command::HangUp),
                "snapshot" => self.send(Command::Snapshot),
                "quit" => self.stop(),
                "" => {}
                _ => self.screen.error("standard input takes accept, decline, hangup, snapshot and quit"),
            }
        } else if self.asking {
            self.asking = false;
            let accepted = matches!(line.as_str(), "y" | "yes");
            self.send(if accepted { Command::Accept } else { Command::Decline });
        }
    }

    pub(super) fn nobody_answers(&mut self) {
        self.unattended = true;
        if self.asking {
            self.stop_asking();
            self.screen.line(UNATTENDED);
        }
    }

    /// Does what was asked over the control socket, or says why not.
    pub(super) fn asked(&mut self, request: Request, snapshot: &Snapshot) -> Reply {
        if self.stopping {
            return Reply::refused(Refusal::Stopping, "this visavis is about to end");
        }
        match request {
            Request::Status => self.report(snapshot),
            Request::Accept | Request::Decline if !self.rings() => {
                Reply::refused(Refusal::NothingRings, "nothing rings here")
            }
            Request::Accept => self.answer(Command::Accept, "The call is accepted."),
            Request::Decline => self.answer(Command::Decline, "The call is declined."),
            Request::Hangup => match (&self.goal, &self.party) {
                (Goal::Dial { .. } | Goal::Camera { .. }, _) | (Goal::Answer { .. }, Some(_)) => {
                    self.answer(Command::HangUp, "Hung up.")
                }
                (Goal::Answer { .. }, None) => Reply::refused(Refusal::NoCall, "there is no call to hang up"),
                (Goal::Stream, _) if snapshot.viewers.is_empty() && snapshot.players.is_empty() => {
                    Reply::refused(Refusal::NoCall, "nobody watches")
                }
                (Goal::Stream, _) => self.answer(Command::HangUp, "Those who watched were sent away."),
            },
            Request::Mute { source, to } => self.mute(source, to),
            Request::Reload => self.reload(),
        }
    }

    /// Whether a call waits for its answer here.
    fn rings(&self) -> bool {
        !self.connected && self.party.as_ref().is_some_and(|party| party.incoming)
    }

    /// Answers the question that may stand on the screen.
    fn answer(&mut self, command: Command, done: &str) -> Reply {
        self.stop_asking();
        self.order(command, done)
    }

    fn order(&mut self, command: Command, done: &str) -> Reply {
        if self.takes(command) {
            Reply::done(done)
        } else {
            Reply::refused(Refusal::Stopping, "this visavis is too busy")
        }
    }

    fn reload(&mut self) -> Reply {
        if let Err(e) = self.book.reload() {
            return Reply::refused(Refusal::Unreadable, &e.to_string());
        }
        let (contacts, blocked) = self.book.known();
        self.order(Command::Know { contacts, blocked }, "Contacts and blocked keys were read again.")
    }

    fn mute(&mut self, source: Source, to: Switch) -> Reply {
        if self.command() == "watch" {
            return Reply::refused(Refusal::NothingSent, "who only watches sends nothing that could be muted");
        }
        let kind = source.kind();
        let muted = match to {
            Switch::On => true,
            Switch::Off => false,
            Switch::Toggle => !self.muted.of(kind),
        };
        // The engine may have too much to do; then nothing has changed, and the answer says so.
        if !self.takes(Command::Mute { kind, muted }) {
            return Reply::refused(Refusal::Stopping, "this visavis is too busy");
        }
        let text = words::muted("Your", kind, muted);
        if muted != self.muted.of(kind) {
            self.muted.set(kind, muted);
            let mut object = json::muted(self.muted);
            object["event"] = json!("muted");
            self.screen.json(&object);
            self.screen.line(&text);
        }
        Reply::done(&text)
    }

    /// Says what the other side switched off or on. It is looked at now and then: who does it all the time cannot fill the
    /// screen.
    pub(super) fn notice_mutes(&mut self, snapshot: &Snapshot) {
        let Some(key) = self.party.as_ref().filter(|_| self.connected).map(|party| party.key) else {
            self.peer_muted = Muted::default();
            return;
        };
        if !matches!(snapshot.phase, Phase::Connected | Phase::Reconnecting) || snapshot.peer_muted == self.peer_muted {
            return;
        }
        let before = std::mem::replace(&mut self.peer_muted, snapshot.peer_muted);
        self.screen.json(&json::peer_muted(snapshot.peer_muted, &key, self.book.contacts()));
        let whose = format!("{}:", words::name(self.book.contacts().with_key(&key), &key));
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if before.of(kind) != snapshot.peer_muted.of(kind) {
                self.screen.line(&words::muted(&format!("{whose} their"), kind, snapshot.peer_muted.of(kind)));
            }
        }
    }

    fn report(&self, snapshot: &Snapshot) -> Reply {
        // The snapshot is a moment old; who asks because something happened shall not read that it has not.
        let phase = match &self.party {
            _ if matches!(self.goal, Goal::Stream) => snapshot.phase,
            _ if self.sight.is_some() => Phase::Connected,
            _ if matches!(self.goal, Goal::Camera { .. }) && self.connected => Phase::Reconnecting,
            Some(_) if self.connected => Phase::Connected,
            Some(_) if self.rings() => Phase::Ringing,
            None if matches!(self.goal, Goal::Answer { .. }) => Phase::Idle,
            Some(_) | None => snapshot.phase,
        };
        let peer = self.party.as_ref().map_or(snapshot.peer, |party| Some(party.key));
        let camera = self.sight.clone();
        let snapshot = Snapshot { muted: self.muted, phase, peer, camera, ..snapshot.clone() };
        let mut status = json::status(&snapshot, self.book.contacts());
        status["command"] = json!(self.command());
        status["version"] = json!(env!("CARGO_PKG_VERSION"));
        status["process"] = json!(std::process::id());
        status["listening"] = self.listening.map_or(Value::Null, |address| json!(address.to_string()));
        let own = format!("visavis {} (process {})", self.command(), std::process::id());
        let port = self.listening.as_ref().map(SocketAddr::port);
        let does = match (&self.goal, &self.party) {
            (Goal::Stream, _) => words::viewers(&snapshot, self.book.contacts(), self.url.as_deref(), usize::MAX),
            (_, Some(party)) if self.rings() => {
                format!("{} calls: `visavis accept` or `visavis decline`", self.described(&party.key))
            }
            (_, Some(party)) if self.connected => words::status(&snapshot, &self.described(&party.key), usize::MAX),
            (Goal::Answer { .. }, _) => "waits for calls".to_owned(),
            (Goal::Dial { .. }, Some(party)) => format!("it rings at {}", self.described(&party.key)),
            (Goal::Camera { .. }, _) => match &snapshot.camera {
                Some(seen) => camera::status(&snapshot, seen, usize::MAX),
                None if self.connected => "waits for the camera".to_owned(),
                None => "connecting".to_owned(),
            },
            (Goal::Dial { .. }, None) => "connecting".to_owned(),
        };
        let port = port.map(|port| format!(", port {port}")).unwrap_or_default();
        Reply::status(status, &format!("{own}{port}: {does}"))
    }

    fn command(&self) -> &'static str {
        match &self.goal {
            Goal::Dial { dial: Dial { purpose: Purpose::Call, .. }, .. } => "call",
            Goal::Dial { dial: Dial { purpose: Purpose::Watch, .. }, .. } | Goal::Camera { .. } => "watch",
            Goal::Answer { .. } => "answer",
            Goal::Stream => "stream",
        }
    }
}

/// There is neither a person nor a rule.
pub(super) const UNATTENDED: &str =
    "Nobody can answer: there is no terminal here and no --auto. `visavis accept` elsewhere does it.";
