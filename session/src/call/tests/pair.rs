//! The test harness: a caller and a called side, a clock that jumps from event to event, and somebody in between.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::plan::{Direction, Exported, MediaKeys, StreamPlan};

use super::*;
use crate::identity::Identity;
use crate::sas::Sas;
use crate::testing;
pub(super) use crate::testing::rng as seeded;
use visavis_net::testing::moment;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
}

/// What a test may want different from the ordinary.
pub(super) struct Setup {
    pub caller: Config,
    pub called: Config,
    pub dial: Dial,
    /// What the called engine answers to `Incoming`.
    pub admission: Option<Admission>,
    /// Whether dialling back works.
    pub back_works: bool,
    /// Whether the called engine spends powers on strangers.
    pub affords: bool,
    /// QUIC: what the TLS of the caller and of the called side exported, the same unless somebody is in between.
    pub exported: Option<[Exported; 2]>,
    /// By how much the called side's messages on the first connection come later than those on the second.
    pub first_late: Duration,
}

/// What TLS might export.
pub(super) fn exported(secret: u8) -> Exported {
    Exported { secret: [secret; 32].into(), srtp: SrtpProfile::Aes256Gcm }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            caller: config(1),
            called: config(2),
            dial: testing::dial(),
            admission: Some(Admission::Ring),
            back_works: true,
            affords: true,
            exported: None,
            first_late: Duration::ZERO,
        }
    }
}

pub(super) fn config(seed: u64) -> Config {
    testing::config(Identity::generate(&mut seeded(seed)))
}

/// One side of a pair.
pub(super) struct End {
    pub call: Call,
    pub events: Vec<(Instant, Event)>,
    /// Events that nobody has acted on.
    waiting: VecDeque<Event>,
    admission: Option<Admission>,
    /// One for each connection and stream.
    framers: BTreeMap<(u32, bool), Framer>,
    /// The connection that the call is on, and the one that it is to go on over.
    pub current: u32,
    pub next: Option<u32>,
    binding: Option<Binding>,
    /// Nothing more is delivered to or taken from it.
    pub dead: bool,
}

impl End {
    fn new(call: Call, admission: Option<Admission>) -> Self {
        let (framers, current, next, binding) = (BTreeMap::new(), 0, None, None);
        let (events, waiting) = (Vec::new(), VecDeque::new());
        Self { call, events, waiting, admission, framers, current, next, binding, dead: false }
    }

    /// Takes what the call has to tell; which connection it is on changes at once.
    fn settle(&mut self) {
        while let Some(event) = self.call.poll_event() {
            match event {
                Event::Resumed { .. } => self.current = self.next.take().expect("there is a next connection"),
                Event::NextFailed => self.next = None,
                _ => {}
            }
            self.waiting.push_back(event);
        }
    }

    pub(super) fn at(&self, kind: &str) -> Option<Instant> {
        self.events.iter().find(|(_, event)| name_of(event) == kind).map(|(at, _)| *at)
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|(_, event)| name_of(event) == kind).count()
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Ended(reason) => Some(reason.clone()),
            _ => None,
        })
    }

    pub(super) fn streams(&self, direction: Direction) -> Vec<StreamPlan> {
        let plans = self.events.iter().filter_map(|(_, event)| match event {
            Event::Stream(plan) if plan.direction == direction => Some(*plan),
            _ => None,
        });
        plans.collect()
    }

    /// The keys of media, once there are any.
    pub(super) fn media(&self) -> Option<MediaKeys> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Keys { keys, .. } => Some(keys.clone()),
            _ => None,
        })
    }

    pub(super) fn sas(&self) -> Option<Sas> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Sas(sas) => Some(*sas),
            _ => None,
        })
    }
}

fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Keys { .. } => "keys",
        Event::Costly => "costly",
        Event::Incoming { .. } => "incoming",
        Event::Ringing { .. } => "ringing",
        Event::Sas(_) => "sas",
        Event::Stream(_) => "stream",
        Event::Accepted => "accepted",
        Event::Playing => "playing",
        Event::Muted { .. } => "muted",
        Event::DialBack { .. } => "dial-back",
        Event::Recorded { .. } => "recorded",
        Event::Quiet => "quiet",
        Event::OutOfReach(_) => "out of reach",
        Event::Resumed { .. } => "resumed",
        Event::NextFailed => "next failed",
        Event::WithinReach => "within reach",
        Event::Notice(_) => "notice",
        Event::Ended(_) => "ended",
    }
}

/// The names of all events of one side, in order.
pub(super) fn kinds(end: &End) -> Vec<&'static str> {
    end.events.iter().map(|(_, event)| name_of(event)).collect()
}

