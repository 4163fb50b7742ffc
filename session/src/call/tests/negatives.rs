//! Everything that must not pass for a handshake, on either side: one word for it in both logs, and no media.
//!
//! | what comes | found by the called side | found by the caller |
//! | --- | --- | --- |
//! | a public value of 0, 1, p−1, p, above; another length; a point of small order | `improper_shares_…` | `improper_shares_…` |
//! | suites taken out of the offer, or any other change to M1 and M2 | `faults::stripped_suites_…` | `faults::a_suite_that_was_not_offered_…`, `…_asked_for_again` |
//! | SRTP profiles taken out of the offer, none in common, one that was not offered, what is none | `profiles::…` | `profiles::…` |
//! | somebody else's words with genuine keys: M3 and M4 with a wrong key, signature, claim; cut off | `a_proof_with_…` | `a_proof_with_…` |
//! | a number that is not what was committed to | `faults::a_reveal_must_match_…` | it shows its number first |
//! | messages of another call, and the same message again | `replayed_messages_…` | `replayed_messages_…` |
//! | our own messages | `reflected_messages_…` | `reflected_messages_…`, `faults::our_own_first_message_…` |
//! | our own identity | `our_own_identity_…` | `our_own_identity_…` |
//! | the other role | `handshake::proof::tests::a_callers_proof_is_no_callees`, `two_that_only_answer_…` | the same, `faults::two_callers_…` |
//! | sealed messages that were cut or changed | `sealed_messages_that_were_cut_…` | `sealed_messages_that_were_cut_…` |
//! | a weaker suite than the contact has shown | `a_contact_that_calls_with_less_…` | `faults::a_contact_never_gets_…` |
//! | another peer than was meant | `faults::a_pinned_peer_that_is_another_refuses_…` | `faults::…_and_hides_it_is_found_out` |

use std::cell::RefCell;
use std::time::Duration;

use data_encoding::BASE64;
use tracing::field::{Field, Visit};

use super::faults::{header, no_media, tampered};
use super::*;
use crate::handshake::improper;

/// The word for what ended one side, and whether that side found it itself.
fn word(end: &End) -> (String, bool) {
    let reason = end.ended().expect("it ended");
    let by_us = !matches!(
        reason,
        EndReason::Verification(VerificationFault::Reported { .. }) | EndReason::Peer(PeerFault::Reported)
    );
    (reason.fault().map(|(_, word)| word.to_owned()).unwrap_or_else(|| format!("{reason:?}")), by_us)
}

/// `finder` found it, the other side was told, both call it `code`, and no media was let out.
pub(super) fn ends_with(pair: &Pair, finder: Side, code: &str, what: &str) {
    let (found, told) = if finder == Side::A { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
    assert_eq!(word(found), (code.to_owned(), true), "{what}, at the side that finds it");
    assert_eq!(word(told), (code.to_owned(), false), "{what}, at the side that is told");
    no_media(pair);
}

fn only(suite: Suite) -> Setup {
    let mut setup = Setup::default();
    setup.caller.suites = vec![suite];
    setup.called.suites = vec![suite];
    setup
}

/// Both sides in turn get a share made from the honest one.
fn with_share(suite: Suite, code: &str, what: &str, change: fn(&[u8], &[u8]) -> Vec<u8>, bytes: &[u8]) {
    for (at, finder) in [(0, Side::B), (1, Side::A)] {
        let bytes = bytes.to_vec();
        let pair = tampered(only(suite), at, move |message| {
            let (_, rest) = message.split_once(&format!("{suite}=")).expect("a share");
            let honest = BASE64.decode(rest.split("\r\n").next().unwrap_or_default().as_bytes()).expect("base64");
            let share = BASE64.encode(&change(&honest, &bytes));
            header(&message, "Visavis-Share", &format!("{suite}={share}"))
        });
        ends_with(&pair, finder, code, &format!("{suite}: {what}"));
    }
}

fn instead(_: &[u8], bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Replaces the end, where the hybrid has its X25519 half.
fn at_the_end(honest: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&honest[..honest.len() - bytes.len()], bytes].concat()
}

/// u-coordinates of small order, after RFC 7748 §6.1 and its errata: 0, 1, two of order 8, and 0 once more as p.
fn small_points() -> [[u8; 32]; 5] {
    let hex = |text: &str| -> [u8; 32] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hex").try_into().expect("32 bytes")
    };
    [
        [0; 32],
        hex("0100000000000000000000000000000000000000000000000000000000000000"),
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ]
}

