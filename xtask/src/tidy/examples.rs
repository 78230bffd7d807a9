//! Examples that run: at the beginning of each crate, and for each method of the main types.

use std::sync::LazyLock;

use regex::Regex;

use super::File;

/// The types that applications hold, each of whose methods an example shows.
const MAIN_TYPES: &[(&str, &str)] = &[
    ("hashring", "Ring"),
    ("hashring", "Selector"),
    ("swim-core", "Node"),
    ("ringpop-forward", "Forwarder"),
    ("ringpop-forward", "Builder"),
    ("ringpop", "Ringpop"),
    ("ringpop", "Builder"),
];

/// Lines of the program with which the documentation of a crate begins.
const PROGRAM_LINES_MAX: usize = 30;

static METHOD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^    pub (?:const )?(?:async )?fn (\w+)").expect("the pattern is a constant")
});

/// Breaches of the rules about examples.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut breaches: Vec<String> = files.iter().filter_map(program).collect();
    for (package, name) in MAIN_TYPES {
        breaches.extend(methods_without_example(files, package, name));
    }
    breaches
}

/// The documentation of a library begins with a short program that the tests run.
fn program(file: &File) -> Option<String> {
    let package = file.path.strip_prefix("crates/")?.strip_suffix("/src/lib.rs")?;
    if package.contains('/') {
        return None;
    }
    let docs = file.text.lines().map_while(|line| line.strip_prefix("//!"));
    let (info, lines) = first_block(docs)?;
    let fault = if !matches!(info.as_str(), "" | "rust") {
        format!("begins with a block of {info}, which no test runs")
    } else if lines > PROGRAM_LINES_MAX {
        format!("begins with a program of {lines} lines, at most {PROGRAM_LINES_MAX}")
    } else {
        return None;
    };
    Some(format!("{}: the documentation {fault}", file.path))
}

/// What stands behind the fence of the first block, and how many lines it has. A documentation
/// without one has an empty one in a language that is none.
fn first_block<'a>(lines: impl Iterator<Item = &'a str>) -> Option<(String, usize)> {
    let mut lines = lines.map(str::trim).skip_while(|line| !line.starts_with("```"));
    let Some(fence) = lines.next() else { return Some(("nothing".to_owned(), 0)) };
    let info = fence.trim_start_matches('`').to_owned();
    Some((info, lines.take_while(|line| !line.starts_with("```")).count()))
}

/// The public methods of a type that no example of its crate calls.
fn methods_without_example(files: &[File], package: &str, name: &str) -> Vec<String> {
    let own = format!("crates/{package}/");
    let own: Vec<&File> = files.iter().filter(|file| file.path.starts_with(&own)).collect();
    let examples: String = own.iter().map(|file| examples(file)).collect();
    let mut breaches = Vec::new();
    for file in own.iter().filter(|file| file.is_rust() && file.path.contains("/src/")) {
        for method in methods(&file.text, name) {
            let called = [".", "::"].iter().any(|before| {
                ["(", "::<"]
                    .iter()
                    .any(|after| examples.contains(&format!("{before}{method}{after}")))
            });
            if !called {
                breaches.push(format!("{}: no example calls {name}::{method}", file.path));
            }
        }
    }
    breaches
}

/// The blocks of code in doc comments, or in a page of the crate.
pub(super) fn examples(file: &File) -> String {
    let is_page = file.is_page();
    let (mut text, mut fenced) = (String::new(), false);
    for line in file.text.lines().map(str::trim_start) {
        let line = if is_page {
            line
        } else if let Some(line) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            line.trim_start()
        } else {
            fenced = false;
            continue;
        };
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The public methods in the `impl` blocks of a type, but for those that the documentation hides.
fn methods<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (mut found, mut inside, mut hidden) = (Vec::new(), false, false);
    for line in source.lines() {
        if line.starts_with("impl") {
            inside = is_of(line, name);
        } else if line == "}" {
            inside = false;
        } else if !inside {
            continue;
        } else if let Some(method) = METHOD.captures(line).and_then(|found| found.get(1)) {
            if !hidden {
                found.push(method.as_str());
            }
            hidden = false;
        } else if line.trim().is_empty() {
            hidden = false;
        } else {
            hidden |= line.contains("doc(hidden)");
        }
    }
    found
}

/// Whether an `impl` is one of a type's own methods, with or without parameters.
fn is_of(line: &str, name: &str) -> bool {
    let Some((generics, of)) = line.split_once(&format!(" {name}")) else { return false };
    let is_name = of.starts_with(['<', ' ']) || of.is_empty();
    is_name && !generics.contains(" for") && !of.contains(" for ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_crate_begins_with_a_short_program_that_runs() {
        let lib = |text: &str| program(&file("crates/a/src/lib.rs", text));
        assert_eq!(lib("//! A.\n//!\n//! ```\n//! let a = 1;\n//! ```\n"), None);
        assert!(lib("//! A.\n").unwrap().contains("nothing"));
        assert!(lib("//! ```no_run\n//! ```\n").unwrap().contains("no_run"));
        let long = format!("//! ```\n{}//! ```\n", "//! x();\n".repeat(PROGRAM_LINES_MAX + 1));
        assert!(lib(&long).unwrap().contains("31 lines"));
    }

    #[test]
    fn methods_of_a_main_type_are_called_in_examples() {
        let source = "/// ```\n/// node.join(now);\n/// ```\nimpl<S> Node<S> {\n    pub fn join(&self) {\n    \
                      }\n\n    pub const fn leave(&self) {\n    }\n\n    #[doc(hidden)]\n    pub fn bug(&self) {\n    \
                      }\n}\nimpl Other for Node {\n    pub fn other() {}\n}\nimpl NodeBuilder {\n    pub fn b() {}\n}\n";
        let files = [file("crates/swim-core/src/node.rs", source)];
        assert_eq!(
            methods_without_example(&files, "swim-core", "Node"),
            ["crates/swim-core/src/node.rs: no example calls Node::leave"]
        );
        let readme = file("crates/swim-core/README.md", "```rust\nnode.leave(now);\n```\n");
        let [node] = files;
        assert_eq!(methods_without_example(&[node, readme], "swim-core", "Node"), [""; 0]);
    }
}
