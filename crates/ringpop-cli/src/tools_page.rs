//! `docs/tools.md`, held against what can be typed: each command and key that it names exists.

use std::ffi::OsString;
use std::path::Path;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::args::parse_from;
use crate::commands::is_key;
use crate::failure::EXIT_CODES;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools.md");
    std::fs::read_to_string(path).unwrap()
}

/// The last cells of all tables: ours.
fn cells(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next()).collect()
}

/// What stands between backticks behind `before`.
fn quoted<'a>(cell: &'a str, before: &str) -> Vec<&'a str> {
    let opening = format!("{before}`");
    let rest = cell.match_indices(&opening).map(|(place, _)| &cell[place + opening.len()..]);
    rest.filter_map(|rest| rest.split_once('`').map(|(text, _)| text)).collect()
}

#[test]
fn every_command_of_the_page_can_be_typed() {
    let page = page();
    let mut checked = 0;
    for command in cells(&page).into_iter().flat_map(|cell| quoted(cell, "")) {
        let Some(words) = command.strip_prefix("ringpop ") else { continue };
        if words == "--version" {
            continue;
        }
        let words = words.split(' ').map(|word| match word {
            "ADDRESS" => "127.0.0.1:7100",
            "MEMBER" => "127.0.0.1:7101",
            word => word,
        });
        let line = std::iter::once("ringpop").chain(words).map(OsString::from);
        let parsed = parse_from(line);
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        checked += 1;
    }
    assert!(checked > 40, "{checked} commands are named");
}

#[test]
fn every_key_of_the_page_means_something() {
    let page = page();
    let mut checked = 0;
    for key in cells(&page).into_iter().flat_map(|cell| quoted(cell, "key ")) {
        let code = KeyCode::Char(key.chars().next().unwrap());
        assert!(is_key(KeyEvent::new(code, KeyModifiers::NONE)), "{key:?}");
        checked += 1;
    }
    assert!(checked > 20, "{checked} keys are named");
}

#[test]
fn exit_codes_are_the_same_everywhere() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    for (name, text) in [("docs/tools.md", page()), ("README.md", readme.unwrap())] {
        for line in EXIT_CODES.lines().skip(1) {
            let (code, meaning) = line.trim().split_once(' ').unwrap();
            let row = format!("| {code} | {} |", meaning.trim());
            assert!(text.contains(&row), "{name} has no {row}");
        }
    }
}
