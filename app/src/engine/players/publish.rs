//! The media server that our stream is pushed to, one more who takes it: when it is dialled, and what becomes of that.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use visavis_net::carrier::tcp_udp::Framer;
use visavis_net::rtp::codec::Codec;
use visavis_session::auth::Credentials;
use visavis_session::player::{Choice, PLAY_LIMIT, Ports, Transport};
use visavis_session::publish::{self, Event, Publisher, Reason, RtspUrl, Way};

use super::talk::Talk;
use super::viewer::Viewer;
use super::{Ends, Happening, Players};
use crate::engine::backoff::{Backoff, Refusals, SETTLED, spread};
use crate::engine::peer::ConnId;
use crate::engine::redirect::{MAX_REDIRECTS, Word};
use crate::engine::tls::{Tls, TlsError};

/// Where only a person can mend it. A box that nobody sits at has to come back when it was mended elsewhere.
const FINAL_PAUSE: Duration = Duration::from_secs(60);
/// The same for a password that was refused again and again: seldom enough that nobody is locked out for it. A server that asks another
/// one who we are refuses everybody while that is away.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);

/// Where our stream is pushed to, and how.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The address.
    pub url: RtspUrl,
    /// Who we are there.
    pub credentials: Option<Credentials>,
    /// How packets go, if the server has it so.
    pub way: Way,
    /// Their formats.
    pub choice: Choice,
    /// What TLS is done with: for an address that wants it, or that servers may send us to.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Publish {
    /// Whether nothing is left to push with or without pictures and sound.
    #[must_use]
    pub fn is_empty(&self, video: bool, audio: bool) -> bool {
        self.choice.of_what_there_is(video, audio).codecs().next().is_none()
    }
}

/// Whose business it is that the stream is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server cannot be reached, or not any more.
    Network,
    /// The server does not do what it should, or cannot now.
    Server,
    /// Something is set wrongly, here or there: a person has to look.
    Settings,
}

/// Why the stream is not taken. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no connection: a sentence.
    Unreachable(String),
    /// Not over TLS.
    Tls(TlsError),
    /// The conversation is over.
    Said(Reason),
    /// The server sends us, from elsewhere, to this machine itself.
    SentHere,
    /// The name and the password were refused several times in a row: they are tried seldom from now on.
    Refused,
}

impl Trouble {
    /// Whether another try would end the same way until a person changes something.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Tls(TlsError::Untrusted(_) | TlsError::Name(_) | TlsError::Unusable(_)) => true,
            Self::Tls(TlsError::Protocol(_)) => false,
            Self::SentHere | Self::Refused => true,
            Self::Said(reason) => reason.is_final(),
        }
    }

    /// Whose business it is; nobody's if we have ended it.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Said(Reason::Ended) => None,
            Self::Unreachable(_) | Self::Said(Reason::Closed(_) | Reason::NoAnswer(_) | Reason::Stalled) => {
                Some(Fault::Network)
            }
            _ if self.is_final() => Some(Fault::Settings),
            Self::Tls(_) | Self::Said(_) | Self::SentHere | Self::Refused => Some(Fault::Server),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => f.write_str(error),
            Self::Tls(error) => error.fmt(f),
            Self::Said(reason) => reason.fmt(f),
            Self::SentHere => f.write_str(
                "the server sends us to this machine itself, which is no business of its; name that address yourself if you mean it",
            ),
            Self::Refused => f.write_str(
                "the server refuses the name or the password again and again, and locks us out, as many do, if we go on; check both. They are tried once an hour from now on",
            ),
        }
    }
}

/// How it stands with the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its address, without what is secret in it.
    pub url: String,
    /// Where it is, while there is a connection.
    pub address: Option<SocketAddr>,
    /// What is done at the moment.
    pub stage: Stage,
    /// The formats that it takes, pictures first; those that it is to take, before it does.
    pub formats: Vec<Codec>,
    /// Whether packets take the connection, and not datagrams.
    pub interleaved: bool,
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// Failures so far, ends of what worked among them.
    pub failures: u64,
    /// Pictures that it did not read fast enough for, since the start.
    pub skipped: u64,
    /// Part of its packets that were lost lately, as it says, 0 to 1.
    pub loss: f32,
}

