use std::fs;
use std::os::unix::fs::PermissionsExt;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn profile() -> (tempfile::TempDir, Profile) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let profile = Profile::open(Some(home.path().join("deep/er"))).expect("a fresh profile");
    (home, profile)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn the_first_run_makes_an_identity_and_later_ones_keep_it() {
    let (_home, profile) = profile();
    let first = profile.identity(&mut rng(1)).expect("made").public().fingerprint();
    let second = profile.identity(&mut rng(2)).expect("read").public().fingerprint();
    assert_eq!(first, second);
    assert_eq!(mode(profile.dir()), 0o700);
    assert_eq!(mode(&profile.key_path()), 0o600);
    // Nothing half-written stays behind.
    assert_eq!(fs::read_dir(profile.dir()).expect("readable").count(), 1);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_remedy() {
    let (_home, profile) = profile();
    profile.identity(&mut rng(1)).expect("made");
    for wide in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(profile.key_path(), fs::Permissions::from_mode(wide)).expect("ours");
        let error = profile.identity(&mut rng(1)).expect_err("too open");
        assert!(matches!(error, ProfileError::TooOpen { mode, .. } if mode == wide), "{error}");
        let command = format!("chmod 600 '{}'", profile.key_path().display());
        assert!(error.to_string().contains(&command), "{error}");
    }
    fs::set_permissions(profile.key_path(), fs::Permissions::from_mode(0o400)).expect("ours");
    profile.identity(&mut rng(1)).expect("narrower is fine");
}

#[test]
fn what_is_no_key_is_neither_used_nor_replaced() {
    let long = format!("{KEY_LABEL} {}", "A".repeat(2000));
    let short = format!("{KEY_LABEL} {}", BASE64.encode(&[1; 31]));
    for contents in [&b""[..], b"\xff\xfe", b"ssh-ed25519 AAAA", short.as_bytes(), long.as_bytes()] {
        let (_home, profile) = profile();
        write_whole(&profile.key_path(), contents, Existing::Keep, Readers::Owner).expect("written");
        let error = profile.identity(&mut rng(1)).expect_err("no key");
        assert!(matches!(error, ProfileError::NotAKey(_)), "{error}");
        assert_eq!(fs::read(profile.key_path()).expect("still there"), contents);
    }
}

#[test]
fn of_two_first_runs_at_once_one_identity_remains() {
    let (_home, profile) = profile();
    let fingerprints: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2)
            .map(|seed| {
                let profile = profile.clone();
                scope.spawn(move || profile.identity(&mut rng(seed)).map(|identity| identity.public().fingerprint()))
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect()
    });
    let kept = profile.identity(&mut rng(9)).expect("there").public().fingerprint();
    for fingerprint in fingerprints {
        assert_eq!(fingerprint.expect("both have one"), kept);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let file = home.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Profile::open(Some(file.join("below"))).expect_err("below a file");
    assert!(error.to_string().contains("file/below"), "{error}");
}

#[test]
fn contacts_are_written_only_when_something_changed() {
    let (_home, profile) = profile();
    profile.change_contacts(|_| false).expect("nothing to do");
    assert!(!profile.contacts_path().exists());
    profile.change_contacts(|_| true).expect("written");
    assert_eq!(mode(&profile.contacts_path()), 0o600);
}

#[test]
fn of_many_who_write_contacts_at_once_all_are_heard() {
    use crate::contacts::Contact;
    let (_home, profile) = profile();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let profile = profile.clone();
            scope.spawn(move || {
                for turn in 0..4 {
                    let address = crate::address::Address::new("host", 8554);
                    let contact = Contact::new(format!("{writer} {turn}"), Some(address), None);
                    profile.change_contacts(|contacts| contacts.add(contact).is_ok()).expect("written");
                }
            });
        }
    });
    assert_eq!(profile.contacts().expect("read").list().len(), 32);
}
