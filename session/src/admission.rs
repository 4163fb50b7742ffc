//! Who gets through: one pure decision for each caller that has proven its key.

use crate::call::Purpose;
use crate::handshake::suite::Suite;
use crate::identity::Fingerprint;

/// The answer to somebody who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// Let it ring: a person decides. Shows our identity to the caller.
    Ring,
    /// Accept without asking. Shows our identity to the caller.
    Accept,
    /// We are in another call. Our identity stays hidden.
    Busy,
    /// Refuse. Our identity stays hidden.
    Decline,
    /// Both call each other and ours is the call that survives. Our identity stays hidden here: it is shown
    /// to the same peer on the other connection.
    Glare,
    /// Refuse a contact that is known to be able to do better: somebody may have taken the better out of the offer. Says
    /// so to it; our identity stays hidden.
    TooWeak {
        /// How the keys of this call were agreed.
        chosen: Suite,
        /// The least that this contact gets.
        weakest: Suite,
    },
}

/// A caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Its proven key.
    pub peer: Fingerprint,
    /// What it wants.
    pub purpose: Purpose,
    /// How the keys were agreed.
    pub suite: Suite,
}

/// How we stand when somebody calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Our own key.
    pub own: Fingerprint,
    /// Whether a call rings here or is under way; an outgoing call that was not yet accepted does not count.
    pub engaged: bool,
    /// The call we are making ourselves, if it was not yet accepted.
    pub outgoing: Option<Outgoing>,
    /// Whether incoming calls ring at all.
    pub calls: bool,
    /// Whether our stream may be watched.
    pub viewers: bool,
    /// Whether as many watch it already as the owner lets.
    pub full: bool,
    /// Whether the owner's policy connects this key without asking.
    pub auto: bool,
    /// Whether the owner does not want to hear of this key.
    pub blocked: bool,
    /// The strongest suite that this key has shown before, if it is a contact's: no call with it has a weaker one.
    pub weakest: Option<Suite>,
}

/// A call of our own that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The key it is to, dialled or proven, if there is one.
    pub peer: Option<Fingerprint>,
    /// Whether it is to the address that the caller comes from; decides when the key is not known.
    pub same_address: bool,
    /// Whether its control connection is up. One that is not gives way: it may never be.
    pub connected: bool,
}

impl Outgoing {
    fn is_to(&self, visitor: &Visitor) -> bool {
        self.peer.map_or(self.same_address, |peer| peer == visitor.peer)
    }
}

/// What to answer. When both call each other, the call of the lower key survives and is accepted; on
/// [`Admission::Accept`] with an outgoing call to the same peer, that one is to be dropped.
#[must_use]
pub fn decide(situation: &Situation, visitor: &Visitor) -> Admission {
    let chosen = visitor.suite;
    let wanted = situation.outgoing.is_some_and(|outgoing| outgoing.is_to(visitor));
    // Whoever is blocked gets an answer that others get as well, and never one that shows it is known here.
    if situation.blocked && !wanted {
        return match visitor.purpose {
            Purpose::Call => Admission::Busy,
            Purpose::Watch => Admission::Decline,
        };
    }
    if let Some(weakest) = situation.weakest.filter(|weakest| chosen < *weakest) {
        return Admission::TooWeak { chosen, weakest };
    }
    match visitor.purpose {
        // Streams are served beside a call and to many; nobody is asked.
        Purpose::Watch if situation.viewers && situation.auto => {
            return if situation.full { Admission::Busy } else { Admission::Accept };
        }
        Purpose::Watch => return Admission::Decline,
        Purpose::Call => {}
    }
    if situation.engaged || visitor.peer == situation.own {
        return Admission::Busy;
    }
    match situation.outgoing {
        // Both owners asked for this very call, so neither is asked again, nor kept from it by `calls`.
        Some(outgoing) if outgoing.is_to(visitor) => {
            if outgoing.connected && situation.own < visitor.peer {
                Admission::Glare
            } else {
                Admission::Accept
            }
        }
        _ if !situation.calls => Admission::Decline,
        Some(_) => Admission::Busy,
        None if situation.auto => Admission::Accept,
        None => Admission::Ring,
    }
}

#[cfg(test)]
mod tests;
