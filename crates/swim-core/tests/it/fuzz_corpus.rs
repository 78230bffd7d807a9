//! What the fuzzers found worth keeping, replayed: inputs that reach different
//! places of the code, and every input that once failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::fuzz::ops::Sequence;
use crate::fuzz::world::{Way, trace};
use crate::support::kind;
use arbitrary::{Arbitrary, Unstructured};
use swim_core::wire;

/// The inputs for one target. The name of each is printed, so that a failure
/// tells which it was.
fn corpus(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 50, "only {} files", files.len());
    files.into_iter().map(|file| {
        println!("{}", file.display());
        fs::read(file).unwrap()
    })
}

#[test]
fn bytes_of_the_corpus_are_decoded_or_refused() {
    let (mut kinds, mut refused, mut dropped) = (BTreeSet::new(), 0, 0);
    for bytes in corpus("decode") {
        crate::fuzz::decode::check(&bytes);
        match wire::decode(&bytes) {
            Ok(decoded) => {
                kinds.insert(kind(&decoded.message.body));
                dropped += decoded.dropped_changes;
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(kinds.len(), 10, "the corpus has each kind of message: {kinds:?}");
    assert!(refused > 0 && dropped > 0, "and what is none: {refused}, {dropped}");
}

#[test]
fn sequences_of_the_corpus_keep_the_invariants_and_end_in_agreement() {
    for bytes in corpus("sequence") {
        let sequence = Sequence::arbitrary(&mut Unstructured::new(&bytes));
        // What the fuzzer would not run either: too few bytes.
        let Ok(sequence) = sequence else { continue };
        crate::fuzz::world::run(&sequence);
        crate::fuzz::settle::run(&sequence);
        let [decoded, packets] = [Way::Decoded, Way::Packet].map(|way| trace(&sequence, way));
        assert_eq!(decoded, packets);
    }
}