#[test]
fn improper_shares_end_with_their_own_words_on_both_sides() {
    for suite in [Suite::Modp2048, Suite::Modp3072] {
        for (name, value) in improper(suite) {
            with_share(suite, "share-value", name, instead, &value);
        }
    }
    for point in small_points() {
        with_share(Suite::X25519, "share-no-contribution", "a point of small order", instead, &point);
        with_share(Suite::X25519MlKem768, "share-no-contribution", "a point of small order", at_the_end, &point);
    }
    for suite in Suite::ALL {
        with_share(suite, "share-length", "three bytes less", |honest, _| honest[3..].to_vec(), &[]);
        with_share(suite, "share-length", "one byte more", |honest, _| [honest, &[0; 3]].concat(), &[]);
        with_share(suite, "share-length", "nothing", instead, &[]);
    }
    // Only the caller's share of ML-KEM has coefficients to check; a ciphertext that is wrong shows in the seal.
    let unreduced = |message: String| {
        let (_, rest) = message.split_once("x25519-mlkem768=").expect("a share");
        let rest = rest.split("\r\n").next().unwrap_or_default();
        header(&message, "Visavis-Share", &format!("x25519-mlkem768=AQ3/{}", &rest[4..]))
    };
    let pair = tampered(only(Suite::X25519MlKem768), 0, unreduced);
    ends_with(&pair, Side::B, "share-value", "a coefficient of 3329");
}

#[test]
fn what_is_no_base64_is_malformed_on_both_sides() {
    for (at, finder) in [(0, Side::B), (1, Side::A)] {
        for (name, value) in [
            ("Visavis-Share", format!("x25519={}", "!".repeat(44))),
            ("Visavis-Share", "x25519".to_owned()),
            ("Visavis-Nonce", "!".repeat(44)),
            ("Visavis-Nonce", String::new()),
            ("Visavis-Nonce", "A".repeat(60_000 / 8)),
        ] {
            let shown = format!("{name}: {value:.60}");
            let pair = tampered(only(Suite::X25519), at, move |message| header(&message, name, &value));
            ends_with(&pair, finder, "malformed", &shown);
        }
    }
}

/// Runs a handshake in which one side, genuine keys in hand, changes its proof.
fn forged(liar: Side, setup: Setup, change: impl Fn(String) -> String + Send + 'static) -> Pair {
    let mut pair = Pair::new(setup);
    pair.end(liar).call.outbox.forge = Some(Box::new(move |message| {
        let text = String::from_utf8(message.clone()).expect("text");
        if text.contains("Visavis-Signature: ") {
            *message = change(text).into_bytes();
        }
    }));
    pair.pass(Duration::from_secs(15));
    pair
}

#[test]
fn a_proof_with_anything_wrong_in_it_ends_the_call_on_both_sides() {
    let key = |seed| pair::config(seed).identity.public().to_string();
    let stranger = key(77);
    let small_order = BASE64.encode(&[[1].as_slice(), &[0; 31]].concat());
    let zeros = |len: usize| BASE64.encode(&vec![0; len]);
    let garbage = BASE64.encode(&(0..64).collect::<Vec<u8>>());
    for (liar, finder, number) in
        [(Side::A, Side::B, "Visavis-SAS-Commitment"), (Side::B, Side::A, "Visavis-SAS-Nonce")]
    {
        let other = key(if liar == Side::A { 2 } else { 1 });
        for (name, value, code) in [
            ("Visavis-Signature", garbage.as_str(), "signature"),
            ("Visavis-Signature", &zeros(64), "signature"),
            ("Visavis-Signature", &zeros(32), "identity"),
            ("Visavis-Signature", "no base64", "identity"),
            ("Visavis-Identity", &stranger, "signature"),
            ("Visavis-Identity", &other, "signature"),
            ("Visavis-Identity", &small_order, "identity"),
            ("Visavis-Identity", &zeros(31), "identity"),
            (number, &zeros(32), "signature"),
            (number, &zeros(16), "malformed"),
        ] {
            let (name, shown, value) = (name, format!("{liar:?} sends {name}: {value}"), value.to_owned());
            let pair = forged(liar, Setup::default(), move |message| header(&message, name, &value));
            ends_with(&pair, finder, code, &shown);
        }
        for name in ["Visavis-Signature", "Visavis-Identity", number] {
            let pair = forged(liar, Setup::default(), move |message| message.replace(name, "Visavis-Nothing"));
            ends_with(&pair, finder, "protocol", name);
        }
        let pair = forged(liar, Setup::default(), |message| message.replace("opus/48000", "opus/44100"));
        ends_with(&pair, finder, "signature", "another description");
        let pair = forged(liar, Setup::default(), |message| message[..message.len() - 7].to_owned());
        ends_with(&pair, finder, "protocol", "cut off");
    }
    let us = pair::config(2).identity.public().fingerprint();
    for (what, from, to) in [
        ("another purpose", "Visavis-Purpose: call", "Visavis-Purpose: watch".to_owned()),
        ("another call", "Visavis-Call-ID: ", "Visavis-Call-ID: 00112233445566778899aabbccddeeff\r\nX: ".to_owned()),
        ("whom it dialled, made up", "Visavis-Purpose", format!("Visavis-Dialled: {us}\r\nVisavis-Purpose")),
    ] {
        let pair = forged(Side::A, Setup::default(), move |message| message.replace(from, &to));
        ends_with(&pair, Side::B, "signature", what);
    }
    let mut setup = Setup::default();
    setup.dial.expected = Some(us);
    let pair = forged(Side::A, setup, |message| message.replace("Visavis-Dialled", "Visavis-Nobody"));
    ends_with(&pair, Side::B, "signature", "whom it dialled, taken out");
}

