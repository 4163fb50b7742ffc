//! Addresses as people write them.

use proptest::prelude::*;

use super::*;
use crate::auth::{Answerer, ChallengeError};
use crate::rtsp::url::{MAX_URL, resolve};

fn url(text: &str) -> RtspUrl {
    RtspUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).0
}

#[test]
fn addresses_are_taken_apart() {
    for (text, host, port, secure, asked) in [
        ("rtsp://cam.local/a", "cam.local", 554, false, "rtsp://cam.local/a"),
        ("RTSPS://cam.local", "cam.local", 322, true, "rtsps://cam.local"),
        (" rtsp://192.0.2.7:8554 ", "192.0.2.7", 8554, false, "rtsp://192.0.2.7:8554"),
        ("rtsp://[2001:db8::1]/", "2001:db8::1", 554, false, "rtsp://[2001:db8::1]/"),
        ("rtsps://[::1]:1/a", "::1", 1, true, "rtsps://[::1]:1/a"),
        ("rtsp://a:/b", "a", 554, false, "rtsp://a:/b"),
        ("rtsp://u:p@a/b", "a", 554, false, "rtsp://a/b"),
        ("rtsp://u:p@ss@a/b@c", "a", 554, false, "rtsp://a/b@c"),
        ("rtsp://a?x=1", "a", 554, false, "rtsp://a?x=1"),
        ("rtsp://a/../b/./c//d/%7e%41?x=1&y=[2]#z", "a", 554, false, "rtsp://a/../b/./c//d/%7e%41?x=1&y=[2]"),
        ("rtsp://a/my film é?", "a", 554, false, "rtsp://a/my%20film%20%C3%A9?"),
    ] {
        let url = url(text);
        assert_eq!((url.host(), url.port(), url.is_secure(), url.as_str()), (host, port, secure, asked), "{text}");
    }
}

#[test]
fn what_is_no_address_says_why() {
    for (text, error) in [
        ("", UrlError::Scheme),
        ("cam.local/a", UrlError::Scheme),
        ("http://cam.local/a", UrlError::Scheme),
        ("rtsp:/cam.local/a", UrlError::Scheme),
        ("rtsp://", UrlError::Host),
        ("rtsp:///a", UrlError::Host),
        ("rtsp://u:p@/a", UrlError::Host),
        ("rtsp://2001:db8::1/a", UrlError::Host),
        ("rtsp://[2001:db8::1/a", UrlError::Host),
        ("rtsp://[cam]/a", UrlError::Host),
        ("rtsp://[::1]x/a", UrlError::Host),
        ("rtsp://a b/c", UrlError::Host),
        ("rtsp://a:0/b", UrlError::Port),
        ("rtsp://a:65536/b", UrlError::Port),
        ("rtsp://a:+5/b", UrlError::Port),
        ("rtsp://ana:se#cret@a/b", UrlError::Port),
        ("rtsp://a/b\r\nc", UrlError::Characters),
        ("rtsp://%ff@a/b", UrlError::Characters),
        (
            "rtsp://:secret@a/b",
            UrlError::Credentials(ChallengeError::Credentials("give a name, without a colon in it")),
        ),
        (
            "rtsp://ana:%0d%0a@a/b",
            UrlError::Credentials(ChallengeError::Credentials("take control characters out of them")),
        ),
    ] {
        let given = RtspUrl::parse(text).map(|(url, _)| url).expect_err(text);
        assert_eq!(given, error, "{text}");
        assert!(!given.to_string().contains("secret"));
    }
    assert_eq!(RtspUrl::parse(&format!("rtsp://a/{}", "b".repeat(MAX_URL))).map(|_| ()), Err(UrlError::TooLong));
}

