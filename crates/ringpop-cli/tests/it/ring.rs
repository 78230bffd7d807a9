//! The offline tool: rings from files of backends.

mod bad_input;
mod diff;
mod ownership;
mod pick;
mod placements;
mod plan;

use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::process::ringpop;

/// Three backends with everything that a file can say, one of them not healthy.
const BACKENDS: &str = r#"[
    {"id": "cache-2", "zone": "b"},
    {"id": "cache-1", "weight": 2, "healthy": true, "zone": "a"},
    {"id": "cache-4", "healthy": false, "zone": "b"},
    {"id": "cache-3", "zone": "a"}
]"#;

/// A directory with files, which goes away with its test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    fn with(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).expect("the directory takes a file");
        self.named(name)
    }

    /// The path of a file that may not exist.
    fn named(&self, name: &str) -> String {
        self.path(name).to_str().expect("the path is text").to_owned()
    }
}

/// Runs `ringpop ring` with `input` as its standard input.
async fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = ringpop(&[&["ring"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let feed = async move {
        // A command that does not read its input may end first.
        let _ = stdin.write_all(input).await;
    };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = timeout(PATIENCE, both).await;
    output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).expect("an exit code")
}

/// What a run that succeeds writes.
async fn text_with(arguments: &[&str], input: &[u8]) -> String {
    let output = run_with(arguments, input).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    assert_eq!(stderr, "", "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn text(arguments: &[&str]) -> String {
    text_with(arguments, b"").await
}

/// The one JSON object that a run writes.
async fn json(arguments: &[&str]) -> Value {
    let text = text(arguments).await;
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn array<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("{field} is a list: {value}"))
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("{field} is a number: {value}"))
}

/// A count of places, which is text because it may need more than 53 bits.
fn places(value: &Value) -> u128 {
    let text = value["places"].as_str().unwrap_or_else(|| panic!("places is text: {value}"));
    text.parse().expect("a number")
}
