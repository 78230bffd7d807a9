//! Results as a table for a terminal.

use super::results::Results;
use crate::scenario::Outcome;
use crate::stats::Summary;

/// Prints what a scenario measured, a line for each metric and implementation.
pub(super) fn print(results: &Results) {
    let Results { scenario, params, columns } = results;
    println!(
        "\n{}: {}\n{} members, {} % loss, {} repetitions from seed {}",
        scenario.name,
        scenario.about,
        params.nodes,
        params.loss * 100.0,
        params.repeat,
        params.seed
    );
    println!(
        "{:34}{:9}{:12}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "", "", "values", "mean", "median", "99 %", "least", "most"
    );
    for (name, unit) in rows(columns) {
        for (implementation, outcome) in columns {
            let metric = outcome.metrics.iter().find(|metric| metric.name == name);
            let Some(summary) = metric.and_then(crate::stats::Metric::summary) else { continue };
            let Summary { count, mean, median, p99, min, max } = summary;
            let [mean, median, p99, min, max] = [mean, median, p99, min, max].map(number);
            println!(
                "{name:34}{unit:9}{implementation:12}{count:>8}{mean:>10}{median:>10}{p99:>10}\
                 {min:>10}{max:>10}"
            );
        }
    }
}

/// Names and units of all metrics that somebody has, in order.
pub(super) fn rows(columns: &[(&'static str, Outcome)]) -> Vec<(&'static str, &'static str)> {
    let mut rows = Vec::new();
    for (_, outcome) in columns {
        for metric in &outcome.metrics {
            if !rows.contains(&(metric.name, metric.unit)) {
                rows.push((metric.name, metric.unit));
            }
        }
    }
    rows
}

/// Three or four significant digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x < 0.01 => format!("{value:.1e}"),
        x if x < 10.0 => format!("{value:.2}"),
        x if x < 1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
