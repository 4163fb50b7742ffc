//! The folder where a person keeps who they are: the secret key and the contacts.
//!
//! ```text
//! $XDG_DATA_HOME/visavis/          (~/.local/share/visavis, or --profile DIR), mode 0700
//!     identity.key                 the Ed25519 secret, mode 0600, made at first run
//!     contacts.toml                whom the owner knows, see `contacts`
//!     blocked.toml                 whom they do not want to hear of, see `blocked`
//!     players.crt, players.key     for TLS with plain players, made when they are first let in
//! $XDG_RUNTIME_DIR/visavis/        (DIR/run with --profile DIR), mode 0700, while an instance runs
//!     control.sock                 where it takes requests, see `cli::control`
//! ```

mod certificate;

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rand_core::CryptoRng;
use visavis_session::identity::Identity;
use zeroize::Zeroizing;

use crate::blocked::{Blocked, BlockedError};
use crate::contacts::{Contacts, ContactsError};
use crate::files::{Existing, Readers, SecretError, read_secret, write_whole};

pub use self::certificate::{Certificate, CertificateError};

const KEY_FILE: &str = "identity.key";
const CONTACTS_FILE: &str = "contacts.toml";
const BLOCKED_FILE: &str = "blocked.toml";
/// Says what the one line of the key file is, so that no other key is taken for it.
const KEY_LABEL: &str = "visavis-ed25519-secret";
/// A key file is one line; anything longer is something else.
const MAX_KEY_FILE: u64 = 1024;

/// A profile folder that exists.
#[derive(Clone, Debug)]
pub struct Profile {
    dir: PathBuf,
    runtime: PathBuf,
}

