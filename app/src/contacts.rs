//! Whom the owner knows: a name, where to reach them, the key they must prove, and how strong their calls were.
//!
//! ```toml
//! [[contact]]
//! name = "ana"
//! address = "alice.local:8554"
//! key = "…"                        # pinned: a call with any other key is refused
//! verified = true                  # the words were compared by voice, or the key came another safe way
//! strongest = "x25519-mlkem768"    # no later call with this key may use a weaker agreement
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use crate::address::{Address, is_name};
use crate::engine::config;
use crate::files::{self, ListError};

/// The most contacts in a file.
pub const MAX_CONTACTS: usize = 10_000;

const HEADER: &str = "# The contacts of visavis. You may edit this file; comments are not kept.\n\n";

/// The people the owner knows, in the order they were added. Names differ in more than case, and so do keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contacts {
    list: Vec<Contact>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// What the owner calls them.
    pub name: String,
    /// Where to reach them, if they have an address of their own.
    pub address: Option<Address>,
    /// The key they must prove; without one, the first call pins it.
    pub key: Option<Fingerprint>,
    /// Whether the owner made sure that the key is theirs.
    pub verified: bool,
    /// The strongest key agreement a call with them has used.
    pub strongest: Option<Suite>,
    /// What a later version wrote and this one does not know.
    rest: BTreeMap<String, toml::Value>,
}

/// What is wrong with the contacts or a change to them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContactsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] ListError),
    /// No name for a contact.
    #[error("\"{0}\" cannot be the name of a contact; use up to 64 letters, digits, spaces, dots or dashes")]
    Name(String),
    /// The name is in use.
    #[error("there is a contact \"{0}\" already; remove it first: visavis contacts remove '{0}'")]
    NameTaken(String),
    /// The key is in use.
    #[error("this key belongs to your contact \"{0}\" already")]
    KeyTaken(String),
    /// Nobody of that name.
    #[error("there is no contact \"{0}\"; see: visavis contacts list")]
    Unknown(String),
    /// Nothing to verify yet.
    #[error("the key of \"{0}\" is not known yet; call them once, or add it with --key")]
    NoKey(String),
    /// Neither an address nor a key.
    #[error("a contact needs an address to call or a key to be known by")]
    Nothing,
    /// The list is full.
    #[error("there is room for {MAX_CONTACTS} contacts")]
    Full,
}

/// What a call that is now connected changed about a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The peer is nobody in particular, or nothing is new.
    Nothing,
    /// The contact had no key; this is theirs from now on.
    Pinned,
    /// The key agreement was the strongest so far.
    Stronger,
}

impl Contacts {
    /// Reads a contacts file; one that does not exist has nobody in it.
    ///
    /// # Errors
    /// When the file cannot be read or makes no sense.
    pub fn load(path: &Path) -> Result<Self, ContactsError> {
        Ok(files::load(path, "contacts file", Self::from_toml)?)
    }

