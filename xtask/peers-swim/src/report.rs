//! Rows of results: a table for people, one JSON object per line for programs.

use serde::Serialize;

/// What a row must satisfy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// Our value divided by the peer's is at most this.
    Ratio(f64),
    /// Our value is at most this.
    Value(f64),
}

/// One result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    case: String,
    unit: &'static str,
    ours: f64,
    peer: Option<f64>,
    bar: Option<Bar>,
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
    holds: Option<bool>,
}

impl Row {
    pub(crate) fn new(case: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self { case: case.into(), unit, ours, peer: None, bar: None }
    }

    /// Sets the same value of the peer.
    pub(crate) const fn peer(mut self, value: f64) -> Self {
        self.peer = Some(value);
        self
    }

    pub(crate) const fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.filter(|peer| *peer > 0.0).map(|peer| self.ours / peer)
    }

    /// Whether the bar holds; `None` when there is none.
    pub(crate) fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| match bar {
            Bar::Ratio(most) => self.ratio().is_some_and(|ratio| ratio <= most),
            Bar::Value(most) => self.ours <= most,
        })
    }

    fn bar_text(&self) -> Option<String> {
        self.bar.map(|bar| match bar {
            Bar::Ratio(most) => format!("ratio <= {most}"),
            Bar::Value(most) => format!("<= {most} {}", self.unit),
        })
    }

    /// Prints the row as a JSON object.
    pub(crate) fn print_json(&self, peer_name: &str) {
        let line = Line {
            bench: "swim",
            case: &self.case,
            ours: self.ours,
            peer: self.peer.map(|_| peer_name),
            peer_value: self.peer,
            unit: self.unit,
            ratio: self.ratio(),
            bar: self.bar_text(),
            holds: self.holds(),
        };
        let line = serde_json::to_string(&line).expect("numbers and texts are JSON");
        println!("{line}");
    }
}

/// Prints all rows as a table.
pub(crate) fn print_table(rows: &[Row], ours_name: &str, peer_name: &str) {
    let width = rows.iter().map(|row| row.case.len()).max().unwrap_or(0);
    println!(
        "{:width$}  {ours_name:>12}  {peer_name:>12}  {:12}  {:>8}  {:22}",
        "case", "unit", "ratio", "bar"
    );
    for row in rows {
        let bar = row.bar_text().map_or_else(String::new, |bar| {
            let holds = if row.holds() == Some(true) { "holds" } else { "FAILS" };
            format!("{bar}: {holds}")
        });
        println!(
            "{:width$}  {:>12}  {:>12}  {:12}  {:>8}  {bar}",
            row.case,
            number(row.ours),
            row.peer.map_or_else(String::new, number),
            row.unit,
            row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        );
    }
}

/// Three or four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x < 10.0 => format!("{value:.2}"),
        x if x < 1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
