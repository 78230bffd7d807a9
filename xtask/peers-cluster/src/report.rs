//! Rows of results: a table for people, one JSON object per line for programs.

use std::process::ExitCode;

use serde::Serialize;

/// What a row must satisfy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// Ours divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Our value is at most this.
    ValueAtMost(f64),
}

/// One result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    case: String,
    unit: &'static str,
    ours: f64,
    peer: Option<(&'static str, f64)>,
    bar: Option<Bar>,
    note: String,
}

#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    case: &'a str,
    ours: f64,
    peer: Option<&'a str>,
    peer_value: Option<f64>,
    unit: &'a str,
    ratio: Option<f64>,
    bar: Option<String>,
    note: &'a str,
    /// `null` without a bar.
    holds: Option<bool>,
}

impl Row {
    pub(crate) fn new(case: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self { case: case.into(), unit, ours, peer: None, bar: None, note: String::new() }
    }

    /// The same value of the peer.
    pub(crate) fn peer(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some((name, value));
        self
    }

    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.filter(|peer| peer.1 > 0.0).map(|peer| self.ours / peer.1)
    }

    /// Whether the bar holds. A value that is none breaks it.
    fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| match bar {
            Bar::RatioAtMost(most) => self.ratio().is_some_and(|ratio| ratio <= most),
            Bar::ValueAtMost(most) => self.ours <= most,
        })
    }

    fn bar_text(&self) -> Option<String> {
        self.bar.map(|bar| match bar {
            Bar::RatioAtMost(most) => format!("ratio <= {most}"),
            Bar::ValueAtMost(most) => format!("<= {most} {}", self.unit),
        })
    }
}

/// Prints rows as they come.
pub(crate) struct Report {
    json: bool,
    heading_printed: bool,
    broken: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, heading_printed: false, broken: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.broken += usize::from(row.holds() == Some(false));
        if self.json {
            print_json(row);
        } else {
            self.print_line(row);
        }
    }

    fn print_line(&mut self, row: &Row) {
        if !self.heading_printed {
            self.heading_printed = true;
            println!(
                "{:44} {:>9} {:5} {:>32} {:>7}  bar, note",
                "case", "ours", "unit", "peer", "ratio"
            );
        }
        let peer = row.peer.map(|(name, value)| format!("{name} {}", number(value)));
        let ratio = row.ratio().map(|ratio| format!("{ratio:.3}"));
        let verdict = row.holds().map_or("", |holds| if holds { "ok" } else { "FAILS" });
        let bar = row.bar_text().map(|bar| format!("{bar}: {verdict}"));
        let note = Some(row.note.clone()).filter(|note| !note.is_empty());
        let end: Vec<_> = [bar, note].into_iter().flatten().collect();
        println!(
            "{:44} {:>9} {:5} {:>32} {:>7}  {}",
            row.case,
            number(row.ours),
            row.unit,
            peer.unwrap_or_default(),
            ratio.unwrap_or_default(),
            end.join("; "),
        );
    }

    pub(crate) fn finish(&self) -> ExitCode {
        if !self.json {
            println!("{} bars broken", self.broken);
        }
        if self.broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
}

fn print_json(row: &Row) {
    let line = Line {
        bench: "cluster",
        case: &row.case,
        ours: row.ours,
        peer: row.peer.map(|peer| peer.0),
        peer_value: row.peer.map(|peer| peer.1),
        unit: row.unit,
        ratio: row.ratio(),
        bar: row.bar_text(),
        note: &row.note,
        holds: row.holds(),
    };
    println!("{}", serde_json::to_string(&line).expect("numbers and texts are JSON"));
}

/// Three or four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x < 0.1 => format!("{value:.4}"),
        x if x < 10.0 => format!("{value:.2}"),
        x if x < 1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
