//! What players want, and what is done about it.

use std::time::Instant;

use rand_core::Rng;
use visavis_net::rtp::codec::Codec;
use visavis_session::player::{Event as Wish, Reason, Transport};

use super::talk::Talk;
use super::viewer::Flow;
use super::{Happening, Players, watching};
use crate::engine::peer::ConnId;

impl Players {
    /// Does what a player wants.
    pub(super) fn act(&mut self, now: Instant, conn: ConnId) {
        while let Some(viewer) = self.viewers.get_mut(&conn) {
            let Talk::Player(player) = &mut viewer.talk else {
                self.act_for_server(now, conn);
                break;
            };
            let Some(wish) = player.poll_event() else { break };
            match wish {
                Wish::Describe(choice) => {
                    viewer.look_at(now, choice);
                    // Otherwise its camera begins, and the first picture tells.
                    if self.known.suffices(choice) {
                        viewer.talk.describe(now, &self.known);
                    }
                }
                Wish::Setup { codec, transport, keys } => {
                    let before = viewer.leave(codec.kind());
                    viewer.set_up(now, codec, transport);
                    let ssrc = self.program.ssrc(codec);
                    viewer.copies.set_up(codec.kind(), ssrc, keys.as_ref(), self.rng.next_u32());
                    self.forget(conn, before.map(|track| track.transport));
                    self.claim(conn, transport);
                }
                Wish::SetupTalk { codec, transport } => self.set_up_talk(now, conn, codec, transport),
                // What only talks waits for nothing.
                Wish::Play if viewer.flows() || viewer.tracks().next().is_none() => {
                    viewer.open_talk();
                    viewer.turn(|flow| flow == Flow::Off, Flow::Waiting);
                    self.begin(now, conn, None);
                }
                Wish::Play => {
                    viewer.open_talk();
                    viewer.play();
                    if viewer.track(Codec::H264).is_some() {
                        self.want_key(now);
                    }
                }
                Wish::Pause => {
                    viewer.pause(now);
                    self.pause_talk(now, conn);
                }
                Wish::LeaveTalk => self.leave_talk(now, conn),
                Wish::Leave(kind) => {
                    let left = viewer.leave(kind);
                    self.forget(conn, left.map(|track| track.transport));
                }
                Wish::Over(reason) => self.over(now, conn, reason),
            }
        }
        if let Some(viewer) = self.viewers.get_mut(&conn)
            && viewer.wants_write()
        {
            self.dirty.insert(conn);
        }
        self.update_formats(now);
    }

    pub(super) fn claim(&mut self, conn: ConnId, transport: Transport) {
        for source in self.viewers.get(&conn).into_iter().flat_map(|viewer| viewer.sources(transport)) {
            // Who has a port keeps it: two cannot, and the first is believed.
            self.sources.entry(source).or_insert(conn);
        }
    }

    pub(super) fn forget(&mut self, conn: ConnId, transport: Option<Transport>) {
        if let (Some(viewer), Some(transport)) = (self.viewers.get(&conn), transport) {
            let gone: Vec<_> = viewer.sources(transport).collect();
            self.sources.retain(|source, owner| *owner != conn || !gone.contains(source));
        }
    }

    fn over(&mut self, now: Instant, conn: ConnId, reason: Reason) {
        self.hush(now, conn);
        self.say_goodbye(conn);
        let Some(viewer) = self.viewers.get(&conn) else { return };
        if let Some(watching) = watching(viewer, now, false).filter(|_| viewer.told) {
            self.happenings.push_back(Happening::Left(watching, reason));
        }
    }

    /// Its streams end; what waits for it is the last.
    pub(super) fn say_goodbye(&mut self, conn: ConnId) {
        for codec in
            self.viewers.get(&conn).iter().flat_map(|viewer| viewer.tracks()).map(|t| t.codec).collect::<Vec<_>>()
        {
            let mut bye = Vec::new();
            self.outflow.bye(codec, &mut bye);
            self.report_to(conn, codec, bye);
        }
        self.sources.retain(|_, owner| *owner != conn);
        self.dirty.insert(conn);
    }
}
