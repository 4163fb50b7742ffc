//! One real peer against one that holds genuine keys and lies with them: no sound and no picture leaves before a person
//! accepts, and the microphone and camera are not even asked for.

use std::time::Duration;

use visavis::engine::command::Command;
use visavis::engine::config::{Auto, Contact};
use visavis::engine::event::Event;
use visavis_net::carrier::Carrier;
use visavis_session::call::{EndReason, Purpose};
use visavis_session::handshake::suite::Suite;
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{Hostile, Setup};

const SECOND: Duration = Duration::from_secs(1);
const PARAMETERS: &str = "Content-Type: text/parameters\r\n";
const ACCEPTED: &str = "call: accepted\r\n";

/// What a hostile peer tries, by name.
type Trick = (&'static str, fn(&mut Hostile));

on_both_carriers! {
    a_caller_gets_nothing_before_a_person_accepts
    a_caller_gets_nothing_before_it_has_proven_itself
    a_called_peer_gets_nothing_before_it_accepts
    a_called_peer_gets_nothing_before_it_has_proven_itself
    who_is_watched_gets_nothing_whatever_it_says
    who_is_watched_cannot_make_itself_called
    an_owner_who_gives_up_while_two_calls_cross_is_told_of_the_end
}

/// A peer whose owner has to be asked.
fn careful(carrier: Carrier) -> Setup {
    Setup { auto: Auto::Nobody, suites: vec![Suite::X25519MlKem768, Suite::X25519], ..Setup::over(carrier) }
}

fn ended(hostile: &Hostile) -> Option<&EndReason> {
    hostile.node.events.iter().find_map(|(_, event)| match event {
        Event::Ended { reason, .. } => Some(reason),
        _ => None,
    })
}

fn gave_nothing(hostile: &Hostile, trick: &str) {
    assert_eq!(hostile.media, 0, "{trick}: media left the peer");
    assert!(!hostile.captured, "{trick}: the microphone and camera were asked for");
    assert!(!hostile.node.told(|event| matches!(event, Event::Connected { .. })), "{trick}: {:?}", hostile.node.events);
}

/// The other half of each proof: the very same peers exchange media once the gate is really open.
fn gives(hostile: &mut Hostile, trick: &str) {
    hostile.pass(SECOND);
    assert!(hostile.captured, "{trick}: accepted, and nothing is captured: {:?}", hostile.node.events);
    assert!(hostile.media > 40, "{trick}: accepted, and {} packets in a second", hostile.media);
}

/// Plays `trick`, which yields nothing; then, unless it ended the call, has it accepted, which yields everything. Whether
/// the call lasted that long.
fn gives_only_after(hostile: &mut Hostile, name: &str, trick: fn(&mut Hostile), accept: fn(&mut Hostile)) -> bool {
    trick(hostile);
    hostile.answer_everything();
    hostile.pass(SECOND);
    gave_nothing(hostile, name);
    let lasted = ended(hostile).is_none();
    if lasted {
        accept(hostile);
        gives(hostile, name);
    }
    lasted
}

/// What either side can say without a right to.
const LIES: [Trick; 14] = [
    ("nothing more", |_| {}),
    ("answers to nothing that was asked", |h| {
        h.said.push("SETUP x/audio RTSP/1.0\r\nCSeq: 4000\r\n\r\n".into());
        h.answer_everything();
    }),
    ("other words", |h| {
        for word in ["ACCEPTED", "accept", "ringing", "playing", "active", "accepted accepted", "\"accepted\"", ""] {
            h.word(word);
        }
    }),
    ("the word as a header", |h| h.ask("SET_PARAMETER", "", "Visavis-Call: accepted\r\nCall: accepted\r\n", "")),
    ("the word under another name", |h| {
        h.ask("SET_PARAMETER", "", PARAMETERS, "state: accepted\r\ncalls: accepted\r\n");
    }),
    ("the word where it is asked for", |h| h.ask("GET_PARAMETER", "", PARAMETERS, ACCEPTED)),
    ("the word with PLAY", |h| h.ask("PLAY", "", PARAMETERS, ACCEPTED)),
    ("the word with OPTIONS", |h| h.ask("OPTIONS", "", PARAMETERS, ACCEPTED)),
    ("a second ANNOUNCE", |h| {
        h.ask("ANNOUNCE", "", "Visavis-Call: accepted\r\nContent-Type: text/parameters\r\n", ACCEPTED);
    }),
    ("RECORD", |h| h.ask("RECORD", "", PARAMETERS, ACCEPTED)),
    ("a number to reveal", |h| {
        let zeros = "A".repeat(43);
        h.ask("SET_PARAMETER", "", &format!("Visavis-SAS-Nonce: {zeros}=\r\n{PARAMETERS}"), ACCEPTED);
    }),
    ("the word in the clear", |h| h.ask_plain("SET_PARAMETER", PARAMETERS, ACCEPTED)),
    ("the word in a second session", |h| {
        h.ask("SET_PARAMETER", "", &format!("Session: 2\r\nVisavis-Call: accepted\r\n{PARAMETERS}"), "");
    }),
    ("everything again and again", |h| {
        for _ in 0..10 {
            h.pull();
            h.answer_everything();
            h.pass(Duration::from_millis(100));
        }
    }),
];

fn a_caller_gets_nothing_before_a_person_accepts(carrier: Carrier) {
    let own: [Trick; 2] = [
        // The word for this is the called side's; here it comes from the other.
        ("the word itself", |h| h.word("accepted")),
        ("its number and the word", |h| {
            h.reveal();
            h.word("accepted");
        }),
    ];
    let mut survived = 0;
    for (name, trick) in LIES.into_iter().chain(own) {
        let mut hostile = Hostile::caller(&careful(carrier));
        hostile.prove();
        hostile.pull();
        hostile.pass(SECOND);
        assert!(hostile.node.told(|event| matches!(event, Event::Incoming { auto: false, .. })), "{name}: it rings");
        survived += usize::from(gives_only_after(&mut hostile, name, trick, |h| h.command(Command::Accept)));
    }
    assert!(survived >= 8, "{survived} of these do not even disturb a call");
}

fn a_caller_gets_nothing_before_it_has_proven_itself(carrier: Carrier) {
    let tricks: [Trick; 4] = [
        ("asks for the streams", Hostile::pull),
        ("says the word", |h| h.word("accepted")),
        ("answers", |h| h.say("RTSP/1.0 200 OK\r\nCSeq: 1\r\nVisavis-Call: accepted\r\n\r\n")),
        ("is silent", |_| {}),
    ];
    for (name, trick) in tricks {
        let mut hostile = Hostile::caller(&Setup { auto: Auto::Anyone, ..careful(carrier) });
        trick(&mut hostile);
        hostile.pass(12 * SECOND);
        gave_nothing(&hostile, name);
        assert!(hostile.closed, "{name}: it is not kept");
    }
}

fn a_called_peer_gets_nothing_before_it_accepts(carrier: Carrier) {
    let mut survived = 0;
    for (name, trick) in LIES {
        let mut hostile = Hostile::callee(&careful(carrier), Purpose::Call);
        hostile.answer_proof("ringing");
        hostile.pull();
        hostile.pass(SECOND);
        assert!(hostile.node.told(|event| matches!(event, Event::Ringing { .. })), "{name}: it rings");
        survived += usize::from(gives_only_after(&mut hostile, name, trick, |h| h.word("accepted")));
    }
    assert!(survived >= 8, "{survived} of these do not even disturb a call");
}

fn a_called_peer_gets_nothing_before_it_has_proven_itself(carrier: Carrier) {
    let tricks: [Trick; 5] = [
        ("the word in M4's place", |h| h.answer_proof("accepted")),
        ("the word before M4", |h| h.word("accepted")),
        ("its own requests before M4", Hostile::pull),
        ("200 to everything, M3 too", |h| {
            h.answer_everything();
            h.pull();
            h.word("accepted");
        }),
        ("glare to a call", |h| {
            h.answer_proof("glare");
            h.pull();
            h.word("accepted");
        }),
    ];
    for (name, trick) in tricks {
        let mut hostile = Hostile::callee(&careful(carrier), Purpose::Call);
        trick(&mut hostile);
        hostile.pass(12 * SECOND);
        gave_nothing(&hostile, name);
        assert!(ended(&hostile).is_some(), "{name}: {:?}", hostile.node.events);
    }
}

#[test]
fn a_contact_that_calls_with_weaker_keys_than_before_does_not_ring() {
    let key = Hostile::fingerprint();
    for (weakest, rings) in [(Suite::X25519MlKem768, false), (Suite::X25519, true)] {
        let contacts = vec![Contact { key, weakest: Some(weakest), address: None }];
        let mut hostile = Hostile::caller(&Setup { contacts, auto: Auto::Contacts, ..careful(Carrier::TcpUdp) });
        hostile.prove();
        hostile.pull();
        hostile.pass(SECOND);
        assert_eq!(hostile.node.told(|event| matches!(event, Event::Incoming { .. })), rings);
        assert_eq!(hostile.captured, rings);
        let told = hostile.said.iter().any(|said| said.contains("Visavis-Fault: suite-too-weak"));
        assert_eq!((told, hostile.closed), (!rings, !rings), "{:?}", hostile.said);
    }
}

#[test]
fn a_contact_at_an_unknown_address_does_not_get_weaker_keys_than_before() {
    let key = Hostile::fingerprint();
    for (weakest, rings) in [(Suite::X25519MlKem768, false), (Suite::X25519, true)] {
        let contacts = vec![Contact { key, weakest: Some(weakest), address: None }];
        let mut hostile = Hostile::callee(&Setup { contacts, ..careful(Carrier::TcpUdp) }, Purpose::Call);
        hostile.answer_proof_and("ringing", |h| {
            h.pull();
            h.word("accepted");
        });
        hostile.pass(SECOND);
        assert_eq!(hostile.node.told(|event| matches!(event, Event::Ringing { .. })), rings);
        assert_eq!((hostile.captured, hostile.media > 0), (rings, rings));
        let refused =
            matches!(ended(&hostile), Some(EndReason::Verification(fault)) if fault.code() == "suite-too-weak");
        assert_eq!(refused, !rings, "{:?}", hostile.node.events);
    }
}

fn who_is_watched_gets_nothing_whatever_it_says(carrier: Carrier) {
    for (name, trick) in LIES {
        let mut hostile = Hostile::callee(&careful(carrier), Purpose::Watch);
        hostile.answer_proof("ringing");
        hostile.pull();
        hostile.word("accepted");
        hostile.pull();
        trick(&mut hostile);
        hostile.pass(SECOND);
        assert_eq!((hostile.media, hostile.captured), (0, false), "{name}");
    }
}

fn who_is_watched_cannot_make_itself_called(carrier: Carrier) {
    let mut hostile = Hostile::callee(&careful(carrier), Purpose::Watch);
    hostile.answer_proof("glare");
    hostile.pass(SECOND);
    assert!(matches!(ended(&hostile), Some(EndReason::Peer(_))), "{:?}", hostile.node.events);
}

fn an_owner_who_gives_up_while_two_calls_cross_is_told_of_the_end(carrier: Carrier) {
    let mut hostile = Hostile::callee(&careful(carrier), Purpose::Call);
    hostile.answer_proof("glare");
    hostile.pass(SECOND);
    assert_eq!(ended(&hostile), None, "the other call is expected");
    hostile.command(Command::HangUp);
    assert_eq!(ended(&hostile), Some(&EndReason::Cancelled));
    assert!(hostile.node.peer.is_idle());
}
