//! Files that are read and written whole: lists of a profile, its key, single pictures.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

/// What is wrong with a list of a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no {list}: {reason}; correct it or move it away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        list: &'static str,
        /// Where and what.
        reason: String,
    },
}

/// Reads a list; one that does not exist is empty. `list` says what it is, and `parse` what is wrong with its text.
///
/// # Errors
/// When it cannot be read or makes no sense.
pub(crate) fn load<T: Default>(
    path: &Path,
    list: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ListError> {
    let malformed = |reason: String| ListError::Malformed { path: path.to_path_buf(), list, reason };
    match read_whole(path) {
        Ok(None) => Ok(T::default()),
        Ok(Some(text)) => parse(&text).map_err(malformed),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(malformed(e.to_string())),
        Err(source) => Err(ListError::Io { action: "read", path: path.to_path_buf(), source }),
    }
}

/// Why a file that only its owner may read was not read.
#[derive(Debug)]
pub(crate) enum SecretError {
    /// There is none.
    Missing,
    /// Others on this machine may read or change it: its permission bits.
    TooOpen(u32),
    /// It is no text, no file, or too long.
    NotText,
    /// The operating system said no.
    Io(io::Error),
}

impl From<io::Error> for SecretError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::InvalidData => Self::NotText,
            _ => Self::Io(error),
        }
    }
}

/// Reads a file of at most `limit` bytes that nobody but its owner may read.
///
/// # Errors
/// When others may, or it cannot be read.
pub(crate) fn read_secret(path: &Path, limit: u64) -> Result<Zeroizing<String>, SecretError> {
    let file = File::open(path)?;
    // Asked of the open file, not of the name: they cannot be exchanged in between.
    let metadata = file.metadata()?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::TooOpen(mode));
        }
    }
    if !metadata.is_file() || metadata.len() > limit {
        return Err(SecretError::NotText);
    }
    // As large as it will be, so that no copy stays behind in memory that was too small.
    let mut text = Zeroizing::new(String::with_capacity(metadata.len() as usize + 1));
    file.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces a list, which is its owner's alone.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn save(path: &Path, text: &str) -> Result<(), ListError> {
    write_whole(path, text.as_bytes(), Existing::Replace, Readers::Owner).map_err(|source| ListError::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    })
}

/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 4 * 1024 * 1024;

/// The text of a file; `None` if there is none.
///
/// # Errors
/// Of kind `InvalidData` if it is too large, or no text.
fn read_whole(path: &Path) -> io::Result<Option<String>> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut text = String::new();
    match file.take(MAX_LIST + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > MAX_LIST => Err(invalid(format!("it is larger than {MAX_LIST} bytes"))),
        Ok(_) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(invalid("it is not UTF-8 text".to_owned())),
        Err(e) => Err(e),
    }
}

/// What to do with a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Fail with `AlreadyExists`.
    Keep,
    /// Put the new one in its place.
    Replace,
}

/// Who may read a file, where the system knows of such a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever the owner lets read what programs make (umask(2)).
    Usual,
}

/// Files written by this process so far.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes a file so that it is either there completely or not at all.
///
/// # Errors
/// When it cannot be written; of kind `AlreadyExists` if it is there and to be kept.
pub(crate) fn write_whole(path: &Path, contents: &[u8], existing: Existing, readers: Readers) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    // Whoever else is writing, in this process or another, writes a file of another name.
    name.push(format!(".{}-{}.new", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let new = path.with_file_name(name);
    // Left behind by a process of the same number that was killed.
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(&new).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| match existing {
        Existing::Replace => fs::rename(&new, path),
        // A link, unlike a rename, refuses to replace what is there.
        Existing::Keep => fs::hard_link(&new, path),
    });
    if placed.is_err() || existing == Existing::Keep {
        let _ = fs::remove_file(&new);
    }
    placed
}
