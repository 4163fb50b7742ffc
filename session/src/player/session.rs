//! The one RTSP session of a connection: what is set up in it, and what flows. RFC 2326 §10.4 to §10.7.

use std::time::Instant;

use rand_core::Rng;
use rtsp_types::StatusCode;
use visavis_net::carrier::tcp_udp::CONTROL_CHANNEL;
use visavis_net::rtp::codec::MediaKind;

use super::head::Head;
use super::target::Target;
use super::transport::Profile;
use super::{Choice, Event, Leave, Outcome, Player, RANGE, Reason, SESSION, TIMEOUT, TRANSPORT, Transport};
use crate::mikey;
use crate::rtsp::message::Answer;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    choice: Choice,
    /// By [`MediaKind`].
    tracks: [Option<Transport>; 2],
    /// The way back.
    pub(super) talk: Option<Transport>,
    playing: bool,
}

/// Which of a session's ways is to be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Track(MediaKind),
    Talk,
}

/// A track that is to be set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track<'a> {
    pub(super) choice: Choice,
    pub(super) kind: MediaKind,
    /// The URL by which it was asked for.
    pub(super) url: &'a str,
}

impl Player {
    pub(super) fn setup(
        &mut self,
        now: Instant,
        rng: &mut impl Rng,
        leave: Leave,
        head: &Head<'_>,
        track: Track<'_>,
    ) -> Outcome {
        let Track { choice, kind, url } = track;
        let Some(codec) = choice.codec(kind) else { return Err(Answer::new(StatusCode::NotFound)) };
        if !leave.room && self.session.is_none() {
            // The word that RTSP has for it. RFC 2326 §11.3.4.
            return Err(Answer::new(StatusCode::NotEnoughBandwidth));
        }
        let transport = self.choose(head, choice, Part::Track(kind))?;
        let theirs = match head.get(KEY_MGMT).filter(|_| choice.srtp).map(mikey::read).transpose() {
            Ok(given) => given.map(|given| given.key),
            Err(fault) => {
                tracing::info!(from = %self.place.from, %fault, "a player's keys cannot be used");
                return Err(Answer::new(StatusCode::DestinationProhibited).reason(KEY_FAILURE));
            }
        };
        self.session_of(rng, choice)?.tracks[kind as usize] = Some(transport);
        let granted = transport.write(Profile::of(choice), self.place.ports, Some(self.program.ssrc(codec)));
        let mut answer = self.with_session(Answer::ok()).header(TRANSPORT, granted);
        let mut keys = None;
        if choice.srtp {
            let ssrc = self.program.ssrc(codec);
            let keying = self.keying(now, rng, kind);
            keys = Some(keying.keys(theirs));
            let session = keying.session(ssrc);
            answer = answer.append(KEY_MGMT, &mikey::write(&keying.message, session, url));
        }
        self.events.push_back(Event::Setup { codec, transport, keys });
        Ok(answer)
    }

    /// The session that more of this presentation can be set up in: a new one, if there is none.
    pub(super) fn session_of(&mut self, rng: &mut impl Rng, choice: Choice) -> Result<&mut Session, Answer> {
        let session = self.session.get_or_insert_with(|| Session {
            id: format!("{:016x}", rng.next_u64()),
            choice,
            tracks: [None; 2],
            talk: None,
            playing: false,
        });
        if session.playing {
            return Err(Answer::new(StatusCode::MethodNotValidInThisState));
        }
        if session.choice != choice {
            return Err(Answer::new(StatusCode::AggregateOperationNotAllowed));
        }
        Ok(session)
    }

