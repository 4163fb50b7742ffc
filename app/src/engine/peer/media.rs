//! What a peer tells the media pipelines: they run while somebody listens, and play the call in focus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use visavis_net::plan::{Direction, StreamPlan};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{NtpTime, RtpTime};

use super::{ConnId, Output, Peer};
use crate::engine::event::Event;
use crate::engine::formats::Formats;
use crate::engine::mute::{Mute, Muted};
use crate::engine::players::Players;

/// A stream to be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its source.
    pub ssrc: Ssrc,
    /// What its payloads are.
    pub codec: Codec,
    /// What a decoder of H.264 has to know beforehand, NAL units without start codes, if its sender said it (RFC 6184 §8.1).
    pub parameter_sets: Arc<[Vec<u8>]>,
    /// How large pictures of JPEG are that do not say it themselves, in pixels, if their sender said it beforehand.
    pub size: Option<(u16, u16)>,
    /// The longest that pictures and sound may wait here; as long as play-out likes if `None`.
    pub ceiling: Option<Duration>,
}

impl From<&StreamPlan> for Stream {
    fn from(plan: &StreamPlan) -> Self {
        Self { ssrc: plan.ssrc, codec: plan.codec, parameter_sets: Arc::default(), size: None, ceiling: None }
    }
}

/// What the media pipelines are told. They belong to the one call or watched stream in focus.
#[derive(Debug)]
pub enum MediaOutput {
    /// Somebody listens: capture and encode.
    StartSending,
    /// These formats are wanted from now on, and no others.
    Formats(Formats),
    /// Somebody waits for a picture that a decoder can begin with.
    KeyPicture,
    /// Nobody does any more.
    StopSending,
    /// This stream will arrive: be ready to play it, in the place of another one of its kind.
    StartReceiving(Stream),
    /// No stream will arrive any more.
    StopReceiving,
    /// A packet of a stream we play.
    Received(Received),
    /// A sender report tied the stream's RTP clock to the sender's wall clock.
    ClockMap {
        /// Sound or pictures.
        kind: MediaKind,
        /// RTP time of the moment.
        time: RtpTime,
        /// Wall clock of the sender at the moment.
        ntp: NtpTime,
    },
    /// Keep the next picture.
    Snapshot,
    /// A source was switched off, or on again: the camera is closed, the microphone gives silence.
    Mute {
        /// Sound or pictures.
        kind: MediaKind,
        /// Whether it is off.
        muted: bool,
    },
    /// What pictures may cost from now on, in bit/s: the narrowest of all receivers' links.
    Budget {
        /// Bits per second.
        bits_per_second: u32,
    },
}

/// Who says ever again that they record and do not may not fill a screen or a log with it: after so many changes in a call
/// only the snapshot says how it is.
const MAX_RECORDED_TOLD: u32 = 20;

/// What the pipelines were last told.
#[derive(Debug, Default)]
pub(super) struct MediaState {
    pub(super) sending: bool,
    pub(super) formats: Option<Formats>,
    /// Of these, what players take.
    pub(super) of_players: Formats,
    pub(super) receiving: Vec<StreamPlan>,
    pub(super) recording: bool,
    pub(super) budget: Option<u32>,
    /// The switches of our sources, by [`MediaKind`].
    mutes: [Mute; 2],
}

impl MediaState {
    /// Whether what was captured then may leave. Silence in place of sound is the encoder's work: a packet of sound
    /// carries something of the one before it, so that none can be taken out behind the encoder.
    pub(super) fn lets_out(&self, kind: MediaKind, captured: Instant) -> bool {
        kind == MediaKind::Audio || self.mutes[kind as usize].lets_out(captured)
    }

    pub(super) fn muted(&self) -> Muted {
        let [microphone, camera] = self.mutes.map(|mute| mute.is_off());
        Muted { microphone, camera }
    }
}

impl Peer {
    /// The pipelines record what the call in focus sends from now on, or no longer: the other side is told.
    pub fn recording(&mut self, now: Instant, on: bool) {
        self.media.recording = on;
        if let Some(id) = self.focus {
            self.ask(now, id, |call| call.record(now, on));
        }
    }

