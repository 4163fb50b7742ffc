use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use visavis_net::testing::moment;

use super::digest::{Algorithm, Protection, Signed};
use super::*;
use crate::testing::rng;

const FILE: &str = "# who may watch\r\n\r\nalice:open sesame: twice \r\nbob:hunter2\r\n";
const URI: &str = "rtsp://127.0.0.1:8554/call";
const STALE: Verdict = Verdict::Challenge { stale: true };
const FRESH: Verdict = Verdict::Challenge { stale: false };

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// A server and one connection to it.
struct Door {
    guard: Guard,
    now: Instant,
    seen: Seen,
    rng: ChaCha20Rng,
}

impl Door {
    fn new(secure: bool) -> Self {
        let (now, mut rng) = (moment(), rng(7));
        let guard = Guard::new(Users::parse(FILE).expect("a password file"), now, &mut rng);
        Self { guard, now, seen: Seen::new(1, address(1), secure), rng }
    }

    fn challenge(&mut self, stale: bool) -> Vec<String> {
        self.guard.challenge(self.now, &mut self.seen, stale, &mut self.rng)
    }

    fn nonce(&mut self) -> String {
        self.challenge(false)[0].split('"').nth(3).expect("a nonce").to_owned()
    }

    fn check(&mut self, authorization: &str) -> Verdict {
        self.ask("DESCRIBE", URI, authorization)
    }

    fn ask(&mut self, method: &str, uri: &str, authorization: &str) -> Verdict {
        self.guard.check(self.now, &mut self.seen, method, uri, Some(authorization))
    }

    /// What a player sends that knows MD5 alone and no `qop`.
    fn plain(&mut self, user: &str, password: &str, uri: &str) -> String {
        old_form(&self.nonce(), user, password, uri)
    }

    fn wrong(&mut self, from: IpAddr) -> Verdict {
        self.seen = Seen::new(1, from, false);
        let answer = self.plain("alice", "guess", URI);
        self.check(&answer)
    }
}

fn old_form(nonce: &str, user: &str, password: &str, uri: &str) -> String {
    let ha1 = Algorithm::Md5.hash(&[user, REALM, password]);
    let response = Signed { method: "DESCRIBE", uri, nonce, protection: None }.response(Algorithm::Md5, &ha1);
    let response = response.to_uppercase();
    format!("Digest username=\"{user}\",realm=\"{REALM}\",nonce=\"{nonce}\",uri=\"{uri}\",response=\"{response}\"")
}

fn answerer(user: &str, password: &str) -> Answerer {
    Answerer::new(Credentials::new(user.to_owned(), password.to_owned()).expect("credentials"))
}

fn alice() -> Answerer {
    answerer("alice", "open sesame: twice ")
}

fn take(answerer: &mut Answerer, challenges: &[String], secure: bool) -> Result<(), ChallengeError> {
    answerer.challenged(challenges.iter().map(String::as_str), secure)
}

fn answer(answerer: &mut Answerer, rng: &mut ChaCha20Rng) -> String {
    answerer.authorization("DESCRIBE", URI, rng).expect("it was challenged").to_string()
}

#[test]
fn hashes_as_the_examples_of_the_rfcs_do() {
    let response = |algorithm: Algorithm, [realm, password, nonce, cnonce]: [&str; 4], protected: bool| {
        let protection = protected.then_some(Protection { qop: "auth", count: "00000001", cnonce });
        let signed = Signed { method: "GET", uri: "/dir/index.html", nonce, protection };
        signed.response(algorithm, &algorithm.hash(&["Mufasa", realm, password])).to_string()
    };
    let rfc_7616 = [
        "http-auth@example.org",
        "Circle of Life",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    ];
    let sha256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert_eq!(response(Algorithm::Sha256, rfc_7616, true), sha256, "RFC 7616 §3.9.1");
    assert_eq!(response(Algorithm::Md5, rfc_7616, true), "8ca523f5e9506fed4657c9700eebdbec", "RFC 7616 §3.9.1");
    let rfc_2617 = ["testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b"];
    assert_eq!(response(Algorithm::Md5, rfc_2617, true), "6629fae49393a05397450978507c4ef1", "RFC 2617 §3.5");
    // The same in the form of RFC 2069, computed apart from this program.
    assert_eq!(response(Algorithm::Md5, rfc_2617, false), "670fd8c2df070c60b045671b8b24ff02");
}

