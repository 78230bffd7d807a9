//! What `docs/migration.md` promises of ringpop-go's interface: each name is used in a test.

use std::collections::BTreeSet;

use super::File;
use super::examples::examples;

const PAGE: &str = "docs/migration.md";

/// The section whose tables have ringpop-go's names on the left and ours on the right.
const SECTION: &str = "\n## ringpop-go's interface";

/// Names on the right that stand for something other than code of ours.
const NOT_CODE: &[&str] = &["k", "proto", "tracing", "v"];

/// The crates whose tests and examples count.
const CRATES: &[&str] = &[
    "crates/ringpop/",
    "crates/ringpop-build/",
    "crates/ringpop-discovery/",
    "crates/ringpop-forward/",
    "crates/hashring/",
    "crates/swim-core/",
];

/// Names of the page that no test and no example uses.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let used = used(files);
    let names = names(&page.text);
    if names.is_empty() {
        return vec![format!("{PAGE}: the tables of ringpop-go's interface are missing")];
    }
    let unused = names.difference(&used);
    unused.map(|name| format!("{PAGE}: no test and no example uses {name}")).collect()
}

/// Each word of code in the last column of the tables.
fn names(page: &str) -> BTreeSet<String> {
    let section = page.split_once(SECTION).map_or("", |(_, section)| section);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    // A bar within code is escaped.
    let cells = rows.filter_map(|row| {
        let row = row.replace("\\|", " ");
        row.trim_end_matches('|').rsplit_once('|').map(|(_, ours)| ours.to_owned())
    });
    let code = |cell: String| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    cells.flat_map(code).flat_map(|code| words(&code)).collect()
}

/// The words of the tests and examples of our crates.
fn used(files: &[File]) -> BTreeSet<String> {
    let ours = files.iter().filter(|file| CRATES.iter().any(|own| file.path.starts_with(own)));
    let text = |file: &File| {
        let is_test = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
        let is_example = file.path.contains("/examples/") || file.path.contains("/tutorial/");
        if file.is_rust() && (is_test || is_example) {
            return file.text.clone();
        }
        let unit_tests = file.text.split_once("#[cfg(test)]\nmod tests {");
        examples(file) + unit_tests.map_or("", |(_, tests)| tests)
    };
    ours.flat_map(|file| words(&text(file))).collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    words.filter(is_name).filter(|word| !NOT_CODE.contains(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_name_that_nothing_uses_is_found() {
        let page = "\n## ringpop-go's interface, and where it is here\n\n| ringpop-go | here |\n|---|---|\n\
                    | `Lookup` | `lookup`, `Ring::walk` |\n| `A\\|B` | `shown` |\n\n## More\n\n| `C` | `other` |\n";
        let test = file("crates/ringpop/tests/it/a.rs", "member.lookup(key); Ring::new()");
        let example = file(
            "crates/hashring/src/ring.rs",
            "/// ```\n/// ring.shown();\n/// ```\nfn walk() {}\n",
        );
        let breaches = check(&[file(PAGE, page), test, example]);
        assert_eq!(breaches, ["docs/migration.md: no test and no example uses walk"]);
        assert_eq!(check(&[file(PAGE, "")]).len(), 1);
    }
}