#[test]
fn names_and_passwords_are_taken_out_and_decoded() {
    for (text, expected) in [
        ("rtsp://a/b", None),
        ("rtsps://@a/b", None),
        ("rtsps://:@a/b", None),
        ("rtsps://ana@a/b", Some("ana:")),
        ("rtsps://ana:s%2Fe%3fc%40%23r%25@a/b", Some("ana:s/e?c@#r%")),
        ("rtsps://ana:a:b@c@a/b", Some("ana:a:b@c")),
        ("rtsps://ana:100%@a/b", Some("ana:100%")),
        ("rtsps://ana:%zz%4@a/b", Some("ana:%zz%4")),
        ("rtsps://ana:%C3%A9@a/b", Some("ana:é")),
    ] {
        let (url, credentials) = RtspUrl::parse(text).expect(text);
        let given = credentials.map(|credentials| {
            let mut answerer = Answerer::new(credentials);
            answerer.challenged(["Basic realm=\"r\""], true).expect("a challenge");
            let value = answerer.authorization("OPTIONS", "*", &mut rng(1)).expect("challenged");
            let decoded = data_encoding::BASE64.decode(value.trim_start_matches("Basic ").as_bytes());
            String::from_utf8(decoded.expect("base64")).expect("text")
        });
        assert_eq!(given.as_deref(), expected, "{text}");
        assert_eq!(
            url.to_string(),
            format!("{}a/b", &text[..text.find("://").expect("a scheme") + 3]),
            "nothing is left"
        );
    }
}

#[test]
fn what_looks_like_a_password_is_not_shown() {
    for (text, shown) in [
        ("rtsp://a/user=admin&password=secret&channel=1", "rtsp://a/user=admin&password=…&channel=1"),
        ("rtsp://a/user=admin_password=se_cret_channel=1_stream=0.sdp", "rtsp://a/user=admin_password=…"),
        ("rtsp://a/b?Token=x&PWD=y", "rtsp://a/b?Token=…&PWD=…"),
        ("rtsp://a/b?c=d", "rtsp://a/b?c=d"),
    ] {
        let url = url(text);
        assert_eq!((url.to_string().as_str(), url.as_str()), (shown, text));
        assert_eq!(format!("{url:?}"), format!("RtspUrl({shown})"));
    }
}

#[test]
fn tracks_are_named_after_the_base() {
    for (base, control, expected) in [
        ("rtsp://a/b/", "*", "rtsp://a/b/"),
        ("rtsp://a/b", "", "rtsp://a/b"),
        ("rtsp://a/b/", "track1", "rtsp://a/b/track1"),
        ("rtsp://a/b", "track1", "rtsp://a/b/track1"),
        ("rtsp://a/b/", "/track1", "rtsp://a/b/track1"),
        ("rtsp://a/b", "?track=1", "rtsp://a/b?track=1"),
        ("rtsp://a/b?c=1", "track1", "rtsp://a/b?c=1/track1"),
        ("rtsp://a/b", "RTSP://c/d", "RTSP://c/d"),
    ] {
        assert_eq!(resolve(base, control), expected);
    }
}

proptest! {
    #[test]
    fn no_address_is_harmful(text in "(rtsps?://)?\\PC{0,60}") {
        if let Ok((url, _)) = RtspUrl::parse(&text) {
            assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            let _ = (url.to_string(), url.join(&text));
        }
    }

    #[test]
    fn an_address_is_the_same_again(text in "rtsps?://([a-z]{1,5}:[a-z%]{0,5}@)?[a-z]{1,9}(:[1-9][0-9]{0,3})?(/[!-~]{0,20})?") {
        let first = RtspUrl::parse(&text).map(|(url, _)| url);
        if let Ok(first) = first {
            assert_eq!(url(first.as_str()), first);
        }
    }
}

#[test]
fn a_server_sends_us_nowhere_that_it_may_not() {
    let redirected = |from: &str, to: &str| {
        let (url, _) = RtspUrl::parse(from).expect("a URL");
        url.redirected(to).map(|url| url.to_string())
    };
    let to = |url: &str| Ok(url.to_owned());
    assert_eq!(redirected("rtsp://a/b", "/c"), to("rtsp://a/c"));
    assert_eq!(redirected("rtsp://a/b", "rtsps://d/c"), to("rtsps://d/c"));
    assert_eq!(redirected("rtsps://a/b", "rtsp://a/c"), Err(Astray::Downgrade));
    assert_eq!(redirected("rtsp://a/b", "http://d/c"), Err(Astray::Nowhere));
}
