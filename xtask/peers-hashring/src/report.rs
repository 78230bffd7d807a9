//! Rows of results, as a table for people or as JSON for programs.

use std::process::ExitCode;

use serde_json::json;

pub struct Report {
    json: bool,
    heading_printed: bool,
    rows: usize,
    broken: usize,
}

/// One comparison. `ratio` is ours divided by the peer's; lower is better everywhere.
pub struct Row<'a> {
    pub bench: &'a str,
    pub case: &'a str,
    pub ours: f64,
    pub peer: &'a str,
    pub peer_value: f64,
    pub unit: &'a str,
    /// The highest ratio that is acceptable; `None` for a row that only informs.
    pub bar: Option<f64>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, heading_printed: false, rows: 0, broken: 0 }
    }

    pub fn row(&mut self, row: &Row<'_>) {
        let ratio = if row.peer_value == 0.0 {
            if row.ours == 0.0 { 0.0 } else { f64::INFINITY }
        } else {
            row.ours / row.peer_value
        };
        let holds = row.bar.is_none_or(|bar| ratio <= bar);
        self.rows += 1;
        self.broken += usize::from(!holds);
        if self.json {
            let line = json!({
                "bench": row.bench, "case": row.case, "ours": row.ours, "peer": row.peer,
                "peer_value": row.peer_value, "unit": row.unit, "ratio": ratio, "bar": row.bar, "holds": holds,
            });
            println!("{line}");
            return;
        }
        if !self.heading_printed {
            self.heading_printed = true;
            println!(
                "{:<12} {:<34} {:>11}  {:<34} {:>11} {:<7} {:>7} {:>6}",
                "bench", "case", "ours", "peer", "peer's", "unit", "ratio", "bar"
            );
        }
        let (bar, verdict) = match row.bar {
            Some(bar) => (format!("{bar}"), if holds { "ok" } else { "BROKEN" }),
            None => (String::new(), ""),
        };
        println!(
            "{:<12} {:<34} {:>11}  {:<34} {:>11} {:<7} {:>7.3} {:>6} {verdict}",
            row.bench,
            row.case,
            number(row.ours),
            row.peer,
            number(row.peer_value),
            row.unit,
            ratio,
            bar
        );
    }

    pub fn finish(&self) -> ExitCode {
        if !self.json {
            println!("{} rows, {} bars broken", self.rows, self.broken);
        }
        if self.broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 10.0 => format!("{value:.4}"),
        medium if medium < 1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
