//! The one place that writes to standard output: text for people, one JSON object per line for
//! programs.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write as _};

use serde::Serialize;

/// In which form results and events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Text for people.
    Plain,
    /// One JSON object per line.
    Json,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Plain }
    }

    /// Writes one result or event, and says whether somebody still reads.
    pub(crate) fn emit<T: Display + Serialize>(self, item: &T) -> bool {
        let text = match self {
            Self::Plain => item.to_string(),
            Self::Json => {
                serde_json::to_string(item).expect("what is written has string keys and no errors")
            }
        };
        // A reader may go away, as `head` does. That is no failure, but those who only write end.
        writeln!(io::stdout().lock(), "{text}").is_ok()
    }

    /// Before the next answer to the same question: on a terminal it takes the place of the last.
    pub(crate) fn clear(self) {
        if self == Self::Plain && io::stdout().is_terminal() {
            let _ = write!(io::stdout().lock(), "\u{1b}[H\u{1b}[2J");
        }
    }
}

/// Whether this stream shows colours: it is a terminal, and nobody asked for none
/// (<https://no-color.org>).
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    stream.is_terminal() && is_unset("NO_COLOR") && std::env::var("TERM").as_deref() != Ok("dumb")
}

/// Aligns rows of cells in columns. The last column is not padded.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text of another process without what a terminal would obey, and without what shows nothing or
/// turns the text around it.
pub(crate) fn printable(text: &str) -> String {
    let is_format = |c: char| {
        matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        )
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_format(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A checksum as people and programs see it: programs that hold numbers in floating point would
/// round it.
pub(crate) fn checksum(value: u64) -> String {
    format!("{value:016x}")
}

/// Bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = columns(&[row("ADDRESS", "STATUS"), row("a", "alive"), row("äöü-äöü-", "")]);
        assert_eq!(text, "ADDRESS   STATUS\na         alive\näöü-äöü-\n");
    }

    #[test]
    fn a_terminal_obeys_nothing_from_another_process() {
        assert_eq!(printable("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(printable("zone\u{1b}[2Jä\n"), "zone\\u{1b}[2Jä\\n");
    }
}
