//! Names and what their passwords hash to.

use std::fmt;

use subtle::{ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use super::REALM;
use super::digest::Algorithm;

/// The most users of one file.
const MAX_USERS: usize = 256;
/// Bytes of the longest name.
const MAX_NAME: usize = 64;
/// Bytes of the longest password.
const MAX_PASSWORD: usize = 256;

/// Why a password file cannot be used. None of them tells a password, nor anything that may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UsersError {
    /// Not of the form.
    #[error("line {line} of the password file has no colon; write name:password")]
    NoColon {
        /// Its number, from 1.
        line: usize,
    },
    /// A name that no client could give, or not in one way.
    #[error("line {line} of the password file begins with no usable name: {fault}")]
    Name {
        /// Its number, from 1.
        line: usize,
        /// What to do about it.
        fault: &'static str,
    },
    /// A password that no client could give.
    #[error("line {line} of the password file ends with no usable password: {fault}")]
    Password {
        /// Its number, from 1.
        line: usize,
        /// What to do about it.
        fault: &'static str,
    },
    /// Two passwords for one name.
    #[error("line {line} of the password file names somebody a second time; take one of the two lines out")]
    Twice {
        /// The number of the second one, from 1.
        line: usize,
    },
    /// More than are looked through for each request.
    #[error("line {line} of the password file names one more than {MAX_USERS} users; take some out")]
    TooMany {
        /// Its number, from 1.
        line: usize,
    },
    /// Nobody could get in.
    #[error("the password file names nobody; write a line name:password")]
    Nobody,
}

/// One name; its password is kept as H(A1) only, in hexadecimal (RFC 7616 §3.4.2).
#[derive(Clone, Default)]
pub(super) struct User {
    pub name: String,
    md5: Zeroizing<String>,
    sha256: Zeroizing<String>,
}

impl User {
    fn new(name: &str, password: &str) -> Self {
        let ha1 = |algorithm: Algorithm| algorithm.hash(&[name, REALM, password]);
        Self { name: name.to_owned(), md5: ha1(Algorithm::Md5), sha256: ha1(Algorithm::Sha256) }
    }

    pub(super) fn ha1(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Md5 => &self.md5,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

/// Who may watch. At most 256 of them; what is kept of their passwords is wiped when this is dropped.
#[derive(Clone)]
pub struct Users {
    users: Vec<User>,
    /// Stands in for whoever is not there.
    nobody: User,
}

impl Users {
    /// Reads the text of a password file: lines `name:password`, empty ones and those that begin with `#` aside.
    ///
    /// # Errors
    /// [`UsersError`], for the first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        // All at once: a vector that grew would leave its old place unwiped.
        let mut users: Vec<User> = Vec::with_capacity(text.lines().count().min(MAX_USERS));
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, content) in (1..).zip(text.lines()) {
            if content.trim().is_empty() || content.trim_start().starts_with('#') {
                continue;
            }
            let (name, password) = content.split_once(':').ok_or(UsersError::NoColon { line })?;
            name_fault(name).map_or(Ok(()), |fault| Err(UsersError::Name { line, fault }))?;
            password_fault(password).map_or(Ok(()), |fault| Err(UsersError::Password { line, fault }))?;
            if users.iter().any(|user| user.name == name) {
                return Err(UsersError::Twice { line });
            }
            if users.len() == MAX_USERS {
                return Err(UsersError::TooMany { line });
            }
            users.push(User::new(name, password));
        }
        if users.is_empty() { Err(UsersError::Nobody) } else { Ok(Self { users, nobody: User::new("", "") }) }
    }

    /// The number and the hashes of a name. Every name is compared, so the time does not tell which are there, and whoever is
    /// not there has no number but hashes all the same.
    pub(super) fn find(&self, name: &str) -> (Option<usize>, &User) {
        let mut found = u32::MAX;
        for (number, user) in (0u32..).zip(&self.users) {
            found.conditional_assign(&number, user.name.as_bytes().ct_eq(name.as_bytes()));
        }
        let number = found as usize;
        self.users.get(number).map_or((None, &self.nobody), |user| (Some(number), user))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.users.len())
    }
}

/// What a client cannot give as a name: RFC 7617 §2 ends it at a colon, and clients differ in how they escape in quotes.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.trim() != name {
        Some("write the name without spaces around it, and at once a colon")
    } else if name.len() > MAX_NAME {
        Some("a name is at most 64 bytes")
    } else if name.contains([':', '"', '\\']) {
        Some("take colons, quotation marks and backslashes out of the name")
    } else if name.chars().any(char::is_control) {
        Some("take control characters out of the name")
    } else {
        None
    }
}

/// What a client cannot give as a password (RFC 7617 §2).
fn password_fault(password: &str) -> Option<&'static str> {
    if password.is_empty() {
        Some("write a password after the colon")
    } else if password.len() > MAX_PASSWORD {
        Some("a password is at most 256 bytes")
    } else if password.chars().any(char::is_control) {
        Some("take control characters out of the password")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
