//! The server's side: asks for a name and a password, and looks at the answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rand_core::{CryptoRng, Rng};
use visavis_net::quota::{Block, Rate};
use zeroize::Zeroizing;

use super::REALM;
use super::digest::{self, Algorithm, Protection, Signed};
use super::nonce::Nonces;
use super::params::{self, Part};
use super::users::{User, Users};

/// How many wrong answers of one block, or of one network, are looked at.
const WRONG: Rate = Rate { burst: 5, every: Duration::from_secs(2) };
/// The most blocks whose wrong answers are remembered, each for at most ten seconds; and the most networks of those that find no room
/// there.
const MAX_BLOCKS: usize = 256;
const MAX_NETWORKS: usize = 64;
/// How many are looked at of all that find no room there either.
const OTHERS: Rate = Rate { burst: 20, every: Duration::from_millis(50) };

/// What a request's `Authorization` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user of this name asks.
    Granted(String),
    /// Not looked at, and no failure: answer 401 with a [`Guard::challenge`].
    Challenge {
        /// The nonce is too old, was used up or belongs elsewhere; a client tries again without asking anybody.
        stale: bool,
    },
    /// No such user, or not its password: answer 401 with a [`Guard::challenge`] that is not stale.
    Wrong,
    /// Not looked at: too many wrong answers have come from there lately. Nothing is said about this one.
    TooMany,
}

/// One connection, as far as its authentication goes.
#[derive(Debug)]
pub struct Seen {
    conn: u64,
    from: IpAddr,
    secure: bool,
    /// Nonces made for it.
    nonces: u32,
    /// The last nonce that was counted, and its nonce count. RFC 7616 §3.4.
    counted: (u32, u32),
    /// The number of the user who was let in last.
    granted: Option<usize>,
}

impl Seen {
    /// A new connection: `conn` is a number that no other has had under the same [`Guard`], `secure` says that it is inside of
    /// TLS.
    #[must_use]
    pub const fn new(conn: u64, from: IpAddr, secure: bool) -> Self {
        Self { conn, from, secure, nonces: 0, counted: (0, 0), granted: None }
    }
}

/// Keeps the door of one listening server.
#[derive(Debug)]
pub struct Guard {
    users: Users,
    nonces: Nonces,
    wrong: WrongAnswers,
}

impl Guard {
    /// Lets these users in; the key of its nonces is drawn here.
    #[must_use]
    pub fn new(users: Users, now: Instant, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self { users, nonces: Nonces::new(now, rng), wrong: WrongAnswers::default() }
    }