#[test]
fn replayed_messages_open_nothing_on_either_side() {
    // Another call between the same two, who draw other numbers in it.
    let recorded = Pair::run(only(Suite::X25519)).crossed;
    let sent_by = |side: Side, number: usize| {
        let of_side = recorded.iter().filter(|(from, ..)| *from == side).map(|(_, _, bytes)| bytes.clone());
        of_side.skip(number).collect::<Vec<_>>().swap_remove(0)
    };
    for (from, number, finder) in [
        (Side::A, 0, Side::B), // M1
        (Side::B, 0, Side::B), // M2: the caller finds keys, but not those of the other
        (Side::A, 1, Side::B), // M3
        (Side::B, 1, Side::A), // M4
    ] {
        let old = sent_by(from, number);
        let mut pair = Pair::new(Setup::default());
        let mut seen = 0;
        pair.between = Box::new(move |side, _, message| {
            if side == from {
                if seen == number {
                    message.clone_from(&old);
                }
                seen += 1;
            }
        });
        pair.pass(Duration::from_secs(15));
        ends_with(&pair, finder, "seal", &format!("message {number} of {from:?} from another call"));
    }
    for (from, number, finder) in [(Side::A, 1, Side::B), (Side::B, 1, Side::A)] {
        let mut pair = Pair::new(Setup::default());
        let mut seen = 0;
        pair.between = Box::new(move |side, _, message| {
            if side == from {
                if seen == number {
                    message.extend(message.clone());
                }
                seen += 1;
            }
        });
        pair.pass(Duration::from_secs(15));
        ends_with(&pair, finder, "seal", &format!("message {number} of {from:?} twice"));
    }
}

#[test]
fn reflected_messages_open_nothing_on_either_side() {
    // Where the other side's first sealed message belongs after some of its own, each gets its own.
    for (victim, finder) in [(Side::A, Side::A), (Side::B, Side::B)] {
        let mut pair = Pair::new(Setup::default());
        let own: Arc<std::sync::Mutex<Vec<u8>>> = Arc::default();
        pair.between = Box::new(move |from, _, message| {
            let mut own = own.lock().expect("one thread");
            if from == victim && message.first() == Some(&b'$') && own.is_empty() {
                own.clone_from(message);
            } else if from != victim && !own.is_empty() {
                message.clone_from(&own);
            }
        });
        pair.pass(Duration::from_secs(15));
        ends_with(&pair, finder, "seal", &format!("{victim:?} hears itself"));
    }
    for name in ["Visavis-Nonce", "Visavis-Share"] {
        let mut pair = Pair::new(only(Suite::X25519));
        let mut sent = String::new();
        pair.between = Box::new(move |from, _, message| {
            let text = String::from_utf8_lossy(message).into_owned();
            let value = |text: &str| text.split(&format!("{name}: ")).nth(1)?.split("\r\n").next().map(str::to_owned);
            if let Some(value) = value(&text).filter(|_| from == Side::A) {
                sent = value;
            } else if from == Side::B && text.starts_with("RTSP/1.0") {
                *message = header(&text, name, &sent).into_bytes();
            }
        });
        pair.pass(Duration::from_secs(15));
        ends_with(&pair, Side::A, "reflected", name);
    }
}

