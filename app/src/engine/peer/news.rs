//! What conversations tell the peer, and what comes of it.

use std::time::Instant;

use visavis_net::plan::MediaKeys;
use visavis_net::rtp::session::{self, Session, SessionConfig};
use visavis_session::call::{self, EndReason, Input};

use super::admit::{GLARE_WAIT, Yielded};
use super::{ConnId, MediaOutput, Output, Peer};
use crate::engine::event::Event;
use crate::engine::leg::Leg;
use crate::engine::meter::Meter;

impl Peer {
    pub(super) fn session_event(&mut self, now: Instant, id: ConnId, event: session::Event) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let in_focus = self.focus == Some(id);
        match event {
            session::Event::ClockMap { ssrc, time, ntp } => {
                if let Some(kind) = leg.kind_of(ssrc).filter(|_| in_focus) {
                    self.outputs.push_back(Output::Media(MediaOutput::ClockMap { kind, time, ntp }));
                }
            }
            session::Event::Budget { bits_per_second } => {
                leg.budget = Some(bits_per_second);
                self.share_budget();
            }
            session::Event::PathChanged(path) => {
                tracing::info!(%path, "media path");
                if in_focus {
                    self.tell(Event::PathChanged { path });
                }
            }
            session::Event::Bye => self.ask(now, id, |call| call.handle_input(now, Input::Farewell)),
            // It is read from the statistics.
            session::Event::RoundTrip(_) => {}
        }
    }

    pub(super) fn call_event(&mut self, now: Instant, id: ConnId, event: call::Event) {
        if self.legs.get(&id).is_none_or(|leg| leg.over) {
            // It ended over an event that came before this one.
            return;
        }
        let in_focus = self.focus == Some(id);
        match event {
            call::Event::Costly => {
                let Some(remote) = self.legs.get(&id).map(|leg| leg.remote) else { return };
                let affordable = self.strangers.affords_power(now, remote.ip());
                self.ask(now, id, |call| call.afford(affordable));
            }
            call::Event::Incoming { peer, purpose, call_id } => self.incoming(now, id, peer, purpose, call_id),
            call::Event::DialBack { port } => self.dial_back(id, port),
            call::Event::Ended(reason) => self.ended(now, id, reason),
            call::Event::Notice(text) => self.notice(text),
            call::Event::Recorded { on } => self.recorded(id, on),
            call::Event::Sas(sas) if in_focus => self.tell(Event::Sas { sas }),
            call::Event::Sas(_) => {}
            call::Event::Keys { keys, suite, remote_udp_port } => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    (leg.suite, leg.srtp) = (Some(suite), Some(keys.local.profile()));
                }
                self.open_session(now, id, keys, remote_udp_port);
            }
            call::Event::Resumed { keys, remote_udp_port } => {
                self.open_session(now, id, keys, remote_udp_port);
                self.resumed(now, id);
            }
            // The time for the next one is set.
            call::Event::NextFailed => {}
            call::Event::Ringing { peer } => self.ringing(now, id, peer),
            call::Event::Stream(plan) => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.add_stream(plan);
                }
                self.start_receiving(id);
            }
            call::Event::Accepted => self.call_accepted(now, id),
            call::Event::Playing => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    (leg.may_send, leg.plays) = (true, true);
                }
                self.update_sending();
            }
            call::Event::Quiet => self.redial(now, id),
            call::Event::OutOfReach(lost) => self.out_of_reach(now, id, lost),
            call::Event::WithinReach => self.within_reach(now, id),
            call::Event::Muted { kind, muted } => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.muted.set(kind, muted);
                }
            }
            // A new kind of event of the session crate is named here before it means anything.
            _ => tracing::warn!("an event of the call was not understood"),
        }
    }

    fn call_accepted(&mut self, now: Instant, id: ConnId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.connected_at = Some(now);
        if let (Some(peer), Some(suite), Some(srtp)) = (leg.peer, leg.suite, leg.srtp) {
            let (purpose, chosen) = (leg.purpose, leg.chosen);
            self.tell(Event::Connected { peer, suite, srtp, purpose, chosen });
        }
        self.start_receiving(id);
        self.tell_muted(now, id);
    }

    /// Media of a leg has keys from now on.
    fn open_session(&mut self, now: Instant, id: ConnId, keys: MediaKeys, remote_udp_port: u16) {
        let (remote_ssrc, rekeying) = (keys.remote_ssrc, self.config.rekeying);
        let config = SessionConfig { keys, rekeying, cname: self.cname(), clock: self.clock };
        let mut session = Session::new(config, &mut self.rng);
        session.limit_video(self.config.quality.max_video_bitrate);
        let connection = self.legs.get(&id).and_then(Leg::quic).zip(self.quic.as_ref());
        if let Some(round_trip) = connection.and_then(|(connection, quic)| quic.round_trip(connection)) {
            session.know_round_trip(round_trip);
        }
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.open_session(now, session, remote_ssrc, remote_udp_port);
        }
    }

    fn ended(&mut self, now: Instant, id: ConnId, reason: EndReason) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.may_send = false;
        leg.over = true;
        leg.bye(now);
        tracing::debug!(remote = %leg.remote, %reason, "conversation over");
        // Who dials a second way beside the first takes back the slower one without a word.
        if leg.is_stranger() && !(leg.is_untouched() && reason == EndReason::PeerLost) {
            self.strangers.failed(now, leg.remote, &reason);
        }
        let told = (leg.peer, leg.connected_for(now));
        let (dialled, remote, was_connected) = (leg.dialled.clone(), leg.remote, leg.connected_at.is_some());
        self.update_sending();
        self.stop_redialling(now, id);
        if self.focus == Some(id) {
            self.focus = None;
            self.stop_receiving();
            self.meter = Meter::default();
            if let (EndReason::Glare, Some(dial)) = (&reason, dialled) {
                let peer = told.0.or(dial.expected);
                self.yielded = Some(Yielded { address: remote.ip(), peer, until: now + GLARE_WAIT });
                return;
            }
        } else if !was_connected {
            return;
        }
        self.tell(Event::Ended { peer: told.0, reason, duration: told.1 });
    }
}
