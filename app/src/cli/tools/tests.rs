use visavis_session::identity::Fingerprint;

use super::*;
use crate::cli::output::Style;
use crate::cli::output::tests::screen;
use crate::exit::Exit;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsq";

fn profile() -> (tempfile::TempDir, Profile) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let profile = Profile::open(Some(dir.path().to_owned())).expect("opened");
    (dir, profile)
}

fn add(name: &str, address: Option<&str>, key: Option<&str>) -> args::Contacts {
    args::Contacts::Add {
        name: name.to_owned(),
        address: address.map(str::to_owned),
        key: key.map(|key| key.parse().expect("a fingerprint")),
    }
}

fn said(profile: &Profile, style: Style, command: args::Contacts) -> Result<String, Failure> {
    let (screen, out, _) = screen(style);
    contacts(profile, command, &screen).map(|()| out.text())
}

#[test]
fn contacts_come_and_go() {
    let (_dir, profile) = profile();
    let say = |command| said(&profile, Style::Plain, command).expect("done");
    assert!(say(args::Contacts::List).contains("contacts add"));
    say(add("Ana", Some(&format!("visavis://alice:9000/whoever#{KEY}")), None));
    say(add("Ben", Some("192.0.2.7"), None));
    let verify = |undo| args::Contacts::Verify { name: "ana".to_owned(), undo };
    assert!(say(verify(false)).contains("Ana · verified"));
    insta::assert_snapshot!(say(args::Contacts::List).replace("  \n", "\n"));
    assert!(say(verify(true)).contains("Ana · not verified yet"));
    say(args::Contacts::Remove { name: "BEN".to_owned() });
    assert_eq!(profile.contacts().expect("read").list().len(), 1);
    let json = said(&profile, Style::Json, args::Contacts::List).expect("done");
    assert_eq!(json.lines().count(), 1);
    assert!(json.starts_with("{") && json.contains(KEY), "{json}");
}

#[test]
fn wrong_requests_are_usage_and_change_nothing() {
    let (_dir, profile) = profile();
    said(&profile, Style::Plain, add("Ana", Some("alice"), Some(KEY))).expect("done");
    let before = profile.contacts().expect("read");
    let other = Fingerprint::from_bytes([7; 32]).to_string();
    for command in [
        add("ana", Some("x"), None),
        add("Eve", None, Some(KEY)),
        add("Eve", None, None),
        add("Eve", Some("a:b"), None),
        add("Eve", Some(&format!("visavis://x#{KEY}")), Some(&other)),
        args::Contacts::Remove { name: "Eve".to_owned() },
        args::Contacts::Verify { name: "Eve".to_owned(), undo: false },
    ] {
        let failure = said(&profile, Style::Plain, command).expect_err("refused");
        assert_eq!(failure.exit(), Exit::Usage, "{failure}");
    }
    assert_eq!(profile.contacts().expect("read"), before);
}

#[test]
fn the_identity_is_shown_and_stays() {
    let (_dir, profile) = profile();
    let show = |style, name: Option<&str>| {
        let (screen, out, _) = screen(style);
        let args = args::Identity { name: name.map(str::to_owned), port: 9000 };
        identity(&profile, &args, &screen).map(|()| out.text())
    };
    let text = show(Style::Json, Some("Ana B")).expect("made");
    let value: serde_json::Value = serde_json::from_str(&text).expect("one object");
    let own: Fingerprint = value["fingerprint"].as_str().expect("text").parse().expect("a fingerprint");
    for address in value["addresses"].as_array().expect("a list") {
        let address: Address = address.as_str().expect("text").parse().expect("an address");
        assert_eq!((address.port, address.name.as_deref(), address.fingerprint), (9000, Some("Ana B"), Some(own)));
    }
    assert!(show(Style::Plain, None).expect("read").contains(&format!("{own:#}")));
    assert!(show(Style::Plain, Some("a/b")).is_err());
}

#[test]
fn devices_are_listed_by_the_option_that_takes_them() {
    let devices = Devices { microphones: vec!["Mic \u{1b}[2J".to_owned()], ..Devices::default() };
    let (plain, out, _) = screen(Style::Plain);
    list_devices(&devices, &plain);
    insta::assert_snapshot!(out.text());
    let (json, out, _) = screen(Style::Json);
    list_devices(&devices, &json);
    assert_eq!(out.text().lines().count(), 1);
}
