//! Rows of results: a table for people, one JSON object per line for programs.

use std::process::ExitCode;

use serde::Serialize;

use crate::spread::Spread;

/// What a row must satisfy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// Ours divided by the peer's is at most this.
    AtMost(f64),
    /// Ours divided by the peer's is at least this.
    AtLeast(f64),
    /// Our value is at most this.
    ValueAtMost(f64),
}

/// What a row says about its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    NoBar,
    Holds,
    Fails,
    /// The spread of the ratios spans the bar: noise decides.
    Undecided,
}

/// One result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    case: String,
    unit: &'static str,
    ours: f64,
    peer: Option<(&'static str, f64)>,
    /// The ratio when it is not simply ours divided by the peer's.
    paired: Option<f64>,
    /// The ratios of several sets of processes.
    spread: Option<Spread>,
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
    /// Lower and upper quartile of the ratios of several sets of processes.
    spread: Option<[f64; 2]>,
    note: &'a str,
    /// `null` without a bar, and where the spread spans it.
    holds: Option<bool>,
}

impl Row {
    pub(crate) fn new(case: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            case: case.into(),
            unit,
            ours,
            peer: None,
            paired: None,
            spread: None,
            bar: None,
            note: String::new(),
        }
    }

    /// Sets the same value of the peer.
    pub(crate) fn peer(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some((name, value));
        self
    }

    /// Sets the ratio that was measured round by round.
    pub(crate) fn ratio_by_round(mut self, ratio: f64) -> Self {
        self.paired = Some(ratio);
        self
    }

    /// Sets the ratios of several sets of processes: one set may be some per cent off for all of
    /// its life.
    pub(crate) fn spread(mut self, spread: Spread) -> Self {
        self.paired = Some(spread.median);
        self.spread = Some(spread);
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
        let by_values = || self.peer.filter(|peer| peer.1 > 0.0).map(|peer| self.ours / peer.1);
        self.paired.or_else(by_values)
    }

    /// Whether the bar holds.
    fn verdict(&self) -> Verdict {
        let Some(bar) = self.bar else { return Verdict::NoBar };
        let both = |met: &dyn Fn(f64) -> bool| {
            let ratios = match self.spread {
                Some(spread) => [spread.low, spread.high],
                None => [self.ratio().unwrap_or(f64::NAN); 2],
            };
            match ratios.map(met) {
                [true, true] => Verdict::Holds,
                [false, false] => Verdict::Fails,
                _ => Verdict::Undecided,
            }
        };
        match bar {
            Bar::AtMost(most) => both(&|ratio| ratio <= most),
            Bar::AtLeast(least) => both(&|ratio| ratio >= least),
            Bar::ValueAtMost(most) if self.ours <= most => Verdict::Holds,
            Bar::ValueAtMost(_) => Verdict::Fails,
        }
    }

    fn bar_text(&self) -> Option<String> {
        self.bar.map(|bar| match bar {
            Bar::AtMost(most) => format!("ratio <= {most}"),
            Bar::AtLeast(least) => format!("ratio >= {least}"),
            Bar::ValueAtMost(most) => format!("<= {most} {}", self.unit),
        })
    }
}

/// Prints rows as they come.
pub(crate) struct Report {
    bench: &'static str,
    json: bool,
    heading_printed: bool,
    broken: usize,
    undecided: usize,
}

impl Report {
    pub(crate) fn new(bench: &'static str, json: bool) -> Self {
        Self { bench, json, heading_printed: false, broken: 0, undecided: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.broken += usize::from(row.verdict() == Verdict::Fails);
        self.undecided += usize::from(row.verdict() == Verdict::Undecided);
        if self.json {
            self.print_json(row);
        } else {
            self.print_line(row);
        }
    }

    fn print_json(&self, row: &Row) {
        let line = Line {
            bench: self.bench,
            case: &row.case,
            ours: row.ours,
            peer: row.peer.map(|peer| peer.0),
            peer_value: row.peer.map(|peer| peer.1),
            unit: row.unit,
            ratio: row.ratio(),
            bar: row.bar_text(),
            spread: row.spread.map(|spread| [spread.low, spread.high]),
            note: &row.note,
            holds: match row.verdict() {
                Verdict::Holds => Some(true),
                Verdict::Fails => Some(false),
                Verdict::NoBar | Verdict::Undecided => None,
            },
        };
        println!("{}", serde_json::to_string(&line).expect("numbers and texts are JSON"));
    }

    fn print_line(&mut self, row: &Row) {
        if !self.heading_printed {
            self.heading_printed = true;
            println!(
                "{:44} {:>10} {:5} {:>32} {:>7}  bar, note",
                "case", "ours", "unit", "peer", "ratio"
            );
        }
        let peer = row.peer.map(|(name, value)| format!("{name} {}", number(value)));
        let ratio = row.ratio().map(|ratio| format!("{ratio:.3}"));
        let verdict = match row.verdict() {
            Verdict::Holds => "ok",
            Verdict::Fails => "FAILS",
            Verdict::Undecided => "not decided",
            Verdict::NoBar => "",
        };
        let bar = row.bar_text().map(|bar| format!("{bar}: {verdict}"));
        let spread = row.spread.map(|s| format!("quartiles {:.3} to {:.3}", s.low, s.high));
        let note = Some(row.note.clone()).filter(|note| !note.is_empty());
        let end: Vec<_> = [bar, spread, note].into_iter().flatten().collect();
        println!(
            "{:44} {:>10} {:5} {:>32} {:>7}  {}",
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
            println!("{} bars broken, {} not decided", self.broken, self.undecided);
        }
        if self.broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
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
