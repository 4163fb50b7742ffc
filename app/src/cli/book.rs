//! Who we are and whom we know, for the length of one command.

use std::net::{IpAddr, SocketAddr};

use visavis_session::call::Purpose;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use crate::address::{Address, AddressError};
use crate::blocked::Blocked;
use crate::contacts::{Contacts, Learned};
use crate::engine::command::Dial;
use crate::engine::config::Contact as Known;
use crate::profile::{Profile, ProfileError};

/// The profile as this command sees it.
#[derive(Debug)]
pub(crate) struct Book {
    profile: Profile,
    own: Fingerprint,
    contacts: Contacts,
    blocked: Blocked,
}

/// Why nobody can be called by what was typed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("your contact \"{0}\" has no address; call them by host name or address")]
    NoAddress(String),
    #[error("that is you: this address demands your own key")]
    Yourself,
}

impl Book {
    pub(crate) fn new(profile: Profile, own: Fingerprint) -> Result<Self, ProfileError> {
        let (contacts, blocked) = (profile.contacts()?, profile.blocked()?);
        Ok(Self { profile, own, contacts, blocked })
    }

    /// Reads again what other programs may have changed.
    pub(crate) fn reload(&mut self) -> Result<(), ProfileError> {
        (self.contacts, self.blocked) = (self.profile.contacts()?, self.profile.blocked()?);
        Ok(())
    }

    /// What an engine needs to know of others.
    pub(crate) fn known(&self) -> (Vec<Known>, Vec<Fingerprint>) {
        (self.contacts.known().collect(), self.blocked.list().iter().map(|block| block.key).collect())
    }

    /// Whose it is.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The address to hand to others for one of this machine's.
    pub(crate) fn own_address(&self, address: SocketAddr) -> String {
        own_address(address, None, self.own)
    }

    /// Finds out who is meant: a contact by name, else an address, whose key may be a contact's.
    pub(crate) fn target(&self, text: &str, purpose: Purpose) -> Result<(Dial, Option<String>), TargetError> {
        let (address, contact) = match self.contacts.named(text.trim()) {
            Some(contact) => {
                let address = contact.address.clone().ok_or_else(|| TargetError::NoAddress(contact.name.clone()))?;
                (address, Some(contact))
            }
            None => {
                let address: Address = text.parse()?;
                let contact = address.fingerprint.and_then(|key| self.contacts.with_key(&key));
                (address, contact)
            }
        };
        let expected = contact.and_then(|contact| contact.key).or(address.fingerprint);
        if expected == Some(self.own) {
            return Err(TargetError::Yourself);
        }
        let dial = Dial {
            host: address.host,
            port: address.port,
            expected,
            weakest: contact.and_then(|contact| contact.strongest),
            purpose,
        };
        Ok((dial, contact.map(|contact| contact.name.clone())))
    }

    /// Takes note of a connected call, in the file as well. The contacts are read again for that: another visavis may
    /// have changed them since.
    pub(crate) fn learn(
        &mut self,
        dialled: Option<&str>,
        key: Fingerprint,
        suite: Suite,
    ) -> Result<Learned, ProfileError> {
        let mut learned = Learned::Nothing;
        self.contacts = self.profile.change_contacts(|contacts| {
            learned = contacts.learn(dialled, key, suite);
            learned != Learned::Nothing
        })?;
        Ok(learned)
    }
}

/// `visavis://…` for an address of this machine.
pub(crate) fn own_address(address: SocketAddr, name: Option<String>, own: Fingerprint) -> String {
    // A scope is a number of this machine and means nothing on another.
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.to_string(),
    };
    Address { name, fingerprint: Some(own), ..Address::new(host, address.port()) }.to_uri()
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use visavis_session::identity::Identity;

    use super::*;
    use crate::contacts::Contact;

    fn key(seed: u64) -> Fingerprint {
        Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).public().fingerprint()
    }

    fn book() -> (tempfile::TempDir, Book) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let profile = Profile::open(Some(dir.path().to_owned())).expect("opened");
        profile
            .change_contacts(|contacts| {
                let address = Address::new("alice.local", 9000);
                let mut ana = Contact::new("Ana", Some(address), Some(key(1)));
                ana.strongest = Some(Suite::X25519);
                contacts.add(ana).expect("new");
                contacts.add(Contact::new("Ben", Some(Address::new("ben", 8554)), None)).expect("new");
                contacts.add(Contact::new("Cy", None, Some(key(3)))).expect("new");
                true
            })
            .expect("written");
        (dir, Book::new(profile, key(0)).expect("read"))
    }

    #[test]
    fn a_contact_is_called_with_everything_known_about_them() {
        let (_dir, book) = book();
        let (dial, name) = book.target(" ana ", Purpose::Watch).expect("known");
        assert_eq!((dial.host.as_str(), dial.port), ("alice.local", 9000));
        assert_eq!((dial.expected, dial.weakest), (Some(key(1)), Some(Suite::X25519)));
        assert_eq!((dial.purpose, name.as_deref()), (Purpose::Watch, Some("Ana")));

        // The same person at another address, told by the key in it.
        let uri = Address { fingerprint: Some(key(1)), ..Address::new("10.0.0.1", 8554) }.to_uri();
        let (dial, name) = book.target(&uri, Purpose::Call).expect("an address");
        assert_eq!((dial.host.as_str(), dial.weakest, name.as_deref()), ("10.0.0.1", Some(Suite::X25519), Some("Ana")));
    }

    #[test]
    fn an_address_alone_says_nothing_about_who_it_is() {
        let (_dir, book) = book();
        let (dial, name) = book.target("alice.local:9000", Purpose::Call).expect("an address");
        assert_eq!((dial.expected, dial.weakest, name), (None, None, None));
    }

    #[test]
    fn who_cannot_be_called_is_said() {
        let (_dir, book) = book();
        let refused = |text: &str| book.target(text, Purpose::Call).expect_err(text);
        assert_eq!(refused("cy"), TargetError::NoAddress("Cy".to_owned()));
        assert!(matches!(refused("no such one"), TargetError::Address(AddressError::Host(_))));
        let uri = Address { fingerprint: Some(key(0)), ..Address::new("10.0.0.1", 8554) }.to_uri();
        assert_eq!(refused(&uri), TargetError::Yourself);
    }

    #[test]
    fn what_a_call_taught_is_in_the_file() {
        let (_dir, mut book) = book();
        // Meanwhile somebody else was added by another program.
        book.profile.change_contacts(|c| c.add(Contact::new("Dee", None, Some(key(4)))).is_ok()).expect("written");
        assert_eq!(book.learn(Some("Ben"), key(2), Suite::X25519MlKem768).expect("written"), Learned::Pinned);
        let stored = book.profile.contacts().expect("read");
        assert_eq!(stored.named("ben").and_then(|ben| ben.key), Some(key(2)));
        assert!(stored.named("dee").is_some());
        assert_eq!(book.contacts(), &stored);
    }

    #[test]
    fn our_own_address_can_be_called_elsewhere() {
        let address: SocketAddr = "[fe80::1%3]:8554".parse().expect("an address");
        let uri = own_address(address, Some("Me".to_owned()), key(0));
        let read: Address = uri.parse().expect("our own form");
        assert_eq!((read.host.as_str(), read.name.as_deref(), read.fingerprint), ("fe80::1", Some("Me"), Some(key(0))));
    }
}
