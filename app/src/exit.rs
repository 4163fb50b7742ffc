//! How a command ended, as a number that scripts can tell apart.

use std::process::ExitCode;

use visavis_session::call::EndReason;

/// The exit status of every command. The numbers are part of the interface: they are in `--help` and in
/// `docs/cli.md`, and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// The call or the command ended as it should.
    Ended = 0,
    /// Something of ours failed: a taken port, an unreadable profile.
    Failed = 1,
    /// The command line makes no sense. The number is clap's own.
    Usage = 2,
    /// Nobody listens at that address.
    Unreachable = 3,
    /// They refused.
    Declined = 4,
    /// They are in another call.
    Busy = 5,
    /// It rang until it was given up.
    NoAnswer = 6,
    /// They are not who they should be, or somebody is in the middle.
    Verification = 7,
    /// A microphone, camera, loudspeaker or file named on the command line does not work.
    Device = 8,
    /// Something answers there, but it is not visavis, or it breaks the protocol.
    NotVisavis = 9,
    /// The other side vanished in the middle of a call.
    Lost = 10,
    /// There is no running instance to control.
    NotRunning = 11,
    /// The running instance has no call that this could be done to.
    NoCall = 12,
    /// Interrupted before anybody answered, or interrupted twice. The number is the shell's for SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// Every status there is, by number.
    pub const ALL: [Self; 14] = [
        Self::Ended,
        Self::Failed,
        Self::Usage,
        Self::Unreachable,
        Self::Declined,
        Self::Busy,
        Self::NoAnswer,
        Self::Verification,
        Self::Device,
        Self::NotVisavis,
        Self::Lost,
        Self::NotRunning,
        Self::NoCall,
        Self::Interrupted,
    ];

    /// The number the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// One word for machines, as in the `outcome` of an `ended` line of `--json`.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Unreachable => "unreachable",
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Verification => "verification-failed",
            Self::Device => "device-error",
            Self::NotVisavis => "not-visavis",
            Self::Lost => "lost",
            Self::NotRunning => "not-running",
            Self::NoCall => "no-call",
            Self::Interrupted => "interrupted",
        }
    }

    /// A few words for `--help`.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ended => "ended as it should",
            Self::Failed => "failed: a taken port, an unreadable profile",
            Self::Usage => "wrong usage",
            Self::Unreachable => "nobody could be reached there",
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::NoAnswer => "no answer",
            Self::Verification => "verification failed: not who they should be",
            Self::Device => "a device or file for sound or pictures does not work",
            Self::NotVisavis => "what answers there is not a visavis peer",
            Self::Lost => "the other side was lost during the call",
            Self::NotRunning => "no visavis runs with this profile",
            Self::NoCall => "there is no call to do that to",
            Self::Interrupted => "interrupted before anybody answered, or twice",
        }
    }

    /// What the end of a call means for the exit status.
    #[must_use]
    pub fn of(reason: &EndReason) -> Self {
        match reason {
            EndReason::HungUp { .. } | EndReason::Glare => Self::Ended,
            EndReason::Declined => Self::Declined,
            EndReason::Busy | EndReason::Full | EndReason::Overloaded => Self::Busy,
            EndReason::NoAnswer => Self::NoAnswer,
            EndReason::Cancelled => Self::Interrupted,
            EndReason::PeerLost => Self::Lost,
            EndReason::Unreachable => Self::Unreachable,
            EndReason::Verification(_) => Self::Verification,
            // A peer that breaks the protocol or never finishes its handshake does not speak ours, whatever it says.
            EndReason::NotVisavis | EndReason::HandshakeTimeout | EndReason::Peer(_) => Self::NotVisavis,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_status_has_its_own_number_and_word() {
        let codes: HashSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        let slugs: HashSet<&str> = Exit::ALL.iter().map(|exit| exit.slug()).collect();
        let meanings: HashSet<&str> = Exit::ALL.iter().map(|exit| exit.meaning()).collect();
        assert_eq!((codes.len(), slugs.len(), meanings.len()), (Exit::ALL.len(), Exit::ALL.len(), Exit::ALL.len()));
    }

    #[test]
    fn what_scripts_test_for_keeps_its_number() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 130]);
    }

    #[test]
    fn the_manual_lists_every_status() {
        let manual = include_str!("../../docs/cli.md");
        for exit in Exit::ALL {
            assert!(manual.contains(&format!("| {} | `{}` |", exit.code(), exit.slug())), "{exit:?}");
        }
    }

    #[test]
    fn a_hang_up_is_success_whoever_did_it() {
        assert_eq!(Exit::of(&EndReason::HungUp { by_peer: true }), Exit::Ended);
        assert_eq!(Exit::of(&EndReason::HungUp { by_peer: false }), Exit::Ended);
        assert_eq!(Exit::of(&EndReason::PeerLost), Exit::Lost);
        assert_eq!(Exit::of(&EndReason::Busy), Exit::Busy);
    }
}
