use proptest::prelude::*;
use rand_core::SeedableRng;
use visavis_session::identity::Identity;

use super::*;

fn key(seed: u64) -> Fingerprint {
    Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).public().fingerprint()
}

fn ana() -> Contact {
    Contact {
        verified: true,
        strongest: Some(Suite::X25519),
        ..Contact::new("Ana", Some(Address::new("alice.local", 9000)), Some(key(1)))
    }
}

fn some() -> Contacts {
    let mut contacts = Contacts::default();
    contacts.add(ana()).expect("new");
    contacts.add(Contact::new("Ben", Some(Address::new("fe80::1%eth0", 8554)), None)).expect("new");
    contacts.add(Contact::new("Großmutter", None, Some(key(3)))).expect("new");
    contacts
}

#[test]
fn a_file_gives_back_what_was_put_in() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("contacts.toml");
    assert_eq!(Contacts::load(&path).expect("no file, nobody"), Contacts::default());
    some().save(&path).expect("written");
    assert_eq!(Contacts::load(&path).expect("read"), some());
    Contacts::default().save(&path).expect("replaced");
    assert_eq!(Contacts::load(&path).expect("read"), Contacts::default());
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}

#[test]
fn what_a_later_version_wrote_is_kept() {
    let text = "[[contact]]\nname = \"ana\"\naddress = \"alice\"\nring_tone = \"bells\"\n[contact.photo]\nwidth = 3\n";
    let contacts = Contacts::from_toml(text).expect("read");
    let again = contacts.to_toml();
    assert!(again.contains("ring_tone = \"bells\"") && again.contains("width = 3"), "{again}");
    assert_eq!(Contacts::from_toml(&again).expect("read"), contacts);
}

#[test]
fn names_are_found_whatever_their_case() {
    let contacts = some();
    assert_eq!(contacts.named("aNA").map(|c| c.name.as_str()), Some("Ana"));
    assert_eq!(contacts.named("GROẞMUTTER").map(|c| c.name.as_str()), Some("Großmutter"));
    assert_eq!(contacts.named("an"), None);
    assert_eq!(contacts.with_key(&key(3)).map(|c| c.name.as_str()), Some("Großmutter"));
    assert_eq!(contacts.known().count(), 2);
}

#[test]
fn nobody_takes_the_place_of_another() {
    let mut contacts = some();
    let refused = |contacts: &mut Contacts, contact| contacts.add(contact).expect_err("refused").to_string();
    let message = refused(&mut contacts, Contact::new("ANA", None, Some(key(9))));
    assert!(message.contains("visavis contacts remove 'Ana'"), "{message}");
    let message = refused(&mut contacts, Contact::new("Eve", None, Some(key(1))));
    assert!(message.contains("your contact \"Ana\""), "{message}");
    for name in ["", "a:1", "::1", "--json", "a\u{1b}b"] {
        let message = refused(&mut contacts, Contact::new(name, None, Some(key(9))));
        assert!(message.contains("cannot be the name") && !message.contains('\u{1b}'), "{message}");
    }
    assert!(matches!(contacts.add(Contact::new("Eve", None, None)), Err(ContactsError::Nothing)));
    assert_eq!(contacts, some());
}

#[test]
fn remove_and_verify_want_somebody_who_is_there() {
    let mut contacts = some();
    assert!(matches!(contacts.remove("eve"), Err(ContactsError::Unknown(name)) if name == "eve"));
    assert!(matches!(contacts.set_verified("Ben", true), Err(ContactsError::NoKey(_))));
    assert!(contacts.set_verified("großmutter", true).expect("has a key").verified);
    assert!(!contacts.set_verified("ana", false).expect("has a key").verified);
    assert_eq!(contacts.remove("ANA").expect("there").name, "Ana");
    assert_eq!(contacts.list().len(), 2);
}