    /// The values of as many `WWW-Authenticate` headers, to be sent in this order and each as a header of its own (RFC 7616 §3.7).
    ///
    /// Of several Digest headers, ffmpeg 4 to 6, live555 (VLC) and GStreamer all take the last and know MD5 only, hence MD5 at the end.
    /// Basic is in between, where nobody sees it who looks at the first or the last header alone; it is there inside of TLS only.
    /// Both nonces are the same, so whoever passes over `algorithm` gets in with MD5 whatever header it took.
    ///
    /// SHA-256 comes with `qop`, as RFC 7616 §3.3 has it. MD5 comes without, in the form of RFC 2069 that RFC 2326 §1.4 names:
    /// live555 and GStreamer know no other. It loses little, since a nonce is good on its own connection only. live555 reads
    /// `realm`, `nonce` and `stale` at these places and in this form, and finds `stale` nowhere else.
    #[must_use]
    pub fn challenge(&self, now: Instant, seen: &mut Seen, stale: bool, rng: &mut impl Rng) -> Vec<String> {
        seen.nonces = seen.nonces.saturating_add(1);
        let nonce = self.nonces.make(now, seen.conn, seen.nonces, rng);
        let stale = if stale { ", stale=true" } else { "" };
        let digest = format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\"{stale}");
        let mut challenges = vec![format!("{digest}, algorithm=SHA-256, qop=\"auth\"")];
        if seen.secure {
            challenges.push(format!("Basic realm=\"{REALM}\""));
        }
        challenges.push(format!("{digest}, algorithm=MD5"));
        challenges
    }

    /// Looks at a request's `Authorization`, its method and its URI being as the request has them.
    ///
    /// Only answers that are wrong count against where they come from, and never one with a nonce that has to be renewed. Whoever
    /// is in on this connection goes on under its name even when others from there have guessed too often.
    #[must_use]
    pub fn check(
        &mut self,
        now: Instant,
        seen: &mut Seen,
        method: &str,
        uri: &str,
        authorization: Option<&str>,
    ) -> Verdict {
        let parts = authorization.and_then(params::read).unwrap_or_default();
        let Some(claim) = Claim::read(&parts, method, uri, seen.secure) else {
            return Verdict::Challenge { stale: false };
        };
        let mut counted = seen.counted;
        if let Claim::Digest { signed, count, .. } = &claim {
            let Some(number) = self.nonces.check(now, seen.conn, signed.nonce) else {
                return Verdict::Challenge { stale: true };
            };
            if let Some(count) = count {
                // A nonce before the last that was counted is used up, or it could be played again after a newer one.
                if (number, *count) <= seen.counted {
                    return Verdict::Challenge { stale: true };
                }
                counted = (number, *count);
            }
        }
        let (number, user) = self.users.find(claim.name());
        let is_in = number.is_some() && number == seen.granted;
        if !is_in && !self.wrong.may(now, seen.from) {
            return Verdict::TooMany;
        }
        // Whoever is not there costs the same hashes and is known only after them.
        if !claim.fits(user) || number.is_none() {
            self.wrong.count(now, seen.from);
            return Verdict::Wrong;
        }
        seen.counted = counted;
        seen.granted = number;
        Verdict::Granted(user.name.clone())
    }
}

/// What an `Authorization` says, before anything is known to be true.
enum Claim<'a> {
    Basic { decoded: Zeroizing<String> },
    Digest { name: &'a str, response: &'a str, algorithm: Algorithm, signed: Signed<'a>, count: Option<u32> },
}

impl<'a> Claim<'a> {
    /// `None` for what is not well-formed, not for this request, or not what we ask for.
    fn read(parts: &'a [Part<'a>], method: &'a str, uri: &str, secure: bool) -> Option<Self> {
        let [part] = parts else { return None };
        if part.is("Basic") && secure {
            let bytes = Zeroizing::new(BASE64.decode(part.token?.as_bytes()).ok()?);
            let decoded = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
            return decoded.contains(':').then_some(Self::Basic { decoded });
        }
        let signed_uri = part.get("uri")?;
        if !part.is("Digest") || part.get("realm")? != REALM || !covers(signed_uri, uri) {
            return None;
        }
        let protection = match part.get("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                Some(Protection { qop, count: part.get("nc")?, cnonce: part.get("cnonce")? })
            }
            Some(_) => return None,
            None => None,
        };
        let count = match protection {
            Some(with) => Some(nonce_count(with.count)?),
            None => None,
        };
        let signed = Signed { method, uri: signed_uri, nonce: part.get("nonce")?, protection };
        let algorithm = Algorithm::named(part.get("algorithm"))?;
        Some(Self::Digest { name: part.get("username")?, response: part.get("response")?, algorithm, signed, count })
    }

    fn name(&self) -> &str {
        match self {
            Self::Basic { decoded } => decoded.split(':').next().unwrap_or_default(),
            Self::Digest { name, .. } => name,
        }
    }

    /// Whether the user's password is behind this.
    fn fits(&self, user: &User) -> bool {
        match self {
            Self::Basic { decoded } => {
                // H(A1) is as good a hash of the password as any, and there already.
                let (name, password) = decoded.split_once(':').unwrap_or_default();
                let given = Algorithm::Sha256.hash(&[name, REALM, password]);
                digest::same(user.ha1(Algorithm::Sha256), &given)
            }
            Self::Digest { response, algorithm, signed, .. } => {
                digest::same(&signed.response(*algorithm, user.ha1(*algorithm)), response)
            }
        }
    }
}

