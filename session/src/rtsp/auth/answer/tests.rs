use super::*;
use crate::testing::rng;

#[test]
fn a_client_takes_the_strongest_that_it_can() {
    let sha = "Digest realm=\"r\", nonce=\"n\", algorithm=\"sha-256\", qop=\"auth-int, auth\", opaque=\"o\\\"\"";
    let md5 = "Digest nonce=n,realm=\"r\", domain=\"/\"";
    let sess = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess";
    let basic = "Negotiate YII+/w==, Basic realm=\"r\"";
    let best = |values: &[&str], secure: bool| {
        let credentials = Credentials::new("a\\b\"".to_owned(), String::new()).expect("credentials");
        let mut client = Answerer::new(credentials);
        client.challenged(values.iter().copied(), secure)?;
        Ok(client.authorization("DESCRIBE", "rtsp://h/", &mut rng(1)).expect("it was challenged").to_string())
    };
    let given = best(&[basic, md5, sess, sha], true).expect("an answer");
    assert!(given.starts_with("Digest username=\"a\\\\b\\\"\", realm=\"r\", nonce=\"n\", uri="), "{given}");
    assert!(given.contains(", algorithm=SHA-256, opaque=\"o\\\"\", qop=auth, nc=00000001, cnonce=\""), "{given}");
    let given = best(&[md5, basic], true).expect("an answer");
    assert!(given.starts_with("Digest") && !given.contains("algorithm") && !given.contains("qop"), "{given}");
    assert_eq!(best(&[basic, sess], true), Ok(format!("Basic {}", BASE64.encode(b"a\\b\":"))));
    assert_eq!(best(&[basic, sess], false), Err(ChallengeError::InTheClear));
    let only_int = "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"";
    for unsupported in [&[][..], &[sess], &[only_int], &["Bearer"]] {
        assert_eq!(best(unsupported, true), Err(ChallengeError::Unsupported), "{unsupported:?}");
    }
    let long = format!("Digest realm=\"{}\", nonce=\"n\"", "r".repeat(2048));
    let many: String = (0..25).map(|number| format!(", p{number}=1")).collect();
    for bad in [
        "Digest realm=\"r",
        "Digest realm=\"r\", realm=\"r\", nonce=\"n\"",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\"",
        "realm=\"r\"",
        "Digest realm=\"r\" nonce=\"n\"",
        "Digest realm=\"\r\n\", nonce=\"n\"",
        &long,
        &format!("Digest a=1{many}"),
    ] {
        let result = best(&[bad], true);
        assert!(matches!(result, Err(ChallengeError::Malformed(_))), "{bad} {result:?}");
        assert!(best(&[bad, md5], true).is_ok_and(|given| given.starts_with("Digest")), "{bad}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    for (user, password) in [("", "p"), ("a:b", "p"), ("a\r\nb", "p"), ("a", "p\n"), ("a", &"p".repeat(257))] {
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        assert!(matches!(credentials, Err(ChallengeError::Credentials(_))), "{user}");
    }
}
