//! Every code block of the README and the documentation is compiled, compared or run, or says why
//! not.
//!
//! Rust blocks are doctests: of the crate whose readme they stand in, or of this one. Before any
//! other block stands a comment that says how it is checked:
//!
//! * `<!-- file: PATH -->`: its lines are in that file;
//! * `<!-- run -->`: its commands succeed, and what they print is what stands below a line with
//!   `$`;
//! * `<!-- not run: REASON -->`: nobody checks it. The test counts those and prints the reasons.
//!
//! Pictures of text (`text`) are no code. The tutorial's blocks are run in order by `page.rs`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::pages::{Block, blocks, ringpop};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

/// Pages for readers, but for the changelog and what stands beside fuzz targets.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for (directory, readme) in [("docs", None), ("crates", Some("README.md"))] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let path = readme.map(|readme| path.join(readme)).unwrap_or(path);
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            if is_page && path.is_file() {
                pages.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    pages.sort();
    pages
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// How the blocks of a page are checked: those that nobody checks, with their reasons, and those
/// that ask for nothing.
#[derive(Default)]
struct Findings {
    excused: Vec<String>,
    faults: Vec<String>,
    checked: usize,
}

#[test]
fn every_block_is_checked_or_says_why_not() {
    let mut findings = Findings::default();
    for page in pages() {
        for block in blocks(&read(&page).unwrap()) {
            let place = format!("{page}:{}", block.line);
            check(&page, &place, &block, &mut findings);
        }
    }
    for reason in &findings.excused {
        println!("not run: {reason}");
    }
    println!("{} blocks checked, {} not run", findings.checked, findings.excused.len());
    assert!(findings.faults.is_empty(), "{}", findings.faults.join("\n"));
    assert!(findings.checked > 50, "{} blocks are checked", findings.checked);
}

fn check(page: &str, place: &str, block: &Block, findings: &mut Findings) {
    let fault = match (block.language.as_str(), block.directive.as_str()) {
        ("text", _) => None,
        ("rust" | "rust,no_run", _) => (!is_doctest(page)).then(|| "is no doctest".to_owned()),
        (_, directive) => match directive.split_once(": ") {
            Some(("not run", reason)) => {
                findings.excused.push(format!("{place}: {reason}"));
                return;
            }
            Some(("file", file)) => compare(file, block),
            _ if page == "docs/tutorial.md" && !directive.is_empty() => None,
            // The checks run it.
            _ if directive == "test-command" => None,
            _ if directive == "run" => run(block),
            _ => Some("is not checked: put a comment before it that says how".to_owned()),
        },
    };
    findings.checked += 1;
    findings.faults.extend(fault.map(|fault| format!("{place}: {fault}")));
}

/// Whether a crate compiles the Rust blocks of a page.
fn is_doctest(page: &str) -> bool {
    let (library, include) = match page.strip_prefix("crates/") {
        Some(readme) => {
            let (name, _) = readme.split_once('/').unwrap();
            (format!("crates/{name}/src/lib.rs"), "../README.md".to_owned())
        }
        None => ("crates/ringpop/tutorial/src/lib.rs".to_owned(), format!("../../../../{page}")),
    };
    read(&library).is_some_and(|library| library.contains(&format!("include_str!({include:?})")))
}

/// Whether the lines of the block stand together in the file, but for blank ones and however far
/// they are indented.
fn compare(file: &str, block: &Block) -> Option<String> {
    let text = read(file).or_else(|| read(&format!("crates/ringpop/tutorial/{file}")));
    let Some(text) = text else { return Some(format!("{file} does not exist")) };
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (wanted, text) = (lines(&block.lines.join("\n")), lines(&text));
    let is_there = text.windows(wanted.len()).any(|window| window == wanted);
    (!is_there).then(|| format!("{file} does not contain it"))
}

/// Runs the commands of a block beside the files that pages name. What follows a line with `$` is
/// what it prints.
fn run(block: &Block) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let backends = read("docs/backends.json").unwrap();
    std::fs::write(directory.path().join("backends.json"), &backends).unwrap();
    let after = backends.replace(", \"healthy\": false", "");
    std::fs::write(directory.path().join("after.json"), after).unwrap();
    let text = block.lines.join("\n").replace("\\\n", " ");
    let is_session = block.language == "console";
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = if is_session { line.strip_prefix("$ ").unwrap() } else { line };
        let output = shell(line, directory.path());
        if !output.status.success() {
            return Some(format!("`{line}` fails: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut expected = Vec::new();
        while is_session && let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line);
        }
        let printed = String::from_utf8(output.stdout).unwrap();
        if is_session && printed.trim_end() != expected.join("\n").trim_end() {
            return Some(format!("`{line}` prints\n{printed}"));
        }
    }
    None
}

/// Runs a line as a shell would, with the command `ringpop` on its path. `cargo run ... --` stands
/// for it.
fn shell(line: &str, directory: &Path) -> std::process::Output {
    let command = ringpop();
    let by_cargo = "cargo run --release --bin ringpop --";
    let line = line.replace(by_cargo, "ringpop").replace("docs/", "");
    let bin = command.parent().unwrap().to_str().unwrap();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let is_piped = line.contains('|');
    // People get a table of picks, and programs JSON, unless they say what they want.
    let line = if line.contains(" pick ") && !is_piped { format!("{line} --table") } else { line };
    let mut shell = if is_piped {
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]);
        shell
    } else {
        let mut shell = Command::new(&command);
        let words = line.split_whitespace();
        assert_eq!(words.clone().next(), Some("ringpop"), "a command that this test does not know");
        shell.args(words.skip(1));
        shell
    };
    shell.env("PATH", path).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}