/// RFC 7616 §3.4: eight hexadecimal digits.
fn nonce_count(text: &str) -> Option<u32> {
    let well_formed = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then(|| u32::from_str_radix(text, 16).ok()).flatten().filter(|count| *count > 0)
}

/// Whether an answer for one URI does for a request of another.
///
/// Clients sign the request's URL, its path, or the URL of the whole presentation when they ask for a track of it, each with or
/// without a slash at its end.
fn covers(signed: &str, asked: &str) -> bool {
    let ((signed_host, signed_path), (host, path)) = (split(signed), split(asked));
    let same_host = signed_host.is_empty() || signed_host.eq_ignore_ascii_case(host);
    let base = signed_path.strip_suffix('/').unwrap_or(signed_path);
    let below = path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    !signed.is_empty() && same_host && below
}

/// Scheme and authority, which a path alone has not; and the rest.
fn split(uri: &str) -> (&str, &str) {
    let Some((scheme, rest)) = uri.split_once("://").filter(|_| !uri.starts_with('/')) else { return ("", uri) };
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    uri.split_at(scheme.len() + "://".len() + authority)
}

/// Wrong answers of late, by where they came from.
///
/// Who has many blocks can fill the table of them, and would lock out whoever is not in it. So others are counted by their network
/// then, which costs a guesser one place however many blocks it has there, and in the end all together.
#[derive(Debug, Default)]
struct WrongAnswers {
    /// This machine's own addresses, which nobody else may lock out.
    own: Option<Instant>,
    blocks: Buckets<MAX_BLOCKS>,
    networks: Buckets<MAX_NETWORKS>,
    others: Option<Instant>,
}

/// Where a wrong answer is counted.
#[derive(Clone, Copy)]
enum Place {
    Own,
    Block(Block),
    Network(Block),
    Others,
}

impl WrongAnswers {
    fn place(&self, now: Instant, from: IpAddr) -> Place {
        let Some(block) = Block::of(from) else { return Place::Own };
        let network = block.network();
        if self.blocks.has_room(now, block) {
            Place::Block(block)
        } else if self.networks.has_room(now, network) {
            Place::Network(network)
        } else {
            Place::Others
        }
    }

    /// When the bucket there is full again after one answer more; `None` if none is looked at.
    fn after(&self, now: Instant, place: Place) -> Option<Instant> {
        match place {
            Place::Own => WRONG.take(self.own, now),
            Place::Block(block) => WRONG.take(self.blocks.0.get(&block).copied(), now),
            Place::Network(network) => WRONG.take(self.networks.0.get(&network).copied(), now),
            Place::Others => OTHERS.take(self.others, now),
        }
    }

    fn may(&self, now: Instant, from: IpAddr) -> bool {
        self.after(now, self.place(now, from)).is_some()
    }

    fn count(&mut self, now: Instant, from: IpAddr) {
        let place = self.place(now, from);
        let Some(full) = self.after(now, place) else { return };
        match place {
            Place::Own => self.own = Some(full),
            Place::Block(block) => self.blocks.insert(now, block, full),
            Place::Network(network) => self.networks.insert(now, network, full),
            Place::Others => self.others = Some(full),
        }
    }
}

/// When each bucket will be full: at most so many, and no new one is let in while that many are not full.
#[derive(Debug, Default)]
struct Buckets<const MOST: usize>(BTreeMap<Block, Instant>);

impl<const MOST: usize> Buckets<MOST> {
    fn has_room(&self, now: Instant, block: Block) -> bool {
        self.0.len() < MOST || self.0.contains_key(&block) || self.0.values().any(|full| *full <= now)
    }

    /// Only where there [is room](Self::has_room).
    fn insert(&mut self, now: Instant, block: Block, full: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, full| *full > now);
        }
        self.0.insert(block, full);
    }
}
