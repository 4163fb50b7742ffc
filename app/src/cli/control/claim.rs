//! Whose socket it is: one running instance to a profile.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The name of the socket in its folder.
pub(super) const SOCKET: &str = "control.sock";

/// A socket that requests come to. While it is held no other instance gets one for the same profile; it is removed when
/// dropped, and what a killed process left behind is replaced.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    pub(super) listener: UnixListener,
    /// Locked; the lock ends with the process, however that ends.
    _folder: File,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// One profile, one instance that can be controlled.
    #[error(
        "another visavis runs with this profile already; `visavis status` says what it does. End that one, use another \
         profile (--profile DIR), or run this one beside it, out of reach of `visavis hangup` and the like (--no-control)"
    )]
    Running,
    /// Somebody else could listen in, or put a socket of theirs there.
    #[error("{} belongs to another user", .0.display())]
    NotOurs(PathBuf),
    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl Claim {
    /// Makes the folder and the socket in it, for this instance and its owner alone.
    pub(crate) fn make(folder: &Path) -> Result<Self, ClaimError> {
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| ClaimError::Io { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
        let locked = File::open(folder).map_err(failed("read", folder))?;
        let metadata = locked.metadata().map_err(failed("read", folder))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(ClaimError::NotOurs(folder.to_path_buf()));
        }
        if metadata.mode() & 0o077 != 0 {
            locked.set_permissions(Permissions::from_mode(0o700)).map_err(failed("close to others", folder))?;
        }
        match flock(&locked, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(ClaimError::Running),
            Err(e) => return Err(failed("lock", folder)(e.into())),
        }
        // Whoever made what is there does not live any more.
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(e)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed("listen on", &path))?;
        let claim = Self { path, listener, _folder: locked };
        let path = &claim.path;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("close to others", path))?;
        claim.listener.set_nonblocking(true).map_err(failed("listen on", path))?;
        Ok(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