#[test]
fn challenges_are_what_players_can_read() {
    let mut door = Door::new(true);
    let [sha256, basic, md5]: [String; 3] = door.challenge(true).try_into().expect("three challenges");
    let nonce = md5.split('"').nth(3).expect("a nonce");
    assert_eq!(
        sha256,
        format!("Digest realm=\"visavis\", nonce=\"{nonce}\", stale=true, algorithm=SHA-256, qop=\"auth\"")
    );
    assert_eq!(basic, "Basic realm=\"visavis\"");
    assert_eq!(md5, format!("Digest realm=\"visavis\", nonce=\"{nonce}\", stale=true, algorithm=MD5"));
    assert_eq!(Door::new(false).challenge(false).len(), 2, "no password goes in the clear");
}

#[test]
fn whoever_knows_a_password_gets_in_with_every_form() {
    for secure in [false, true] {
        let mut door = Door::new(secure);
        let challenges = door.challenge(false);
        let joined = challenges.join(", ");
        for form in challenges.iter().chain([&joined]) {
            let mut client = alice();
            take(&mut client, std::slice::from_ref(form), secure).expect("a challenge that can be answered");
            for _ in 0..3 {
                let authorization = answer(&mut client, &mut door.rng);
                assert_eq!(door.check(&authorization), Verdict::Granted("alice".into()), "{authorization}");
                client.accepted();
            }
            door.seen = Seen::new(1, address(1), secure);
        }
        let plain = door.plain("bob", "hunter2", URI);
        assert_eq!(door.check(&plain), Verdict::Granted("bob".into()));
        assert_eq!(door.check(&format!("{plain}, algorithm=\"md5\"")), Verdict::Granted("bob".into()));
        let long = format!("x=\"{}\"", "x".repeat(2048));
        for more in
            ["algorithm=MD5-sess", "qop=auth-int, nc=00000001, cnonce=c", "qop=auth, nc=1, cnonce=c", "uri=x", &long]
        {
            assert_eq!(door.check(&format!("{plain}, {more}")), FRESH, "{more}");
        }
        let basic = format!("basic {}", BASE64.encode(b"bob:hunter2"));
        assert_eq!(door.check(&basic), if secure { Verdict::Granted("bob".into()) } else { FRESH });
    }
}

#[test]
fn nobody_else_gets_in_and_names_cannot_be_told() {
    let mut door = Door::new(true);
    let others = [("alice", "hunter2"), ("carol", "hunter2"), ("", ""), ("Alice", "open sesame: twice ")];
    for (place, (user, password)) in (100..).zip(others) {
        door.seen = Seen::new(1, address(place), true);
        let digest = door.plain(user, password, URI);
        assert_eq!(door.check(&digest), Verdict::Wrong, "{user}");
        let basic = format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()));
        assert_eq!(door.check(&basic), Verdict::Wrong, "{user}");
    }
    let mut client = answerer("alice", "guess");
    take(&mut client, &door.challenge(false), true).expect("a challenge");
    let authorization = answer(&mut client, &mut door.rng);
    assert_eq!(door.check(&authorization), Verdict::Wrong);
    assert_eq!(take(&mut client, &door.challenge(false), true), Err(ChallengeError::Refused));
}

#[test]
fn an_answer_is_for_one_method_and_for_the_uri_or_what_is_below() {
    let mut door = Door::new(false);
    let urls = ["/call", "/call/", "rtsp://127.0.0.1:8554", "/", URI, "rtsp://127.0.0.1:8554/call/"];
    for signed in urls {
        let plain = door.plain("bob", "hunter2", signed);
        for uri in [URI, "rtsp://127.0.0.1:8554/call/", "rtsp://127.0.0.1:8554/call/audio"] {
            assert_eq!(door.ask("DESCRIBE", uri, &plain), Verdict::Granted("bob".into()), "{signed} {uri}");
        }
        assert_eq!(door.ask("SETUP", URI, &plain), Verdict::Wrong, "{signed}");
        door.now += Duration::from_secs(2);
    }
    for (signed, uri) in [
        (URI, "rtsp://127.0.0.2:8554/call"),
        (URI, "rtsp://127.0.0.1:8554/calls"),
        (URI, "rtsp://127.0.0.1:8554"),
        ("/call/audio", URI),
        ("/", "*"),
        ("*", URI),
        ("", URI),
        ("rtsp:", URI),
    ] {
        let plain = door.plain("bob", "hunter2", signed);
        assert_eq!(door.ask("DESCRIBE", uri, &plain), FRESH, "{signed} {uri}");
    }
    let star = door.plain("bob", "hunter2", "*");
    assert_eq!(door.ask("DESCRIBE", "*", &star), Verdict::Granted("bob".into()));
}

