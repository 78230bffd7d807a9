//! The chapter on transports shows code that is compiled and run: every block
//! stands line by line in one of the examples.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_block_of_the_chapter_is_from_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let examples = [read("examples/udp_agent.rs"), read("examples/calls.rs")];
    let chapter = read("../../docs/custom-transport.md");
    let blocks: Vec<&str> = chapter
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("each block ends").0)
        .collect();
    assert!(blocks.len() >= 9, "{}", blocks.len());
    for block in blocks {
        let wanted = lines(block);
        let found = examples
            .iter()
            .any(|example| lines(example).windows(wanted.len()).any(|part| part == wanted));
        assert!(found, "no example has this:\n{block}");
    }
}