/// How far publishing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// We make a connection, or talk about what is to come.
    Connecting,
    /// The server takes the stream, for so long.
    Up(Duration),
    /// After a failure, the next attempt is made in so long.
    Waiting(Duration),
    /// We have ended it.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next attempt is due then.
    Waiting(Instant),
    /// The shell makes a connection.
    Dialling(ConnId),
    /// There is one, and since when the server takes the stream.
    Talking(ConnId, Option<Instant>),
    Ended,
}

/// The one server.
#[derive(Debug)]
pub(super) struct Publishing {
    config: Publish,
    /// Our ports for datagrams, of pictures and of sound.
    ports: [Ports; 2],
    /// Where it is now: servers may send us elsewhere.
    url: RtspUrl,
    /// Who says so.
    word: Word,
    redirects: u8,
    /// What was taken last time.
    way: Way,
    state: State,
    backoff: Backoff,
    refusals: Refusals,
    failures: u64,
    /// What ended before it was told why.
    trouble: Option<Trouble>,
    /// What former connections did not read fast enough for.
    skipped: u64,
}

impl Publishing {
    pub(super) fn new(now: Instant, config: Publish, ports: [Ports; 2]) -> Self {
        Self {
            url: config.url.clone(),
            way: config.way,
            config,
            ports,
            word: Word::default(),
            redirects: 0,
            state: State::Waiting(now),
            backoff: Backoff::default(),
            refusals: Refusals::default(),
            failures: 0,
            trouble: None,
            skipped: 0,
        }
    }

    /// Whether the shell makes this connection for it.
    fn is_dialling(&self, conn: ConnId) -> bool {
        self.state == State::Dialling(conn)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Dialling(_) | State::Talking(..) | State::Ended => None,
        }
    }

    /// What was taken for a while has worked, and who is sent on after that is not sent around in circles.
    fn settle(&mut self, now: Instant) {
        if let State::Talking(_, Some(since)) = self.state {
            let lasted = now.saturating_duration_since(since);
            self.backoff.lasted(lasted);
            self.redirects = if lasted >= SETTLED { 0 } else { self.redirects };
        }
    }

    /// Forgets where servers sent us, after `trouble`; when to try again.
    fn fail(&mut self, now: Instant, trouble: &Trouble, rng: &mut ChaCha20Rng) -> Duration {
        self.settle(now);
        let pause = self.backoff.fail(rng);
        let pause = match trouble {
            Trouble::Refused => spread(REFUSED_PAUSE, rng),
            _ if trouble.is_final() => FINAL_PAUSE,
            _ => pause,
        };
        self.failures += 1;
        (self.url, self.word, self.redirects) = (self.config.url.clone(), Word::default(), 0);
        self.state = State::Waiting(now + pause);
        pause
    }
}

impl Players {
    /// From now on our stream is pushed there, with these ports for datagrams of sound.
    pub(in crate::engine) fn publish(&mut self, now: Instant, publish: &Publish, sound: Ports) {
        let (video, audio) = (self.program.video, self.program.audio);
        if !publish.is_empty(video, audio) {
            let publish = Publish { choice: publish.choice.of_what_there_is(video, audio), ..publish.clone() };
            self.publishing = Some(Publishing::new(now, publish, [self.ports, sound]));
        }
    }

    /// Begins to dial if that is due, under the name that `name` gives: the host and its port.
    pub(in crate::engine) fn dial(
        &mut self,
        now: Instant,
        name: impl FnOnce() -> ConnId,
    ) -> Option<(ConnId, String, u16)> {
        let publishing = self.publishing.as_mut()?;
        let State::Waiting(until) = publishing.state else { return None };
        if until > now {
            return None;
        }
        let conn = name();
        publishing.state = State::Dialling(conn);
        Some((conn, publishing.url.host().to_owned(), publishing.url.port()))
    }

    /// Whether a connection on its way is to the server.
    pub(in crate::engine) fn is_dialling(&self, conn: ConnId) -> bool {
        self.publishing.as_ref().is_some_and(|publishing| publishing.is_dialling(conn))
    }