    /// How the packets of one part reach whom they are for, of what the player offers.
    pub(super) fn choose(&self, head: &Head<'_>, choice: Choice, part: Part) -> Result<Transport, Answer> {
        let ways = self.session.iter().flat_map(Session::ways).filter(|(other, _)| *other != part);
        let taken: Vec<_> = ways.map(|(_, way)| way).collect();
        let others = || taken.iter().copied();
        let free = |channel: &u8| {
            let candidate = Transport::Interleaved { rtp: *channel, rtcp: channel + 1 };
            !others().any(|other| other.collides(candidate))
        };
        let free = [0, 2, 4].into_iter().find(free).unwrap_or(6);
        let Some(offered) = head.get(TRANSPORT) else {
            return Err(Answer::new(StatusCode::BadRequest));
        };
        let taken = |transport: &Transport| others().any(|other| other.collides(*transport));
        // Datagrams cannot be kept from others' eyes as TLS keeps the rest, unless they are sealed themselves.
        let datagrams = !self.place.secure || choice.srtp;
        match Transport::choose(offered, Profile::of(choice), free, datagrams) {
            // Channels are for us to say. RFC 2326 §12.39.
            Some(Transport::Interleaved { rtp, rtcp })
                if rtp.max(rtcp) >= CONTROL_CHANNEL || taken(&Transport::Interleaved { rtp, rtcp }) =>
            {
                Ok(Transport::Interleaved { rtp: free, rtcp: free + 1 })
            }
            Some(transport) if !taken(&transport) => Ok(transport),
            Some(_) | None => Err(Answer::new(StatusCode::UnsupportedTransport)),
        }
    }

    pub(super) fn play(&mut self, head: &Head<'_>, target: Target) -> Result<(), Outcome> {
        let session = self.aggregate(target).map_err(Err)?;
        let live = head.get(RANGE).is_none_or(|range| range.trim_start().starts_with("npt"));
        if !live {
            return Err(Err(Answer::new(StatusCode::InvalidRange)));
        }
        // What flows goes on flowing, and is answered like the first time. RFC 2326 §10.5.
        session.playing = true;
        Ok(())
    }

    pub(super) fn pause(&mut self, target: Target) -> Outcome {
        self.aggregate(target)?.playing = false;
        self.events.push_back(Event::Pause);
        Ok(self.with_session(Answer::ok()))
    }

    pub(super) fn teardown(&mut self, target: Target) -> Outcome {
        let answer = |player: &Self| player.with_session(Answer::ok());
        if let (Target::Track(choice, kind), Some(session)) = (target, &mut self.session)
            && session.choice == choice
            && session.tracks[kind as usize].take().is_some()
        {
            self.events.push_back(Event::Leave(kind));
            if session.ways().next().is_some() {
                return Ok(answer(self));
            }
        } else if let (Target::Talk(choice), Some(session)) = (target, &mut self.session)
            && session.choice == choice
            && session.talk.take().is_some()
        {
            self.events.push_back(Event::LeaveTalk);
            if session.ways().next().is_some() {
                return Ok(answer(self));
            }
        } else {
            self.aggregate(target)?;
        }
        let answer = answer(self);
        self.session = None;
        self.end(Reason::Left);
        Ok(answer)
    }

    /// The session, for a request about all of it: a player may name its only track instead.
    fn aggregate(&mut self, target: Target) -> Result<&mut Session, Answer> {
        let Some(session) = &mut self.session else { return Err(Answer::new(StatusCode::MethodNotValidInThisState)) };
        if target.choice() != Some(session.choice) {
            return Err(Answer::new(StatusCode::NotFound));
        }
        match target {
            Target::Track(..) | Target::Talk(_) if session.ways().count() > 1 => {
                Err(Answer::new(StatusCode::OnlyAggregateOperationAllowed))
            }
            _ => Ok(session),
        }
    }

    pub(super) fn with_session(&self, answer: Answer) -> Answer {
        match &self.session {
            Some(session) => answer.header(SESSION, format!("{};timeout={}", session.id, TIMEOUT.as_secs())),
            None => answer,
        }
    }
}

impl Session {
    /// What is set up.
    fn ways(&self) -> impl Iterator<Item = (Part, Transport)> + use<'_> {
        let tracks = [MediaKind::Video, MediaKind::Audio].map(|kind| (Part::Track(kind), self.tracks[kind as usize]));
        let all = tracks.into_iter().chain([(Part::Talk, self.talk)]);
        all.filter_map(|(part, way)| way.map(|way| (part, way)))
    }
}

/// The header of keys. RFC 4567 §3.2.
const KEY_MGMT: &str = "KeyMgmt";
/// What RFC 4567 has 463 for; RFC 7826 gave the number to something else.
const KEY_FAILURE: &str = "Key Management Failure";