#[test]
fn our_own_identity_on_the_other_side_is_refused_on_both_sides() {
    let setup = || Setup { called: pair::config(1), ..Setup::default() };
    ends_with(&Pair::run(setup()), Side::B, "reflected", "the caller has our key");
    // The called side hides from itself that it has the caller's.
    let mut pair = Pair::new(Setup::default());
    pair.pass(Duration::from_millis(160));
    let caller = pair.a.call.config.clone();
    let mut pair = Pair::new(Setup { admission: None, ..Setup::default() });
    pair.pass(Duration::from_millis(160));
    pair.b.call.config = caller;
    pair.act(Side::B, |call, now| call.admit(now, Admission::Ring));
    pair.pass(Duration::from_secs(1));
    ends_with(&pair, Side::A, "reflected", "the called peer has our key");
}

#[test]
fn a_contact_that_calls_with_less_than_before_is_refused_on_both_sides() {
    let (chosen, weakest) = (Suite::X25519, Suite::X25519MlKem768);
    let mut setup = only(chosen);
    setup.admission = Some(Admission::TooWeak { chosen, weakest });
    let pair = Pair::run(setup);
    ends_with(&pair, Side::B, "suite-too-weak", "a call from a contact");
    assert_eq!(pair.a.call.peer(), None, "the called peer does not show itself");
}

#[test]
fn two_that_only_answer_do_not_make_a_call() {
    let mut pair = Pair::new(Setup::default());
    pair.a.call = Call::answer(pair.now, &mut seeded(30), Arc::new(pair::config(1)), None);
    pair.pass(Duration::from_secs(15));
    for end in [&pair.a, &pair.b] {
        assert_eq!(end.ended(), Some(EndReason::HandshakeTimeout));
    }
    no_media(&pair);
}

#[test]
fn sealed_messages_that_were_cut_or_changed_end_the_call_on_both_sides() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("one byte less", |message| {
            message.pop();
            let len = (message.len() - 4) as u16;
            message[2..4].copy_from_slice(&len.to_be_bytes());
        }),
        ("less than a tag", |message| {
            message.truncate(4 + 15);
            message[2..4].copy_from_slice(&15u16.to_be_bytes());
        }),
        ("another bit", |message| message[9] ^= 4),
        ("another channel's content", |message| message[4..].fill(0)),
    ];
    for (what, damage) in damages {
        for (from, finder) in [(Side::A, Side::B), (Side::B, Side::A)] {
            let mut pair = Pair::new(Setup::default());
            let mut done = false;
            pair.between = Box::new(move |side, _, message| {
                if side == from && message.first() == Some(&b'$') && !done {
                    done = true;
                    damage(message);
                }
            });
            pair.pass(Duration::from_secs(15));
            ends_with(&pair, finder, "seal", what);
        }
    }
}

#[test]
fn plain_messages_that_were_cut_leave_both_sides_waiting_and_then_ending() {
    for at in [0, 1] {
        let pair = tampered(Setup::default(), at, |message| message[..message.len() / 2].to_owned());
        for end in [&pair.a, &pair.b] {
            assert_eq!(end.ended(), Some(EndReason::HandshakeTimeout));
        }
    }
}

#[test]
fn nobody_on_the_way_can_say_what_the_other_side_found() {
    for word in ["wrong-identity", "no-common-suite", "protocol", "reveal-mismatch"] {
        let forged = format!("SET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\nVisavis-Fault: {word}\r\n\r\n");
        for side in [Side::A, Side::B] {
            let mut pair = Pair::run(Setup::default());
            pair.inject(side.other(), Channel::Primary, forged.as_bytes());
            pair.pass(Duration::from_secs(1));
            assert_eq!(pair.end(side).ended(), Some(EndReason::Peer(PeerFault::Unexpected("plain message"))));
        }
    }
}

thread_local! {
    /// The fields of what this thread logs, a line each.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Takes what all threads log, each thread's for itself. It is the only subscriber of this process: one that comes
/// and goes with a test would race with tests that log at the same time.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::DEBUG
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={} ", field.name(), format!("{value:?}").trim_matches('"')));
    }
}

#[test]
fn both_logs_have_the_word_and_who_is_at_fault() {
    tracing::subscriber::set_global_default(Log).expect("the only one");
    let garbage = |message: String| header(&message, "Visavis-Signature", &BASE64.encode(&[7; 64]));
    forged(Side::A, Setup::default(), garbage);
    let lines = LINES.take();
    let of = |role: &str| {
        lines.iter().filter(|line| line.contains(&format!("role={role} code="))).cloned().collect::<Vec<_>>()
    };
    let (callee, caller) = (of("callee"), of("caller"));
    assert_eq!((callee.len(), caller.len()), (1, 1), "{lines:?}");
    assert!(callee[0].contains("code=signature ") && callee[0].contains("at_fault=peer "), "{lines:?}");
    assert!(caller[0].contains("code=signature ") && caller[0].contains("at_fault=us "), "{lines:?}");
}
