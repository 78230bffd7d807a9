//! Words that the glossary retires, and crates that others must not use.

use std::sync::LazyLock;

use regex::Regex;

use super::File;

const GLOSSARY: &str = "docs/glossary.md";

/// The section of the glossary with a table of words and what to say instead.
const RETIRED: &str = "## Retired words";

/// Files that name retired words: they say which, or what was once called so.
const EXEMPT: &[&str] = &[GLOSSARY, "CHANGELOG.md", "xtask/src/tidy/words.rs"];

/// Crates that the sources of a crate must not name, `tests.rs` aside.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("hashring", &["tokio", "tonic", "hyper", "h2", "http", "prost", "fastrand", "tracing"]),
    ("swim-core", &["tokio", "tonic", "hyper", "h2", "http", "fastrand", "getrandom"]),
    ("swim-sim", &["tokio", "fastrand", "getrandom"]),
    ("swim-driver", &["tonic", "hyper", "h2", "http"]),
    ("ringpop-forward", &["swim_core", "swim_driver", "ringpop_discovery"]),
    ("ringpop-discovery", &["swim_core", "swim_driver", "ringpop_forward"]),
];

/// Crates that take the time from their callers.
const WITHOUT_CLOCK: &[&str] = &["hashring", "swim-core"];

static NAMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b([a-z]\w*)::").expect("the pattern is a constant"));

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(Instant|SystemTime)::now\(").expect("the pattern is a constant")
});

static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\w+").expect("the pattern is a constant"));

/// Breaches of the rules about words and crates.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let glossary = files.iter().find(|file| file.path == GLOSSARY);
    let retired = glossary.map(|file| retired(&file.text)).unwrap_or_default();
    let mut breaches = Vec::new();
    if retired.is_empty() {
        breaches.push(format!("{GLOSSARY}: no table below {RETIRED:?}"));
    }
    for file in files {
        if (file.is_rust() || file.is_page()) && !EXEMPT.contains(&file.path.as_str()) {
            breaches.extend(retired_words(file, &retired));
        }
        breaches.extend(forbidden_crates(file));
        breaches.extend(link(file));
    }
    breaches
}

/// A word that is not used any more.
#[derive(Debug, PartialEq, Eq)]
struct Retired {
    word: String,
    instead: String,
    /// Whether only this identifier is meant; otherwise the word as a part of any name or text.
    is_identifier: bool,
}

/// The rows of the table: words or `identifiers` with commas between them, and what to say.
fn retired(glossary: &str) -> Vec<Retired> {
    let rows = glossary.lines().skip_while(|line| *line != RETIRED).skip(1);
    let rows = rows.take_while(|line| !line.starts_with("## "));
    let rows =
        rows.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let rows = rows.skip(1).filter(|(words, _)| !words.starts_with("---"));
    rows.flat_map(|(words, instead)| {
        words.split(", ").map(move |word| Retired {
            word: word.trim_matches('`').to_owned(),
            instead: instead.to_owned(),
            is_identifier: word.starts_with('`'),
        })
    })
    .collect()
}

/// Readers of a crate find the glossary.
fn link(file: &File) -> Option<String> {
    let package = file.path.strip_prefix("crates/")?.strip_suffix("/README.md")?;
    let is_missing = !package.contains('/') && !file.text.contains(GLOSSARY);
    is_missing.then(|| format!("{}: link {GLOSSARY}", file.path))
}

fn retired_words(file: &File, retired: &[Retired]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for token in TOKEN.find_iter(line).map(|token| token.as_str()) {
            let found = retired.iter().find(|retired| {
                if retired.is_identifier {
                    file.is_rust() && token == retired.word
                } else {
                    parts(token).any(|part| part.eq_ignore_ascii_case(&retired.word))
                }
            });
            if let Some(Retired { word, instead, .. }) = found {
                let line = index + 1;
                breaches.push(format!("{}:{line}: {word} is called {instead}", file.path));
            }
        }
    }
    breaches
}

/// The words of an identifier in snake or camel case.
fn parts(token: &str) -> impl Iterator<Item = &str> {
    token.split('_').flat_map(|part| {
        let upper = |(place, letter): (usize, char)| letter.is_uppercase().then_some(place);
        let starts: Vec<usize> = part.char_indices().skip(1).filter_map(upper).collect();
        // In capitals all is one word.
        let starts = if part.chars().any(char::is_lowercase) { starts } else { Vec::new() };
        let ends: Vec<usize> = starts.iter().copied().chain([part.len()]).collect();
        let starts = std::iter::once(0).chain(starts);
        starts.zip(ends).map(move |(start, end)| &part[start..end]).collect::<Vec<_>>()
    })
}

/// Names of crates, and clocks, where a crate must not know them. Tests may.
fn forbidden_crates(file: &File) -> Vec<String> {
    let Some((package, path)) =
        file.path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"))
    else {
        return Vec::new();
    };
    if path.ends_with("tests.rs") || path.ends_with("models.rs") || !file.is_rust() {
        return Vec::new();
    }
    let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == package).map(|(_, list)| *list);
    let is_without_clock = WITHOUT_CLOCK.contains(&package);
    let mut breaches = Vec::new();
    let code = file.text.lines().enumerate();
    // Unit tests are at the end of a file.
    let code = code.take_while(|(_, line)| *line != "#[cfg(test)]");
    for (index, line) in code.filter(|(_, line)| !line.trim_start().starts_with("//")) {
        let line_number = index + 1;
        for name in NAMED.captures_iter(line).filter_map(|found| found.get(1)) {
            if forbidden.is_some_and(|list| list.contains(&name.as_str())) {
                let name = name.as_str();
                breaches
                    .push(format!("{}:{line_number}: {package} must not use {name}", file.path));
            }
        }
        if is_without_clock && CLOCK.is_match(line) {
            breaches.push(format!("{}:{line_number}: {package} reads no clock", file.path));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    const TABLE: &str = "# Glossary\n\n## Retired words\n\n| not | but |\n|---|---|\n\
                         | grave, `Door` | removed member |\n\n## Next\n\n| a | b |\n";

    #[test]
    fn retired_words_come_from_the_glossary() {
        let words = retired(TABLE);
        assert_eq!(words.len(), 2);
        let found = |text: &str| retired_words(&file("crates/a/src/x.rs", text), &words).len();
        assert_eq!(found("let grave_count = Graveyard::new(GRAVE, theGrave);"), 3);
        assert_eq!(found("struct Door; // a door, DoorBell"), 1);
        let page = retired_words(&file("docs/x.md", "A Grave thing. A Door."), &words);
        assert_eq!(page, ["docs/x.md:1: grave is called removed member"]);
    }

    #[test]
    fn crates_and_clocks_are_named_where_they_may_be() {
        let found = |path: &str, text: &str| forbidden_crates(&file(path, text)).len();
        assert_eq!(found("crates/swim-core/src/node.rs", "use tokio::net;\n// tokio::net"), 1);
        assert_eq!(found("crates/swim-core/src/node.rs", "let now = Instant::now();"), 1);
        assert_eq!(found("crates/hashring/src/health/tests.rs", "Instant::now();"), 0);
        assert_eq!(found("crates/hashring/src/x.rs", "#[cfg(test)]\nInstant::now();"), 0);
        assert_eq!(found("crates/ringpop/src/x.rs", "use tokio::net;\nInstant::now();"), 0);
        assert_eq!(found("crates/ringpop-forward/src/x.rs", "use swim_core::Node;"), 1);
    }
}
