//! `cargo xtask bounds`: the page of all bounds and defaults, from the constants of each crate.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::workspace;

/// The page, relative to the root of the workspace.
const PAGE: &str = "docs/bounds.md";

/// The crates that have bounds, in the order of the page, each with the files that hold them.
const SOURCES: &[(&str, &[&str])] = &[
    ("ringpop", &["crates/ringpop/src/limits.rs"]),
    ("swim-core", &["crates/swim-core/src/limits.rs"]),
    ("swim-driver", &["crates/swim-driver/src/limits.rs"]),
    ("ringpop-forward", &["crates/ringpop-forward/src/limits.rs"]),
    ("hashring", &["crates/hashring/src/limits.rs"]),
    ("ringpop-discovery", &["crates/ringpop-discovery/src/limits.rs"]),
    ("ringpop-tchannel", &["crates/ringpop-tchannel/src/limits.rs"]),
    (
        "ringpop-cli",
        &["crates/ringpop-cli/src/limits.rs", "crates/ringpop-cli/src/commands/ring/limits.rs"],
    ),
];

const HEAD: &str = "\
# Bounds and defaults

Every bound of the crates, with its value and its first reason; the sources say more. `cargo xtask
bounds` writes this page from them, and `cargo xtask tidy` compares it.
";

/// Writes the page.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let text = page(&root)?;
    fs::write(root.join(PAGE), text).with_context(|| format!("cannot write {PAGE}"))
}

/// Fails when the page is not that of the sources.
pub(crate) fn check(root: &Path) -> Result<()> {
    let known = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if known != page(root)? {
        bail!("{PAGE} is not that of the sources; run `cargo xtask bounds`");
    }
    Ok(())
}

fn page(root: &Path) -> Result<String> {
    let mut page = HEAD.to_owned();
    for (name, files) in SOURCES {
        let _ = write!(page, "\n## {name}\n\n| name | value | what for |\n|---|---|---|\n");
        for file in *files {
            let source = fs::read_to_string(root.join(file));
            let source = source.with_context(|| format!("cannot read {file}"))?;
            page.push_str(&rows(&source));
        }
    }
    Ok(page)
}

/// A row for each constant of a file that has a comment and is no name.
fn rows(source: &str) -> String {
    let constant = regex(
        r"(?m)^((?:[ ]*///.*\n)+)(?:[ ]*#\[.*\]\n)*[ ]*(?:pub(?:\(\w+\))? )?const (\w+): ([^=]+?) =\s*([^;]+);",
    );
    let mut rows = String::new();
    for found in constant.captures_iter(source) {
        let is_text = found[3].contains("str") || found[3].contains("HeaderName");
        if is_text {
            continue;
        }
        let (name, value) = (&found[2], shown(&found[4]));
        let _ = writeln!(rows, "| `{name}` | {value} | {} |", first_sentence(&found[1]));
    }
    rows
}

/// A value as people write it, where it is simple; otherwise the expression.
fn shown(expression: &str) -> String {
    let one_line = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    let time = regex(r"^Duration::from_(secs|millis|micros|nanos)\(([^()]+)\)$");
    if let Some(found) = time.captures(&one_line) {
        let unit = match &found[1] {
            "secs" => "s",
            "millis" => "ms",
            "micros" => "µs",
            _ => "ns",
        };
        return match number(&found[2]) {
            Some(number) => format!("{} {unit}", grouped(number)),
            None => format!("`{one_line}`"),
        };
    }
    number(&one_line).map_or_else(|| format!("`{one_line}`"), grouped)
}

/// A product, or a power of two.
fn number(expression: &str) -> Option<u64> {
    let plain = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    if let Some((base, shift)) = expression.split_once("<<") {
        return plain(base)?.checked_shl(u32::try_from(plain(shift)?).ok()?);
    }
    expression.split('*').try_fold(1_u64, |product, text| product.checked_mul(plain(text)?))
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first sentence of a comment, without links.
fn first_sentence(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches("///").trim());
    let text = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let text = regex(r"\[([^\]]+)\](?:\([^)]*\))?").replace_all(&text, "$1").into_owned();
    let end = regex(r"[.:] [A-Z`]|\.$").find(&text).map_or(text.len(), |end| end.start());
    text[..end].replace('|', "\\|")
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_becomes_a_row() {
        let source = "\
/// Members that are [held](crate::held). They are few.
///
/// More.
#[cfg(feature = \"tls\")]
pub(crate) const HELD_MAX: usize = 16 * 1024;

/// A time
/// to wait.
pub const WAIT: Duration = Duration::from_millis(1_500);

/// A name.
pub const NAME: &str = \"name\";

/// Points: as many as there may be.
const POINTS: u32 = 1 << 23;
/// An expression.
const OTHER: usize = (HELD_MAX - 1) / 2;
";
        let expected = "\
| `HELD_MAX` | 16,384 | Members that are held |
| `WAIT` | 1,500 ms | A time to wait |
| `POINTS` | 8,388,608 | Points: as many as there may be |
| `OTHER` | `(HELD_MAX - 1) / 2` | An expression |
";
        assert_eq!(rows(source), expected);
    }
}