/// Why a profile cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// No home directory to put it in.
    #[error("there is no home directory to keep a profile in; name a folder with --profile DIR")]
    NoHome,
    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `create`, `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others on this machine may read the secret.
    #[error(
        "{} can be read or changed by other users (mode {mode:04o}), so it may no longer be secret; \
         if nobody has looked, run: chmod 600 '{}'",
        path.display(), path.display()
    )]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file holds something else.
    #[error(
        "{} is not a visavis secret key; restore it from a backup, or move it away to get a new identity \
         (contacts will then have to verify you again)",
        .0.display()
    )]
    NotAKey(PathBuf),
    /// The contacts are unreadable.
    #[error(transparent)]
    Contacts(#[from] ContactsError),
    /// The list of blocked keys is unreadable.
    #[error(transparent)]
    Blocked(#[from] BlockedError),
}

impl Profile {
    /// Opens the profile in `dir`, or the person's own below `$XDG_DATA_HOME`; makes the folder at first.
    ///
    /// # Errors
    /// When there is no such place or it cannot be made.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, ProfileError> {
        let (dir, runtime) = places(dir)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir).map_err(|e| failed("create", &dir, e))?;
        Ok(Self { dir, runtime })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a running instance can be reached; not made yet.
    #[must_use]
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime
    }

    /// Where the secret key is.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.dir.join(KEY_FILE)
    }

    /// Where the contacts are.
    #[must_use]
    pub fn contacts_path(&self) -> PathBuf {
        self.dir.join(CONTACTS_FILE)
    }

    /// Who we are; at first run, somebody new.
    ///
    /// # Errors
    /// When the key file is readable by others, is no key, or cannot be read or made.
    pub fn identity(&self, rng: &mut impl CryptoRng) -> Result<Identity, ProfileError> {
        let path = self.key_path();
        if let Some(identity) = read_key(&path)? {
            return Ok(identity);
        }
        let identity = Identity::generate(rng);
        let secret = Zeroizing::new(BASE64.encode(&identity.to_bytes()[..]));
        let line = Zeroizing::new(format!("{KEY_LABEL} {}\n", secret.as_str()));
        match write_whole(&path, line.as_bytes(), Existing::Keep, Readers::Owner) {
            Ok(()) => Ok(identity),
            // Another process came first: there is one identity, and it is that one.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                read_key(&path)?.ok_or_else(|| ProfileError::NotAKey(path.clone()))
            }
            Err(e) => Err(failed("write", &path, e)),
        }
    }

    /// What TLS for players is done with: made at first use, and the same from then on, so that it can be trusted.
    ///
    /// # Errors
    /// When it cannot be read, understood or made.
    pub fn certificate(&self) -> Result<Certificate, CertificateError> {
        Certificate::of_profile(&self.dir)
    }

    /// Whom the owner knows.
    ///
    /// # Errors
    /// When the file is there but cannot be read or understood.
    pub fn contacts(&self) -> Result<Contacts, ProfileError> {
        Ok(Contacts::load(&self.contacts_path())?)
    }

    /// Reads the contacts, has `change` work on them, and writes them if it says something changed. The file is
    /// replaced as a whole; of two programs that do this within the same moment, one waits for the other.
    ///
    /// # Errors
    /// When the file cannot be read, understood or written.
    pub fn change_contacts(&self, change: impl FnOnce(&mut Contacts) -> bool) -> Result<Contacts, ProfileError> {
        let _lock = self.lock()?;
        let mut contacts = self.contacts()?;
        if change(&mut contacts) {
            contacts.save(&self.contacts_path())?;
        }
        Ok(contacts)
    }

    /// Whom the owner does not want to hear of.
    ///
    /// # Errors
    /// When the file is there but cannot be read or understood.
    pub fn blocked(&self) -> Result<Blocked, ProfileError> {
        Ok(Blocked::load(&self.dir.join(BLOCKED_FILE))?)
    }

    /// As [`Self::change_contacts`], for whom the owner does not want to hear of; gives back what `change` does.
    ///
    /// # Errors
    /// When the file cannot be read, understood or written, or `change` says so; then nothing is written.
    pub fn change_blocked<T>(
        &self,
        change: impl FnOnce(&mut Blocked) -> Result<T, BlockedError>,
    ) -> Result<T, ProfileError> {
        let _lock = self.lock()?;
        let mut blocked = self.blocked()?;
        let changed = change(&mut blocked)?;
        blocked.save(&self.dir.join(BLOCKED_FILE))?;
        Ok(changed)
    }

    /// Has other programs wait that change a file here, for as long as it is held. A file system without locks has
    /// nothing better to offer than the later one's word.
    fn lock(&self) -> Result<File, ProfileError> {
        let folder = File::open(&self.dir).map_err(|e| failed("read", &self.dir, e))?;
        #[cfg(unix)]
        let _ = rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive);
        Ok(folder)
    }
}

/// Where a running instance of the profile in `dir`, or of the person's own, can be reached. Nothing is made, nor need it
/// be there.
///
/// # Errors
/// When there is no such place.
pub fn runtime_dir(dir: Option<PathBuf>) -> Result<PathBuf, ProfileError> {
    Ok(places(dir)?.1)
}

/// What is kept, and what lasts as long as an instance runs.
fn places(dir: Option<PathBuf>) -> Result<(PathBuf, PathBuf), ProfileError> {
    const RUN: &str = "run";
    if let Some(dir) = dir {
        let runtime = dir.join(RUN);
        return Ok((dir, runtime));
    }
    let dirs = directories::ProjectDirs::from("", "", "visavis").ok_or(ProfileError::NoHome)?;
    let dir = dirs.data_dir().to_path_buf();
    let runtime = dirs.runtime_dir().map_or_else(|| dir.join(RUN), Path::to_path_buf);
    Ok((dir, runtime))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ProfileError {
    ProfileError::Io { action, path: path.to_path_buf(), source }
}

fn read_key(path: &Path) -> Result<Option<Identity>, ProfileError> {
    let not_a_key = || ProfileError::NotAKey(path.to_path_buf());
    let text = match read_secret(path, MAX_KEY_FILE) {
        Ok(text) => text,
        Err(SecretError::Missing) => return Ok(None),
        Err(SecretError::TooOpen(mode)) => return Err(ProfileError::TooOpen { path: path.to_path_buf(), mode }),
        Err(SecretError::NotText) => return Err(not_a_key()),
        Err(SecretError::Io(e)) => return Err(failed("read", path, e)),
    };
    let secret = text.trim().strip_prefix(KEY_LABEL).ok_or_else(not_a_key)?.trim();
    let bytes = Zeroizing::new(BASE64.decode(secret.as_bytes()).map_err(|_| not_a_key())?);
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().map_err(|_| not_a_key())?);
    Ok(Some(Identity::from_bytes(&bytes)))
}

#[cfg(test)]
mod tests;