#[test]
fn an_old_nonce_is_renewed_without_a_failure() {
    let mut door = Door::new(false);
    let mut client = alice();
    take(&mut client, &door.challenge(false), false).expect("a challenge");
    for round in 0..20 {
        let authorization = answer(&mut client, &mut door.rng);
        assert_eq!(door.check(&authorization), Verdict::Granted("alice".into()), "{round}");
        client.accepted();
        door.now += Duration::from_secs(300);
        let authorization = answer(&mut client, &mut door.rng);
        assert_eq!(door.check(&authorization), STALE, "{round}");
        take(&mut client, &door.challenge(true), false).expect("a new nonce");
    }
    for _ in 0..2 {
        answer(&mut client, &mut door.rng);
        take(&mut client, &door.challenge(true), false).expect("a new nonce");
    }
    answer(&mut client, &mut door.rng);
    assert_eq!(take(&mut client, &door.challenge(true), false), Err(ChallengeError::Refused), "not for ever");
}

#[test]
fn an_answer_counts_once_and_on_its_own_connection() {
    let mut door = Door::new(false);
    let mut client = alice();
    take(&mut client, &door.challenge(false), false).expect("a challenge");
    let first = answer(&mut client, &mut door.rng);
    let second = answer(&mut client, &mut door.rng);
    assert!(first.contains("nc=00000001") && second.contains("nc=00000002"));
    let mut other = Seen::new(2, address(1), false);
    assert_eq!(door.guard.check(door.now, &mut other, "DESCRIBE", URI, Some(&first)), STALE);
    assert_eq!(door.check(&second), Verdict::Granted("alice".into()));
    assert_eq!(door.check(&second), STALE, "played again");
    assert_eq!(door.check(&first), STALE, "an older count");
    // Nor after a newer nonce.
    client.accepted();
    take(&mut client, &door.challenge(true), false).expect("a challenge");
    let third = answer(&mut client, &mut door.rng);
    assert_eq!(door.check(&third), Verdict::Granted("alice".into()));
    assert_eq!(door.check(&second), STALE);
    // Without a count it is the connection that is bound.
    let plain = door.plain("bob", "hunter2", URI);
    assert_eq!(door.guard.check(door.now, &mut other, "DESCRIBE", URI, Some(&plain)), STALE);
    let forged = old_form("AAAA", "bob", "hunter2", URI);
    assert_eq!(door.check(&forged), STALE);
    let mut restarted = Door::new(false);
    restarted.guard = Guard::new(Users::parse(FILE).expect("a password file"), door.now, &mut rng(8));
    assert_eq!(restarted.check(&plain), STALE);
}

#[test]
fn wrong_answers_are_looked_at_rarely_and_only_from_where_they_come() {
    let mut door = Door::new(false);
    let mut inside = Seen::new(1, address(1), false);
    let plain = door.plain("bob", "hunter2", URI);
    assert_eq!(door.guard.check(door.now, &mut inside, "DESCRIBE", URI, Some(&plain)), Verdict::Granted("bob".into()));
    let verdicts: Vec<_> = (0..8).map(|_| door.wrong(address(1))).collect();
    assert_eq!(verdicts, [vec![Verdict::Wrong; 5], vec![Verdict::TooMany; 3]].concat());
    assert_eq!(door.check(&plain), Verdict::TooMany, "a right one is not looked at either");
    let (now, guard) = (door.now, &mut door.guard);
    assert_eq!(guard.check(now, &mut inside, "DESCRIBE", URI, Some(&plain)), Verdict::Granted("bob".into()), "is in");
    let guess = door.plain("alice", "guess", URI);
    let verdict = door.guard.check(now, &mut inside, "DESCRIBE", URI, Some(&guess));
    assert_eq!(verdict, Verdict::TooMany, "under its own name only");

    door.seen = Seen::new(1, address(2), false);
    let right = door.plain("bob", "hunter2", URI);
    assert_eq!(door.check(&right), Verdict::Granted("bob".into()), "somebody else");
    door.now += Duration::from_secs(2);
    assert_eq!([door.wrong(address(1)), door.wrong(address(1))], [Verdict::Wrong, Verdict::TooMany]);

    // One link is one guesser, and so is this machine.
    let link = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    let loopback = |last: u8| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let _: Vec<_> = (0..5).map(|last| (door.wrong(link(last)), door.wrong(loopback(last as u8 + 1)))).collect();
    assert_eq!([door.wrong(link(9)), door.wrong(loopback(9))], [Verdict::TooMany, Verdict::TooMany]);
}

/// The first address of a link.
fn link(site: u16, number: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, number, 0, 0, 0, 1))
}