/// Something on its way, ordered by when it arrives and then by when it was sent.
struct Flying {
    at: Instant,
    order: u64,
    to: Side,
    /// The connection, and whether it is the second one or its second stream.
    conn: u32,
    back: bool,
    what: Flight,
}

enum Flight {
    Bytes(Vec<u8>),
    BackUp,
    BackFails,
    Closed,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Sees and changes everything on the wire: who sent it, on which connection, and its bytes.
type Between = Box<dyn FnMut(Side, Channel, &mut Vec<u8>)>;

/// A caller and a called side 50 ms apart.
pub(super) struct Pair {
    pub now: Instant,
    pub start: Instant,
    pub delay: Duration,
    pub a: End,
    pub b: End,
    pub between: Between,
    /// Everything that crossed, as it was on the wire.
    pub crossed: Vec<(Side, Channel, Vec<u8>)>,
    back_works: bool,
    affords: bool,
    first_late: Duration,
    flying: BinaryHeap<Flying>,
    order: u64,
    conns: u32,
    pool: Pool,
}

impl Pair {
    pub(super) fn new(setup: Setup) -> Self {
        let now = moment();
        let (at_a, at_b) = setup.exported.map(|[a, b]| (a, b)).unzip();
        let a = Call::dial(now, &mut seeded(10), Arc::new(setup.caller), setup.dial, at_a);
        let b = Call::answer(now, &mut seeded(20), Arc::new(setup.called), at_b);
        Self {
            now,
            start: now,
            delay: Duration::from_millis(50),
            a: End::new(a, None),
            b: End::new(b, setup.admission),
            between: Box::new(|_, _, _| {}),
            crossed: Vec::new(),
            back_works: setup.back_works,
            affords: setup.affords,
            first_late: setup.first_late,
            flying: BinaryHeap::new(),
            order: 0,
            conns: 0,
            pool: Pool::new(1),
        }
    }

    /// A pair two seconds later.
    pub(super) fn run(setup: Setup) -> Self {
        let mut pair = Self::new(setup);
        pair.pass(Duration::from_secs(2));
        pair
    }