    /// The host has these addresses, or none: a sentence for a person. Those that are to be dialled, in their order.
    pub(in crate::engine) fn resolved(
        &mut self,
        now: Instant,
        addresses: &Result<Vec<SocketAddr>, String>,
    ) -> Option<Vec<SocketAddr>> {
        let word = self.publishing.as_ref()?.word;
        let trouble = match addresses {
            Ok(addresses) if addresses.is_empty() => Trouble::Unreachable("the name has no address".to_owned()),
            Ok(addresses) => match word.dial_order(addresses) {
                none if none.is_empty() => Trouble::SentHere,
                some => return Some(some),
            },
            Err(error) => Trouble::Unreachable(error.clone()),
        };
        self.not_published(now, trouble);
        None
    }

    /// It will not come to be.
    pub(in crate::engine) fn unreachable(&mut self, now: Instant, error: String) {
        self.not_published(now, Trouble::Unreachable(error));
    }

    /// It is there.
    pub(in crate::engine) fn connected(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) {
        let Some(publishing) = &mut self.publishing else { return };
        let url = publishing.url.clone();
        let dial = |url: &RtspUrl| match &publishing.config.tls {
            Some(config) => Tls::dial(config, url.host()),
            None => Err(TlsError::Unusable("no certificate authorities are installed on this system".to_owned())),
        };
        let tls = match url.is_secure().then(|| dial(&url)).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                self.happenings.push_back(Happening::Close(conn));
                return self.not_published(now, Trouble::Tls(error));
            }
        };
        // Whoever else a server sends us to shall not learn from our answers what the password may be.
        let credentials = publishing.config.credentials.clone().filter(|_| url.is_host_of(&publishing.config.url));
        let config = publish::Config {
            choice: publishing.config.choice,
            way: publishing.way,
            agent: concat!("visavis/", env!("CARGO_PKG_VERSION")).to_owned(),
            ports: publishing.ports,
        };
        let publisher = Publisher::new(now, url, credentials, config, &mut self.rng);
        publishing.state = State::Talking(conn, None);
        let mut framer = Framer::new();
        framer.pass_over_long_media();
        // Whom we dial hears us from the address that the system chose for that, and chooses again.
        let ends = Ends { remote, local: None };
        self.viewers.insert(conn, Viewer::new(Talk::Server(Box::new(publisher)), framer, tls, ends));
        self.dirty.insert(conn);
    }

    /// The connection to the server cannot be over TLS.
    pub(super) fn server_untrusted(&mut self, error: TlsError) {
        // What comes after the last word is about nothing any more.
        if let Some(publishing) = &mut self.publishing
            && matches!(publishing.state, State::Talking(..))
        {
            publishing.trouble = Some(Trouble::Tls(error));
        }
    }

    /// Does what the conversation with the server brings about.
    pub(super) fn act_for_server(&mut self, now: Instant, conn: ConnId) {
        while let Some(viewer) = self.viewers.get_mut(&conn) {
            let Talk::Server(server) = &mut viewer.talk else { break };
            let (Some(event), Some(publishing)) = (server.poll_event(), &mut self.publishing) else { break };
            publishing.way = server.way();
            if matches!(event, Event::Redirect(_)) {
                publishing.settle(now);
            }
            match event {
                Event::Describe => {
                    let choice = publishing.config.choice;
                    viewer.look_at(now, choice);
                    if self.known.suffices(choice) {
                        viewer.talk.describe(now, &self.known);
                    }
                }
                Event::Publishing(tracks) => self.published(now, conn, &tracks),
                Event::Redirect(_) if publishing.redirects >= MAX_REDIRECTS => {
                    self.server_over(now, conn, Trouble::Said(Reason::Redirects));
                }
                Event::Redirect(url) => {
                    (publishing.url, publishing.word) = (url, Word::of(viewer.remote));
                    publishing.skipped += viewer.skipped;
                    publishing.redirects += 1;
                    publishing.state = State::Waiting(now);
                    self.say_goodbye(conn);
                }
                Event::Over(reason) => {
                    let trouble = publishing.trouble.take().unwrap_or(Trouble::Said(reason));
                    self.server_over(now, conn, trouble);
                }
            }
        }
    }

    /// The server takes these.
    fn published(&mut self, now: Instant, conn: ConnId, tracks: &[(Codec, Transport)]) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        for (codec, transport) in tracks {
            viewer.set_up(now, *codec, *transport);
            for source in viewer.sources(*transport) {
                self.sources.entry(source).or_insert(conn);
            }
        }
        viewer.play();
        viewer.begin_by = Some(now + PLAY_LIMIT);
        if viewer.track(Codec::H264).is_some() {
            self.want_key(now);
        }
        if let Some(publishing) = &mut self.publishing {
            publishing.state = State::Talking(conn, Some(now));
            publishing.refusals.taken();
        }
        self.happenings.extend(self.published_now(now).map(Happening::Publishing));
    }

    fn server_over(&mut self, now: Instant, conn: ConnId, trouble: Trouble) {
        self.say_goodbye(conn);
        if let (Some(publishing), Some(viewer)) = (&mut self.publishing, self.viewers.get(&conn)) {
            publishing.skipped += viewer.skipped;
        }
        self.not_published(now, trouble);
    }

    /// The stream is not taken, or not any more.
    fn not_published(&mut self, now: Instant, trouble: Trouble) {
        let Some(publishing) = &mut self.publishing else { return };
        let ended = trouble == Trouble::Said(Reason::Ended);
        let lasted = match publishing.state {
            State::Talking(_, since) => since.map(|since| now.saturating_duration_since(since)),
            State::Waiting(_) | State::Dialling(_) | State::Ended => None,
        };
        let refused = trouble == Trouble::Said(Reason::PasswordWrong) && publishing.refusals.refused();
        let trouble = if refused { Trouble::Refused } else { trouble };
        let url = publishing.config.url.to_string();
        let again = if ended {
            publishing.state = State::Ended;
            None
        } else {
            Some(publishing.fail(now, &trouble, &mut self.rng))
        };
        self.happenings.push_back(Happening::Unpublished { url, trouble, lasted, again });
    }

    /// Ends publishing for good.
    pub(in crate::engine) fn unpublish(&mut self, now: Instant) {
        let Some(publishing) = &mut self.publishing else { return };
        match publishing.state {
            State::Talking(conn, _) => {
                if let Some(viewer) = self.viewers.get_mut(&conn) {
                    viewer.talk.end(super::Reason::Ended);
                }
                self.act(now, conn);
            }
            State::Dialling(conn) => {
                publishing.state = State::Ended;
                self.happenings.push_back(Happening::Close(conn));
            }
            State::Waiting(_) | State::Ended => publishing.state = State::Ended,
        }
    }

    /// How it stands with the server, if there is one.
    pub(in crate::engine) fn published_now(&self, now: Instant) -> Option<Published> {
        let publishing = self.publishing.as_ref()?;
        let viewer = match publishing.state {
            State::Talking(conn, _) => self.viewers.get(&conn),
            State::Waiting(_) | State::Dialling(_) | State::Ended => None,
        };
        let stage = match publishing.state {
            State::Talking(_, Some(since)) => Stage::Up(now.saturating_duration_since(since)),
            State::Talking(_, None) | State::Dialling(_) => Stage::Connecting,
            State::Waiting(until) => Stage::Waiting(until.saturating_duration_since(now)),
            State::Ended => Stage::Ended,
        };
        let interleaved = viewer.map_or(publishing.way == Way::Tcp, |viewer| {
            viewer.tracks().all(|track| matches!(track.transport, Transport::Interleaved { .. }))
        });
        Some(Published {
            url: publishing.url.to_string(),
            address: viewer.map(|viewer| viewer.remote),
            stage,
            formats: publishing.config.choice.codecs().collect(),
            interleaved,
            secure: publishing.url.is_secure(),
            failures: publishing.failures,
            skipped: publishing.skipped + viewer.map_or(0, |viewer| viewer.skipped),
            loss: viewer.map_or(0.0, |viewer| viewer.loss),
        })
    }
}