#[test]
fn guesses_from_everywhere_are_bounded_as_well() {
    let mut door = Door::new(false);
    let looked_at = |door: &mut Door, sites: std::ops::Range<u16>| {
        sites.filter(|site| door.wrong(link(*site, 0)) == Verdict::Wrong).count()
    };
    assert_eq!(looked_at(&mut door, 0..1000), 256 + 64 + 20);
    assert_eq!(looked_at(&mut door, 1000..2000), 0);
    door.now += Duration::from_millis(50);
    assert_eq!(looked_at(&mut door, 1000..2000), 1, "of all the others together");
    door.now += Duration::from_secs(2);
    assert_eq!(looked_at(&mut door, 2000..3000), 256 + 64 + 20, "what is over is forgotten");
}

#[test]
fn who_has_many_addresses_locks_nobody_out() {
    let fe80 = |last| IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
    let lan = |last: u16| IpAddr::V4(Ipv4Addr::new(192, 168, (last >> 8) as u8, last as u8));
    let guessers: [&dyn Fn(u16) -> IpAddr; 3] = [&|last| link(7, last), &fe80, &lan];
    for (guesser, number) in guessers.into_iter().zip(0..) {
        let mut door = Door::new(false);
        let guess = |door: &mut Door, range: std::ops::Range<u16>| {
            range.filter(|last| door.wrong(guesser(*last)) == Verdict::Wrong).count()
        };
        assert_eq!(guess(&mut door, 0..256), 256);
        // As many more are one.
        assert_eq!(guess(&mut door, 1024..1024 + 200), 5, "{number}");
        for honest in [link(8, 0), address(1), IpAddr::V4(Ipv4Addr::LOCALHOST)] {
            door.seen = Seen::new(1, honest, false);
            let right = door.plain("bob", "hunter2", URI);
            assert_eq!(door.check(&right), Verdict::Granted("bob".into()), "{number} {honest}");
        }
    }
}

#[test]
fn an_odd_challenge_does_not_spoil_the_others() {
    const DIGEST: &str = "Digest realm=\"a, b\", nonce=\"n\"";
    for odd in [
        "Basic realm=/",
        "Basic realm=/, charset=\"UTF-8\"",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\", x=/, y=\"z, Digest\"",
        "Digest realm=\"a\", realm=\"b\"",
        "Digest realm=\"a\" nonce=\"n\"",
        "Negotiate abc def",
    ] {
        let joined = [format!("{odd}, {DIGEST}"), format!("{DIGEST}, {odd}")].map(|joined| vec![joined]);
        let apart = vec![odd.to_owned(), DIGEST.to_owned()];
        for (challenges, secure) in joined.into_iter().chain([apart]).zip([false, true, false]) {
            let mut client = alice();
            assert_eq!(take(&mut client, &challenges, secure), Ok(()), "{challenges:?}");
            let answer = answer(&mut client, &mut rng(9));
            assert!(answer.starts_with("Digest username=\"alice\", realm=\"a, b\", nonce=\"n\""), "{answer}");
        }
        let alone = take(&mut alice(), &[odd.to_owned()], false);
        assert!(matches!(alone, Err(ChallengeError::Malformed(_))), "{odd}: {alone:?}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let mut door = Door::new(true);
    let mut client = answerer("bob", "hunter2");
    take(&mut client, &["Basic realm=\"r\"".to_owned()], true).expect("a challenge");
    let _ = door.wrong(address(1));
    let users = Users::parse(FILE).expect("a password file");
    let shown = format!("{users:?} {:?} {:?} {client:?}", door.guard, door.seen);
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        assert!(!shown.contains(users.find("bob").1.ha1(algorithm)), "{shown}");
    }
    assert!(!shown.contains("hunter2") && !shown.contains("sesame"), "{shown}");
}

proptest! {
    #[test]
    fn reads_anything_without_harm(text in any::<String>(), secure: bool) {
        let mut door = Door::new(secure);
        let _ = door.check(&text);
        let _ = door.check(&format!("Digest {text}"));
        let _ = door.ask(&text, &text, &format!("Basic {text}"));
        let _ = alice().challenged([text.as_str()], secure);
        let _ = Users::parse(&text);
        let _ = Credentials::new(text.clone(), text);
    }

    #[test]
    fn reads_what_looks_right_without_harm(
        text in r#"(Digest|Basic|,| |=|"|\\|é|[a-z]{1,3}|realm="visavis"|nonce="n"|uri="/"|qop=auth|nc=0000000[0-9a-g]|cnonce=c|response=0|username=bob|algorithm=MD5){0,30}"#,
        damage in 0usize..200,
    ) {
        let mut door = Door::new(true);
        let _ = door.check(&text);
        let _ = alice().challenged([text.as_str()], true);
        let mut plain = door.plain("bob", "hunter2", URI);
        if plain.is_char_boundary(damage) {
            plain.insert_str(damage, &text);
        }
        let _ = door.check(&plain);
    }
}
