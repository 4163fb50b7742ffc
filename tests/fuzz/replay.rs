//! Gives every fuzz target its corpus, and each entry again in many changed forms: what `cargo fuzz` has found stays found, without
//! it being there.

use std::collections::BTreeSet;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

mod targets;

use targets::TARGETS;

/// Changed forms of each entry.
const CHANGES: usize = 150;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}

/// Some bytes changed, taken out, put in twice or exchanged with those of `other`.
fn changed(rng: &mut ChaCha8Rng, entry: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = entry.to_vec();
    for _ in 0..=rng.next_u32() % 3 {
        let at = rng.next_u32() as usize % (bytes.len() + 1);
        let end = (at + rng.next_u32() as usize % 16).min(bytes.len());
        match rng.next_u32() % 7 {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (rng.next_u32() % 8)),
            2 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = [0, 1, 0x7f, 0x80, 0xff][rng.next_u32() as usize % 5]),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            5 => {
                let from = rng.next_u32() as usize % (other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.insert(at, rng.next_u32() as u8),
        }
    }
    bytes
}

#[test]
fn nothing_in_the_corpora_nor_near_it_does_harm() {
    for (name, target) in TARGETS {
        let entries = corpus(name);
        assert!(!entries.is_empty(), "{name} has a corpus");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        target(&[]);
        for entry in &entries {
            target(entry);
            for _ in 0..CHANGES {
                let other = &entries[rng.next_u32() as usize % entries.len()];
                target(&changed(&mut rng, entry, other));
            }
        }
    }
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folders = std::fs::read_dir(folder.join("corpus")).expect("corpora");
    let corpora: BTreeSet<_> =
        folders.map(|entry| entry.expect("a folder").file_name().into_string().expect("a name")).collect();
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(corpora, names);
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    let programs: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .collect();
    assert!(names.is_subset(&programs), "{names:?} in {programs:?}");
}