    /// A pair in a call that was accepted.
    pub(super) fn active(setup: Setup) -> Self {
        let pair = Self::run(Setup { admission: Some(Admission::Accept), ..setup });
        assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
        pair
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Does something to one side now.
    pub(super) fn act(&mut self, side: Side, act: impl FnOnce(&mut Call, Instant)) {
        let now = self.now;
        act(&mut self.end(side).call, now);
        self.collect(side);
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let deadline = self.now + time;
        self.collect(Side::A);
        self.collect(Side::B);
        loop {
            let timers = [&self.a, &self.b].into_iter().filter(|end| !end.dead);
            let timers = timers.filter_map(|end| end.call.poll_timeout());
            let arrival = self.flying.peek().map(|flying| flying.at);
            let Some(next) = timers.chain(arrival).min().filter(|next| *next <= deadline) else { break };
            self.now = self.now.max(next);
            while self.flying.peek().is_some_and(|flying| flying.at <= self.now) {
                if let Some(flying) = self.flying.pop() {
                    self.deliver(flying);
                }
            }
            for side in [Side::A, Side::B] {
                let now = self.now;
                if !self.end(side).dead {
                    self.end(side).call.handle_timeout(now);
                    self.collect(side);
                }
            }
        }
        self.now = deadline;
    }

    fn deliver(&mut self, flying: Flying) {
        let now = self.now;
        let pool = self.pool.clone();
        let end = self.end(flying.to);
        if end.dead {
            return;
        }
        let back = flying.back;
        let current = flying.conn == end.current;
        match flying.what {
            Flight::BackUp => end.call.handle_input(now, Input::Back(BackInput::Connected)),
            Flight::BackFails => end.call.handle_input(now, Input::Back(BackInput::Failed)),
            Flight::Closed if Some(flying.conn) == end.next => {
                end.call.handle_input(now, Input::Next(NextInput::Closed));
            }
            Flight::Closed if !current => {}
            Flight::Closed if back => end.call.handle_input(now, Input::Back(BackInput::Closed)),
            Flight::Closed => end.call.handle_input(now, Input::Closed),
            Flight::Bytes(bytes) => {
                let framer = end.framers.entry((flying.conn, back)).or_default();
                framer.push(&bytes);
                loop {
                    let framer = end.framers.entry((flying.conn, back)).or_default();
                    let frame = match framer.next(&pool) {
                        Ok(None) => break,
                        Ok(Some(frame)) => frame,
                        Err(_) => {
                            let input = if back { Input::Back(BackInput::Closed) } else { Input::Broken };
                            end.call.handle_input(now, input);
                            break;
                        }
                    };
                    let input = match (&frame, back) {
                        (Frame::Rtsp(message), false)
                            if flying.conn != end.current && Some(flying.conn) != end.next =>
                        {
                            if Call::is_resume_request(message)
                                && end.call.resumed_by(now, message, end.binding.as_ref())
                            {
                                end.next = Some(flying.conn);
                                break;
                            }
                            self.launch_on(flying.to.other(), flying.conn, false, self.delay, Flight::Closed);
                            return;
                        }
                        (Frame::Rtsp(message), false) if Some(flying.conn) == end.next => {
                            Input::Next(NextInput::Rtsp(message))
                        }
                        (Frame::Control(message), false) if Some(flying.conn) == end.next => {
                            Input::Next(NextInput::Sealed(message))
                        }
                        _ if flying.conn != end.current => break,
                        (Frame::Rtsp(message), false) => Input::Rtsp(message),
                        (Frame::Control(message), false) => Input::Sealed(message),
                        (Frame::Rtsp(message), true) => Input::Back(BackInput::Rtsp(message)),
                        (Frame::Control(message), true) => Input::Back(BackInput::Sealed(message)),
                        (Frame::Media { .. }, _) => continue,
                    };
                    end.call.handle_input(now, input);
                    end.settle();
                }
            }
        }
        self.collect(flying.to);
    }

    /// One side makes a connection for the call to go on over; with what its TLS exported, if it is one of QUIC.
    pub(super) fn reconnect(&mut self, from: Side, exported: Option<&Exported>) {
        self.conns += 1;
        let (now, conn) = (self.now, self.conns);
        let binding = exported.map(Binding::of);
        for side in [Side::A, Side::B] {
            self.end(side).binding.clone_from(&binding);
        }
        let end = self.end(from);
        end.next = Some(conn);
        end.call.resume(now, binding);
        self.collect(from);
    }

    /// Does what an engine does after every input: events first, then what is to be sent.
    fn collect(&mut self, side: Side) {
        let now = self.now;
        let mut ended = false;
        self.end(side).settle();
        while let Some(event) = self.end(side).waiting.pop_front() {
            let admission = self.end(side).admission;
            match (&event, admission) {
                (Event::Incoming { .. }, Some(admission)) => self.end(side).call.admit(now, admission),
                (Event::Costly, _) => {
                    let affords = self.affords;
                    self.end(side).call.afford(affords);
                }
                (Event::DialBack { port }, _) => {
                    assert_eq!((side, *port), (Side::B, 8554));
                    let what = if self.back_works { Flight::BackUp } else { Flight::BackFails };
                    self.launch(side, Channel::Back, self.delay * 2, what);
                }
                (Event::Ended(_), _) => ended = true,
                _ => {}
            }
            self.end(side).events.push((now, event));
            self.end(side).settle();
        }
        let mut bytes = Vec::new();
        while let Some(channel) = self.end(side).call.poll_transmit(&mut bytes) {
            let mut message = std::mem::take(&mut bytes);
            if self.end(side).dead {
                continue;
            }
            (self.between)(side, channel, &mut message);
            self.crossed.push((side, channel, message.clone()));
            let late = (side, channel) == (Side::B, Channel::Primary);
            let delay = self.delay + if late { self.first_late } else { Duration::ZERO };
            let conn = if channel == Channel::Next { self.end(side).next } else { Some(self.end(side).current) };
            if let Some(conn) = conn {
                self.launch_on(side.other(), conn, channel == Channel::Back, delay, Flight::Bytes(message));
            }
        }
        if ended {
            self.launch(side.other(), Channel::Primary, self.delay, Flight::Closed);
        }
    }

    fn launch(&mut self, to: Side, channel: Channel, after: Duration, what: Flight) {
        let conn = self.end(to).current;
        self.launch_on(to, conn, channel == Channel::Back, after, what);
    }

    fn launch_on(&mut self, to: Side, conn: u32, back: bool, after: Duration, what: Flight) {
        self.order += 1;
        self.flying.push(Flying { at: self.now + after, order: self.order, to, conn, back, what });
    }

    /// Puts bytes on a connection as if `from` had sent them.
    pub(super) fn inject(&mut self, from: Side, channel: Channel, bytes: &[u8]) {
        self.launch(from.other(), channel, self.delay, Flight::Bytes(bytes.to_vec()));
    }

    /// Everything on its way is lost with its connection.
    pub(super) fn lose_all(&mut self) {
        self.flying.clear();
    }

    /// Closes the second connection.
    pub(super) fn close_back(&mut self) {
        self.launch(Side::A, Channel::Back, Duration::ZERO, Flight::Closed);
        self.launch(Side::B, Channel::Back, Duration::ZERO, Flight::Closed);
    }
}
