//! Whom the owner does not want to hear of.
//!
//! ```toml
//! [[blocked]]
//! key = "…"
//! name = "ana"        # what the owner called them then
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use visavis_session::identity::Fingerprint;

use crate::files::{self, ListError};

/// The most keys in a file.
pub const MAX_BLOCKED: usize = 10_000;

const HEADER: &str = "# Whom visavis turns away. You may edit this file; comments are not kept.\n\n";

/// The keys that do not get through, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocked {
    list: Vec<Block>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Whose calls are turned away.
    pub key: Fingerprint,
    /// What the owner called them.
    pub name: Option<String>,
    /// What a later version wrote and this one does not know.
    rest: BTreeMap<String, toml::Value>,
}

/// What is wrong with the list or a change to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockedError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] ListError),
    /// It is there.
    #[error("{0} is blocked already")]
    Already(String),
    /// It is not there.
    #[error("{0} is not blocked; see: visavis block list")]
    Unknown(String),
    /// The list is full.
    #[error("there is room for {MAX_BLOCKED} blocked keys")]
    Full,
}

impl Blocked {
    /// Reads the file; one that does not exist blocks nobody.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense: whoever is in it must not get through for that.
    pub fn load(path: &Path) -> Result<Self, BlockedError> {
        Ok(files::load(path, "list of blocked keys", Self::from_toml)?)
    }

    /// Replaces the file by this list.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), BlockedError> {
        Ok(files::save(path, &self.to_toml())?)
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let mut blocked = Self::default();
        for Stored { key, name, rest } in file.blocked {
            let parsed = key.parse().map_err(|e| format!("key \"{}\": {e}", key.escape_debug()))?;
            blocked.push(Block { key: parsed, name, rest }).map_err(|e| e.to_string())?;
        }
        Ok(blocked)
    }

    fn to_toml(&self) -> String {
        let stored =
            |block: &Block| Stored { key: block.key.to_string(), name: block.name.clone(), rest: block.rest.clone() };
        let file = File { blocked: self.list.iter().map(stored).collect() };
        // Strings, and what TOML itself gave us: there is nothing in it that TOML cannot write.
        format!("{HEADER}{}", toml::to_string(&file).unwrap_or_default())
    }

    /// Everybody, in the order they were added.
    #[must_use]
    pub fn list(&self) -> &[Block] {
        &self.list
    }

    /// Turns away whoever has this key, from now on.
    ///
    /// # Errors
    /// When it is there already, or the list is full.
    pub fn add(&mut self, key: Fingerprint, name: Option<String>) -> Result<Block, BlockedError> {
        let block = Block { key, name, rest: BTreeMap::new() };
        self.push(block.clone())?;
        Ok(block)
    }

    fn push(&mut self, block: Block) -> Result<(), BlockedError> {
        if self.list.iter().any(|other| other.key == block.key) {
            return Err(BlockedError::Already(block.name.unwrap_or_else(|| format!("{:#}", block.key))));
        }
        if self.list.len() >= MAX_BLOCKED {
            return Err(BlockedError::Full);
        }
        self.list.push(block);
        Ok(())
    }

    /// Lets a key through again, named by itself or as it was called when it was blocked; says who it was.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&mut self, whom: &str) -> Result<Block, BlockedError> {
        let key: Option<Fingerprint> = whom.parse().ok();
        let named = |block: &Block| block.name.as_ref().is_some_and(|name| name.to_lowercase() == whom.to_lowercase());
        let at = self.list.iter().position(|block| Some(block.key) == key || named(block));
        at.map(|at| self.list.remove(at)).ok_or_else(|| BlockedError::Unknown(whom.escape_debug().to_string()))
    }
}

/// The file as TOML has it.
#[derive(Debug, Default, Deserialize, Serialize)]
struct File {
    #[serde(default)]
    blocked: Vec<Stored>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use visavis_session::identity::Identity;

    use super::*;

    fn key(seed: u64) -> Fingerprint {
        Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).public().fingerprint()
    }

    #[test]
    fn a_file_gives_back_what_was_put_in_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("blocked.toml");
        assert_eq!(Blocked::load(&path).expect("nobody"), Blocked::default());
        let mut blocked = Blocked::default();
        blocked.add(key(1), Some("Ana".to_owned())).expect("new");
        blocked.add(key(2), None).expect("new");
        blocked.save(&path).expect("written");
        assert_eq!(Blocked::load(&path).expect("read"), blocked);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let later = format!("[[blocked]]\nkey = \"{}\"\nuntil = 2030-01-01\n", key(3));
        let read = Blocked::from_toml(&later).expect("a later version's");
        assert!(read.to_toml().contains("until = 2030-01-01"));
    }

    #[test]
    fn who_is_in_it_does_not_get_out_by_a_slip() {
        let mut blocked = Blocked::default();
        blocked.add(key(1), Some("Ana".to_owned())).expect("new");
        assert!(matches!(blocked.add(key(1), None), Err(BlockedError::Already(_))));
        assert!(matches!(blocked.remove("ben"), Err(BlockedError::Unknown(_))));
        assert!(matches!(blocked.remove(&key(2).to_string()), Err(BlockedError::Unknown(_))));
        assert_eq!(blocked.remove("ANA").expect("there").key, key(1));
        blocked.add(key(1), None).expect("new again");
        assert_eq!(blocked.remove(&key(1).to_string()).expect("there").key, key(1));
        assert_eq!(blocked.list(), []);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_an_error_and_blocks_no_other() {
        for text in ["nonsense", "[[blocked]]", "[[blocked]]\nkey = \"me\"", "blocked = 3"] {
            assert!(Blocked::from_toml(text).is_err(), "{text}");
        }
        let twice = format!("[[blocked]]\nkey = \"{0}\"\n[[blocked]]\nkey = \"{0}\"\n", key(1));
        assert!(Blocked::from_toml(&twice).is_err());
    }
}
