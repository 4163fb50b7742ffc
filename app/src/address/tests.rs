use proptest::prelude::*;

use super::*;

/// A fingerprint as text without grouping, whatever the identity of this test is.
fn key() -> (Fingerprint, String) {
    use rand_core::SeedableRng;
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(7);
    let fingerprint = visavis_session::identity::Identity::generate(&mut rng).public().fingerprint();
    let text = fingerprint.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    (fingerprint, text)
}

fn place(text: &str) -> (String, u16) {
    let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!((address.name, address.fingerprint), (None, None));
    (address.host, address.port)
}

fn error(text: &str) -> AddressError {
    text.parse::<Address>().expect_err(text)
}

#[test]
fn hosts_and_ports() {
    for (text, host, port) in [
        ("alice.local", "alice.local", 8554),
        ("Alice.Local.", "alice.local", 8554),
        ("alice", "alice", 8554),
        ("alice:9000", "alice", 9000),
        ("my_box-2.lan:1", "my_box-2.lan", 1),
        ("192.0.2.7", "192.0.2.7", 8554),
        ("192.0.2.7:65535", "192.0.2.7", 65535),
        ("  alice  ", "alice", 8554),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", 8554),
    ] {
        assert_eq!(place(text), (host.to_owned(), port), "{text}");
    }
}

#[test]
fn ipv6_with_and_without_brackets_and_scope() {
    for (text, host, port) in [
        ("::1", "::1", 8554),
        ("2001:DB8:0::7", "2001:db8::7", 8554),
        ("[2001:db8::7]", "2001:db8::7", 8554),
        ("[2001:db8::7]:9000", "2001:db8::7", 9000),
        ("fe80::1%eth0", "fe80::1%eth0", 8554),
        ("[fe80::1%eth0.5]:9000", "fe80::1%eth0.5", 9000),
        ("[fe80::1%25eth0]:9000", "fe80::1%eth0", 9000),
        ("fe80::1%2", "fe80::1%2", 8554),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", 8554),
    ] {
        assert_eq!(place(text), (host.to_owned(), port), "{text}");
    }
    // All of this is one IPv6 address: only brackets can tell a port apart.
    assert_eq!(place("fe80::1:9000"), ("fe80::1:9000".to_owned(), 8554));
}

#[test]
fn a_scope_that_looks_escaped_survives() {
    for scope in ["25", "25e", "2525", "252525", "eth0"] {
        for port in [DEFAULT_PORT, 9000] {
            let address = Address::new(format!("fe80::1%{scope}"), port);
            assert_eq!(address.to_string().parse(), Ok(address.clone()), "{scope}");
            assert_eq!(address.to_uri().parse(), Ok(address), "{scope}");
        }
    }
}

#[test]
fn a_uri_says_who_it_must_be() {
    let (fingerprint, text) = key();
    let address: Address = format!("visavis://alice.local:9000/Ana%20B#{text}").parse().expect("valid");
    assert_eq!(
        address,
        Address {
            host: "alice.local".to_owned(),
            port: 9000,
            name: Some("Ana B".to_owned()),
            fingerprint: Some(fingerprint)
        }
    );
    assert_eq!(address.to_uri(), format!("visavis://alice.local:9000/Ana%20B#{text}"));
    assert_eq!(address.to_string(), address.to_uri());
    for (text, host, port) in [
        ("visavis://alice", "alice", 8554),
        ("VISAVIS://alice/", "alice", 8554),
        ("visavis://[::1]:9000/#", "::1", 9000),
        ("visavis://[fe80::1%25eth0]/", "fe80::1%eth0", 8554),
    ] {
        assert_eq!(place(text), (host.to_owned(), port), "{text}");
    }
}

#[test]
fn errors_tell_what_to_do() {
    use AddressError as E;
    assert_eq!(error(" "), E::Empty);
    assert_eq!(error(&"a".repeat(2000)), E::TooLong);
    assert_eq!(error("rtsp://alice"), E::Scheme("rtsp".to_owned()));
    for port in ["", "0", "65536", "+1", "x", " 1"] {
        assert_eq!(error(&format!("alice:{port}")), E::Port(port.trim_end().to_owned()), "{port:?}");
    }
    assert_eq!(error("[::1"), E::Brackets("[::1".to_owned()));
    assert_eq!(error("[::1]8554"), E::Brackets("[::1]8554".to_owned()));
    assert_eq!(error("[::1]:"), E::Port(String::new()));
    assert_eq!(error("[alice]"), E::Ipv6("alice".to_owned()));
    assert_eq!(error("a:b:c"), E::Ipv6("a:b:c".to_owned()));
    assert_eq!(error("fe80::1%"), E::Scope(String::new()));
    assert_eq!(error("fe80::1%et h0"), E::Scope("et h0".to_owned()));
    assert_eq!(error("192.0.2.256"), E::Ipv4("192.0.2.256".to_owned()));
    assert_eq!(error("10.1"), E::Ipv4("10.1".to_owned()));
    for host in ["-a", "a-", "a..b", ".", "a b", "a/b", "bücher", "a@b", "a%eth0", &"a".repeat(64)] {
        assert_eq!(error(host), E::Host(host.to_owned()), "{host}");
    }
    assert_eq!(error("visavis://ana@alice"), E::User("ana".to_owned()));
    assert_eq!(error("visavis://alice/a/b"), E::Path("a/b".to_owned()));
    assert_eq!(error("visavis://alice/%zz"), E::Path("%zz".to_owned()));
    assert_eq!(error("visavis://alice/%ff"), E::Path("%ff".to_owned()));
    assert!(matches!(error("visavis://alice#short"), E::Fingerprint { text, .. } if text == "short"));
    assert!(matches!(error("visavis:///ana"), E::Host(_)));
}

#[test]
fn what_is_shown_again_cannot_play_tricks_on_a_terminal() {
    let text = error("a\u{1b}[2Jb\u{202e}c").to_string();
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    assert!(error(&"é".repeat(300)).to_string().chars().count() < 200);
}

#[test]
fn names_cannot_pass_for_something_else() {
    for good in ["ana", "Ana B.", "Großmutter", "小明", "a-b_c"] {
        assert!(is_name(good), "{good}");
    }
    for bad in
        ["", " ana", "-ana", "a:1", "a/b", "a#b", "a@b", "::1", "10.0.0.1", "a\nb", "a\u{202e}b", &"a".repeat(65)]
    {
        assert!(!is_name(bad), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_read_is_written_back(text in ".{0,80}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address.clone()));
            prop_assert_eq!(address.to_uri().parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn near_misses_do_not_panic(text in "(visavis://)?[\\[\\]:%@/#.a-f0-9-]{0,40}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address.clone()));
            prop_assert_eq!(address.to_uri().parse::<Address>(), Ok(address));
        }
    }

    #[test]
    fn any_name_survives_a_uri(name in "[\\p{L}\\p{N}][\\p{L}\\p{N} ._'!()-]{0,40}[\\p{L}!)]", port in 1u16..) {
        prop_assume!(is_name(&name));
        let address = Address { name: Some(name), ..Address::new("alice", port) };
        prop_assert_eq!(address.to_uri().parse::<Address>(), Ok(address));
    }
}
