//! Turns of phrase that make comments and pages hard to read, counted.
//!
//! One of them does no harm; a text that is full of them reads like a translation. The limits
//! are the figures of well-written crates of this field.

use std::sync::LazyLock;

use regex::Regex;

use super::File;

/// A turn of phrase and how many of it 10,000 words may have.
struct Phrase {
    name: &'static str,
    pattern: LazyLock<Regex>,
    per_10_000_words: usize,
}

static PHRASES: [Phrase; 3] = [
    Phrase {
        name: "\"what is ...\" in place of a noun",
        pattern: LazyLock::new(|| regex(r"\b[Ww]hat (is|was|has|are|were|had)\b")),
        per_10_000_words: 3,
    },
    Phrase {
        name: "\"who\" or \"whoever\" as a subject",
        pattern: LazyLock::new(|| regex(r"(^|[.;:!?(] )Who\b|; who\b|\b[Ww]hoever\b")),
        per_10_000_words: 1,
    },
    Phrase {
        name: "\"so that\"",
        pattern: LazyLock::new(|| regex(r"\bso that\b")),
        per_10_000_words: 11,
    },
];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

/// One breach for each phrase that comments, or pages, have too often.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust());
    let pages = files.iter().filter(|file| file.is_page());
    let comments: Vec<Text<'_>> =
        rust.map(|file| Text { file, text: comments(&file.text) }).collect();
    let pages: Vec<Text<'_>> =
        pages.map(|file| Text { file, text: outside_fences(file.text.lines()) }).collect();
    [("comments", comments), ("pages", pages)]
        .iter()
        .flat_map(|(kind, texts)| PHRASES.iter().filter_map(|phrase| phrase.check(kind, texts)))
        .collect()
}

/// The prose of a file.
struct Text<'a> {
    file: &'a File,
    text: String,
}

impl Phrase {
    fn check(&self, kind: &str, texts: &[Text<'_>]) -> Option<String> {
        let words: usize = texts.iter().map(|text| text.text.split_whitespace().count()).sum();
        let mut found: Vec<(usize, &str)> = texts
            .iter()
            .map(|text| (self.pattern.find_iter(&text.text).count(), text.file.path.as_str()))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let count: usize = found.iter().map(|(count, _)| count).sum();
        let most = self.per_10_000_words * words / 10_000;
        (count > most).then(|| {
            let worst: Vec<String> =
                found.iter().take(5).map(|(count, path)| format!("{path} {count}")).collect();
            format!("{kind}: {} {count} times, at most {most}: {}", self.name, worst.join(", "))
        })
    }
}

/// The comments of a file, without examples; each block is a paragraph.
fn comments(source: &str) -> String {
    outside_fences(source.lines().map(|line| {
        let comment = line.trim_start().strip_prefix("//").unwrap_or_default();
        comment.trim_start_matches(['/', '!'])
    }))
}

/// Joins the lines of each paragraph; code between fences is left out.
fn outside_fences<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut fenced) = (String::new(), false);
    for line in lines.map(str::trim) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if line.is_empty() {
            text.push('\n');
        } else if !fenced {
            text.push_str(line);
            text.push(' ');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_prose_and_code_is_not() {
        let source =
            "//! One\n//! two.\n\nlet a = 1; // three\n/// ```\n/// four\n/// ```\n// five";
        assert_eq!(comments(source), "One two. \n\nfive ");
    }

    #[test]
    fn a_phrase_is_counted_across_lines_and_against_its_limit() {
        let file = |words: usize| File {
            path: "a.rs".to_owned(),
            text: format!("// so\n// that {}\n", "word ".repeat(words)),
        };
        assert_eq!(check(&[file(10_000)]), Vec::<String>::new());
        assert_eq!(check(&[file(10)]), ["comments: \"so that\" 1 times, at most 0: a.rs 1"]);
    }
}
