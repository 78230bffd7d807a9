//! What the fuzzers found worth keeping, replayed: inputs that reach different
//! places of the code, and every input that once failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The inputs for one target. The name of each is printed; a failure tells which it was.
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
fn streams_of_the_corpus_are_read_or_refused() {
    let (mut kinds, mut complete, mut refused) = (BTreeSet::new(), 0, 0);
    for bytes in corpus("frames") {
        let found = crate::fuzz::frames::check(&bytes);
        kinds.extend(found.frames.into_keys());
        complete += found.complete;
        refused += found.refused;
    }
    for kind in [0x01, 0x02, 0x03, 0x04, 0x13, 0x14, 0xd0, 0xff] {
        assert!(kinds.contains(&kind), "the corpus has each type of frame: {kinds:x?}");
    }
    assert!(complete > 0 && refused > 0, "and what is none: {complete}, {refused}");
}

#[test]
fn bodies_of_the_corpus_are_read_or_refused() {
    let (mut kinds, mut refused) = (BTreeSet::new(), 0);
    for bytes in corpus("bodies") {
        match crate::fuzz::bodies::check(&bytes) {
            Some(kind) => drop(kinds.insert(kind)),
            None => refused += 1,
        }
    }
    assert_eq!(kinds.len(), 7, "the corpus has each kind of body: {kinds:?}");
    assert!(refused > 0, "and what is none");
}
