//! The deadlines of one call.

use std::time::{Duration, Instant};

/// From the connection to the last message of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to M1, at the called side: whoever connects has something to say.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A control channel on which nothing was heard for this long is pinged.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);
/// After this long without anything authentic from a peer of an accepted call, which sends something every second at least, another
/// connection is tried, without a word to anybody.
pub const QUIET_LIMIT: Duration = Duration::from_millis(1500);
/// A peer of which nothing authentic was heard for this long is lost.
pub const SILENCE_LIMIT: Duration = Duration::from_millis(4500);
/// After a side has said on the media path that it ends its streams, its word on the control connection has this long to come.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// How long a called peer tries to dial back before it uses the first connection.
pub const BACK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a new connection may take to become that of a call whose own was lost, from its first message on.
pub const RESUME_TIMEOUT: Duration = Duration::from_secs(3);

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Ends a handshake that does not come to its end.
    Handshake,
    /// Ends a call that nobody answers.
    Ring,
    /// Asks a quiet peer whether it is there.
    Ping,
    /// Declares a silent peer lost.
    Silence,
    /// Gives up on the second connection.
    Back,
    /// Takes the end of the other side's streams for that of the call.
    Farewell,
    /// Gives up on a connection that the call was to go on over.
    Resume,
}

impl Timer {
    const ALL: [Self; 7] =
        [Self::Handshake, Self::Ring, Self::Ping, Self::Silence, Self::Back, Self::Farewell, Self::Resume];
}

/// One optional deadline for each [`Timer`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timers {
    deadlines: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.deadlines[timer as usize] = Some(at);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes one timer whose deadline has come, the earliest first.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Timer> {
        let due = |timer: &Timer| self.deadlines[*timer as usize].filter(|at| *at <= now);
        let timer = Timer::ALL.into_iter().filter(|timer| due(timer).is_some()).min_by_key(due)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_net::testing::moment;

    #[test]
    fn expires_in_order_and_once() {
        let start = moment();
        let mut timers = Timers::default();
        timers.set(Timer::Silence, start + SILENCE_LIMIT);
        timers.set(Timer::Ping, start + PING_INTERVAL);
        assert_eq!(timers.next(), Some(start + PING_INTERVAL));
        assert_eq!(timers.expire(start), None);
        let late = start + HANDSHAKE_TIMEOUT;
        assert_eq!(timers.expire(late), Some(Timer::Ping));
        assert_eq!(timers.next(), Some(start + SILENCE_LIMIT));
        assert_eq!(timers.expire(late), Some(Timer::Silence));
        assert_eq!(timers.expire(late), None);
        assert_eq!(timers.next(), None);
    }
}
