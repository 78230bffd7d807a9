//! The rules that the architecture states, each with what holds it.

use std::sync::LazyLock;

use regex::Regex;

use super::File;

const PAGE: &str = "docs/architecture.md";

/// The section with a table of rules and the tests that hold them.
const TABLE: &str = "## What holds the invariants";

static RULE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^\* \*\*([^*]+)\*\*").expect("the pattern is a constant"));

static TEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"`([\w/.-]+\.rs)::(\w+)`").expect("the pattern is a constant"));

/// Rules without a row in the table, rows without a holder, and tests that are not there.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is not there")];
    };
    let rows = rows(&page.text);
    let mut breaches = Vec::new();
    for rule in RULE.captures_iter(&page.text).filter_map(|found| found.get(1)) {
        // The page breaks lines within a rule.
        let rule = rule.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
        match rows.iter().find(|(name, _)| *name == rule) {
            None => breaches.push(format!("{PAGE}: nothing holds the rule {rule:?}")),
            Some((_, holders)) if holders.contains("cargo xtask tidy") => {}
            Some((_, holders)) => breaches.extend(missing_tests(files, &rule, holders)),
        }
    }
    breaches
}

fn rows(page: &str) -> Vec<(&str, &str)> {
    let lines = page.lines().skip_while(|line| *line != TABLE).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("## "));
    lines
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .collect()
}

fn missing_tests(files: &[File], rule: &str, holders: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut tests = 0;
    for test in TEST.captures_iter(holders) {
        tests += 1;
        let (path, name) = (&test[1], &test[2]);
        let file = files.iter().find(|file| file.path == path);
        if !file.is_some_and(|file| file.text.contains(&format!("fn {name}("))) {
            breaches.push(format!("{PAGE}: {path} has no test {name}, which holds {rule:?}"));
        }
    }
    if tests == 0 {
        breaches.push(format!("{PAGE}: no test holds the rule {rule:?}"));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_a_test_that_exists() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let page = "* **A is\n  so.** Because.\n* **B.** Too.\n* **C.**\n* **D.**\n\n## What holds the invariants\n\n\
                    | rule | held by |\n|---|---|\n| A is so. | `crates/a/tests/it/x.rs::a` |\n\
                    | B. | `crates/a/tests/it/x.rs::b` |\n| C. | `cargo xtask tidy` |\n";
        let files = [file(PAGE, page), file("crates/a/tests/it/x.rs", "fn a() {}")];
        assert_eq!(
            check(&files),
            [
                "docs/architecture.md: crates/a/tests/it/x.rs has no test b, which holds \"B.\"",
                "docs/architecture.md: nothing holds the rule \"D.\"",
            ]
        );
    }
}