#[test]
fn a_call_pins_the_key_and_remembers_the_strongest_suite() {
    let mut contacts = some();
    assert_eq!(contacts.learn(Some("ben"), key(2), Suite::X25519), Learned::Pinned);
    let ben = contacts.named("ben").expect("there");
    assert_eq!((ben.key, ben.strongest, ben.verified), (Some(key(2)), Some(Suite::X25519), false));

    assert_eq!(contacts.learn(None, key(2), Suite::X25519MlKem768), Learned::Stronger);
    assert_eq!(contacts.learn(None, key(2), Suite::X25519), Learned::Nothing);
    assert_eq!(contacts.named("ben").expect("there").strongest, Some(Suite::X25519MlKem768));

    // Somebody else at a pinned contact's address changes nothing about the contact.
    let before = contacts.clone();
    assert_eq!(contacts.learn(Some("ben"), key(5), Suite::X25519MlKem768), Learned::Nothing);
    assert_eq!(contacts.learn(None, key(5), Suite::X25519MlKem768), Learned::Nothing);
    assert_eq!(contacts, before);

    // A new contact's address that turns out to belong to somebody known stays without a key.
    contacts.add(Contact::new("Cy", Some(Address::new("cy", 1)), None)).expect("new");
    contacts.learn(Some("cy"), key(2), Suite::X25519);
    assert_eq!(contacts.named("cy").expect("there").key, None);
}

#[test]
fn a_malformed_file_is_named_and_not_touched() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("contacts.toml");
    for (text, hint) in [
        ("[[contact]]\n", "name"),
        ("contact = 3", "contact"),
        ("[[contact]]\nname = \"a\"\n", "needs an address"),
        ("[[contact]]\nname = \"a\"\naddress = \"a:b\"\n", "port"),
        ("[[contact]]\nname = \"a\"\nkey = \"zz\"\n", "key \"zz\""),
        ("[[contact]]\nname = \"a\"\naddress = \"a\"\nverified = true\n", "no key"),
        ("[[contact]]\nname = \"a\"\naddress = \"a\"\nstrongest = \"rot13\"\n", "rot13"),
        ("[[contact]]\nname = \"a\"\naddress = \"a\"\n[[contact]]\nname = \"A\"\naddress = \"a\"\n", "already"),
    ] {
        std::fs::write(&path, text).expect("written");
        let message = Contacts::load(&path).expect_err(text).to_string();
        assert!(message.contains(hint) && message.contains("contacts.toml"), "{text}: {message}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
    }
    std::fs::write(&path, [0xff]).expect("written");
    assert!(matches!(Contacts::load(&path), Err(ContactsError::File(ListError::Malformed { .. }))));
}

#[test]
fn a_pasted_uri_pins_its_key_unless_it_disagrees() {
    let uri = Address { fingerprint: Some(key(1)), ..Address::new("alice", 8554) }.to_uri();
    let contacts = Contacts::from_toml(&format!("[[contact]]\nname = \"a\"\naddress = \"{uri}\"\n")).expect("read");
    assert_eq!(contacts.list()[0].key, Some(key(1)));
    let text = format!("[[contact]]\nname = \"a\"\naddress = \"{uri}\"\nkey = \"{}\"\n", key(2));
    assert!(Contacts::from_toml(&text).expect_err("two keys").contains("another key"));
}

proptest! {
    #[test]
    fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Contacts::from_toml(&text);
        let _ = Contacts::from_toml(&format!("[[contact]]\nname = \"a\"\naddress = \"{text}\"\nkey = '''{text}'''\n"));
    }

    #[test]
    fn whatever_is_added_is_read_back(
        people in proptest::collection::vec(("\\PC{1,20}", any::<bool>(), 1u16.., any::<bool>(), 0usize..5), 0..6)
    ) {
        let suites = [None, Some(Suite::Modp2048), Some(Suite::Modp3072), Some(Suite::X25519), Some(Suite::X25519MlKem768)];
        let mut contacts = Contacts::default();
        for (n, (name, keyed, port, verified, suite)) in people.into_iter().enumerate() {
            let contact = Contact {
                verified: keyed && verified,
                strongest: suites[suite],
                ..Contact::new(name, Some(Address::new("host", port)), keyed.then(|| key(n as u64)))
            };
            let _ = contacts.add(contact);
        }
        prop_assert_eq!(Contacts::from_toml(&contacts.to_toml()), Ok(contacts));
    }
}