    /// Replaces the file by these contacts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ContactsError> {
        Ok(files::save(path, &self.to_toml())?)
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let mut contacts = Self::default();
        for stored in file.contact {
            let name = stored.name.clone();
            let contact = stored.into_contact().map_err(|reason| format!("contact \"{name}\": {reason}"))?;
            contacts.add(contact).map_err(|e| e.to_string())?;
        }
        Ok(contacts)
    }

    fn to_toml(&self) -> String {
        let file = File { contact: self.list.iter().map(Stored::from).collect() };
        // Strings, booleans and what TOML itself gave us: there is nothing in it that TOML cannot write.
        format!("{HEADER}{}", toml::to_string(&file).unwrap_or_default())
    }

    /// Everybody, in the order they were added.
    #[must_use]
    pub fn list(&self) -> &[Contact] {
        &self.list
    }

    /// Finds somebody by name, whatever the case of its letters.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Contact> {
        let name = folded(name);
        self.list.iter().find(|contact| folded(&contact.name) == name)
    }

    /// Finds somebody by key.
    #[must_use]
    pub fn with_key(&self, key: &Fingerprint) -> Option<&Contact> {
        self.list.iter().find(|contact| contact.key.as_ref() == Some(key))
    }

    /// What the engine needs to know of all who have a key.
    pub fn known(&self) -> impl Iterator<Item = config::Contact> + '_ {
        let known = |contact: &Contact| {
            let address = contact.address.as_ref().and_then(|address| address.host.parse().ok());
            Some(config::Contact { key: contact.key?, weakest: contact.strongest, address })
        };
        self.list.iter().filter_map(known)
    }

    /// Adds somebody new.
    ///
    /// # Errors
    /// When the name is none, or the name or the key is somebody's already.
    pub fn add(&mut self, contact: Contact) -> Result<(), ContactsError> {
        if !is_name(&contact.name) {
            return Err(ContactsError::Name(contact.name.escape_debug().to_string()));
        }
        if contact.address.is_none() && contact.key.is_none() {
            return Err(ContactsError::Nothing);
        }
        if let Some(other) = self.named(&contact.name) {
            return Err(ContactsError::NameTaken(other.name.clone()));
        }
        if let Some(other) = contact.key.and_then(|key| self.with_key(&key)) {
            return Err(ContactsError::KeyTaken(other.name.clone()));
        }
        if self.list.len() >= MAX_CONTACTS {
            return Err(ContactsError::Full);
        }
        self.list.push(contact);
        Ok(())
    }

    /// Forgets somebody, and says who it was.
    ///
    /// # Errors
    /// When nobody has that name.
    pub fn remove(&mut self, name: &str) -> Result<Contact, ContactsError> {
        let at = self.position(name)?;
        Ok(self.list.remove(at))
    }

    /// Notes that the owner made sure whose key it is, or takes that back.
    ///
    /// # Errors
    /// When nobody has that name, or their key is not known.
    pub fn set_verified(&mut self, name: &str, verified: bool) -> Result<&Contact, ContactsError> {
        let at = self.position(name)?;
        let contact = &mut self.list[at];
        if verified && contact.key.is_none() {
            return Err(ContactsError::NoKey(contact.name.clone()));
        }
        contact.verified = verified;
        Ok(contact)
    }

    /// Takes note of a call that is connected: `dialled` is the contact that was called, if it was one, and `key`
    /// what the other side has proven.
    pub fn learn(&mut self, dialled: Option<&str>, key: Fingerprint, suite: Suite) -> Learned {
        let known = self.list.iter().position(|contact| contact.key == Some(key));
        let unpinned = || dialled.and_then(|name| self.position(name).ok()).filter(|&at| self.list[at].key.is_none());
        let (at, pinned) = match (known, unpinned()) {
            (Some(at), _) => (at, false),
            (None, Some(at)) => (at, true),
            (None, None) => return Learned::Nothing,
        };
        let contact = &mut self.list[at];
        let stronger = contact.strongest.is_none_or(|strongest| suite > strongest);
        if stronger {
            contact.strongest = Some(suite);
        }
        if pinned {
            contact.key = Some(key);
            Learned::Pinned
        } else if stronger {
            Learned::Stronger
        } else {
            Learned::Nothing
        }
    }

    fn position(&self, name: &str) -> Result<usize, ContactsError> {
        let folded_name = folded(name);
        self.list
            .iter()
            .position(|contact| folded(&contact.name) == folded_name)
            .ok_or_else(|| ContactsError::Unknown(name.escape_debug().to_string()))
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

impl Contact {
    /// Somebody new, not verified.
    #[must_use]
    pub fn new(name: impl Into<String>, address: Option<Address>, key: Option<Fingerprint>) -> Self {
        Self { name: name.into(), address, key, verified: false, strongest: None, rest: BTreeMap::new() }
    }
}

/// The file as TOML has it.
#[derive(Debug, Default, Deserialize, Serialize)]
struct File {
    #[serde(default)]
    contact: Vec<Stored>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default)]
    verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strongest: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

impl Stored {
    fn into_contact(self) -> Result<Contact, String> {
        let address: Option<Address> = self.address.map(|text| text.parse().map_err(text_of)).transpose()?;
        let key: Option<Fingerprint> = self
            .key
            .map(|text| text.parse().map_err(|e| format!("key \"{}\": {e}", text.escape_debug())))
            .transpose()?;
        let strongest = self
            .strongest
            .map(|text| text.parse().map_err(|e| format!("\"{}\": {e}", text.escape_debug())))
            .transpose()?;
        // A pasted URI names the key as well; the two must not disagree, and one place is enough.
        let said = address.as_ref().and_then(|address| address.fingerprint);
        if let (Some(key), Some(said)) = (key, said)
            && key != said
        {
            return Err("its address names another key than its key does".to_owned());
        }
        let key = key.or(said);
        if self.verified && key.is_none() {
            return Err("it is verified but has no key".to_owned());
        }
        let address = address.map(|address| Address::new(address.host, address.port));
        Ok(Contact { name: self.name, address, key, verified: self.verified, strongest, rest: self.rest })
    }
}

fn text_of(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl From<&Contact> for Stored {
    fn from(contact: &Contact) -> Self {
        Self {
            name: contact.name.clone(),
            address: contact.address.as_ref().map(ToString::to_string),
            key: contact.key.map(|key| key.to_string()),
            verified: contact.verified,
            strongest: contact.strongest.map(|suite| suite.to_string()),
            rest: contact.rest.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
