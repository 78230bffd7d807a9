//! What the fuzzers found worth keeping, replayed: inputs that reach different places of the code,
//! and every input that once failed.

#![cfg(feature = "direct")]
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test that cannot go on panics; the fuzzers use what is shared as well"
)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fuzz::call::End;

/// The inputs for one target. The name of each is printed, so a failure tells which it was.
fn corpus(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "only {} files", files.len());
    files.into_iter().map(|file| {
        println!("{}", file.display());
        fs::read(file).unwrap()
    })
}

#[test]
fn calls_of_the_corpus_are_handled_sent_on_or_refused() {
    let ends: BTreeSet<_> = corpus("call").map(|bytes| fuzz::call::check(&bytes)).collect();
    for end in [End::Here, End::There(1), End::There(2), End::There(4)] {
        assert!(ends.contains(&end), "the corpus has each end: {ends:?}");
    }
    for code in [tonic::Code::InvalidArgument, tonic::Code::FailedPrecondition] {
        assert!(ends.contains(&End::Refused(code.into())), "the corpus has each end: {ends:?}");
    }
}

#[test]
fn direct_requests_of_the_corpus_are_handled_or_refused() {
    let keys: BTreeSet<_> = corpus("direct").map(|bytes| fuzz::direct::check(&bytes)).collect();
    assert!(keys.contains(&None) && keys.contains(&Some(1)) && keys.len() > 3, "{keys:?}");
}