    /// The other side of a leg tells the same.
    pub(super) fn recorded(&mut self, id: ConnId, on: bool) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.recorded = on;
        leg.recorded_told = leg.recorded_told.saturating_add(1);
        if leg.recorded_told <= MAX_RECORDED_TOLD {
            let by = leg.peer;
            self.tell(Event::Recording { by, on });
        }
    }

    pub(super) fn snapshot_wanted(&mut self) {
        if self.config.keep.snapshot.is_none() {
            self.notice("There is no file for pictures: name one with --snapshot FILE.jpg.".to_owned());
        } else if !self.media.receiving.iter().any(|plan| plan.codec.kind() == MediaKind::Video)
            && !self.sees_a_camera()
        {
            self.notice("There is no picture to keep now.".to_owned());
        } else {
            self.outputs.push_back(Output::Media(MediaOutput::Snapshot));
        }
    }

    pub(super) fn received(&mut self, id: ConnId, received: Received) {
        if self.focus == Some(id) && self.media.receiving.iter().any(|plan| plan.ssrc == received.ssrc) {
            self.outputs.push_back(Output::Media(MediaOutput::Received(received)));
        }
    }

    /// Tells the pipelines of every stream of the accepted call in focus that they do not know yet.
    pub(super) fn start_receiving(&mut self, id: ConnId) {
        let Some(leg) = self.legs.get(&id).filter(|leg| self.focus == Some(id) && leg.connected_at.is_some()) else {
            return;
        };
        for plan in leg.streams(Direction::Receive) {
            if !self.media.receiving.contains(plan) {
                // What goes on over another connection has another source, and takes the place of the first.
                self.media.receiving.retain(|before| before.codec.kind() != plan.codec.kind());
                self.media.receiving.push(*plan);
                self.outputs.push_back(Output::Media(MediaOutput::StartReceiving(plan.into())));
            }
        }
    }

    pub(super) fn stop_receiving(&mut self) {
        if !self.media.receiving.is_empty() {
            self.media.receiving.clear();
            self.outputs.push_back(Output::Media(MediaOutput::StopReceiving));
        }
    }

    /// The owner switches a source off, or on again.
    pub(super) fn mute(&mut self, now: Instant, kind: MediaKind, muted: bool) {
        if self.media.mutes[kind as usize].set(now, muted) {
            self.outputs.push_back(Output::Media(MediaOutput::Mute { kind, muted }));
            for id in self.legs.keys().copied().collect::<Vec<_>>() {
                self.ask(now, id, |call| call.mute(now, kind, muted));
            }
        }
    }

    /// A call that was just accepted begins with the switches as they are.
    pub(super) fn tell_muted(&mut self, now: Instant, id: ConnId) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let muted = self.media.muted().of(kind);
            self.ask(now, id, |call| call.mute(now, kind, muted));
        }
    }

    /// Sources run while anybody may have what they capture, and not a moment longer.
    pub(super) fn update_sending(&mut self) {
        // The first picture shall know what it may cost.
        self.share_budget();
        let call = self.legs.values().any(|leg| leg.may_send);
        let players = self.players.as_ref().map_or(Formats::NONE, Players::formats);
        let formats = if call { players.and(Formats::CALL) } else { players };
        let sending = !formats.is_empty();
        // What the encoders begin with, they know beforehand.
        if sending && self.media.formats != Some(formats) {
            self.media.formats = Some(formats);
            self.outputs.push_back(Output::Media(MediaOutput::Formats(formats)));
        }
        if sending != self.media.sending {
            self.media.sending = sending;
            let output = if sending { MediaOutput::StartSending } else { MediaOutput::StopSending };
            self.outputs.push_back(Output::Media(output));
        }
    }

    /// One encode serves everyone, so the narrowest link decides.
    pub(super) fn share_budget(&mut self) {
        let narrowest = self.legs.values().filter(|leg| leg.may_send).filter_map(|leg| leg.budget).min();
        if let Some(bits_per_second) = narrowest
            && self.media.budget != narrowest
        {
            self.media.budget = narrowest;
            self.outputs.push_back(Output::Media(MediaOutput::Budget { bits_per_second }));
        }
    }
}
