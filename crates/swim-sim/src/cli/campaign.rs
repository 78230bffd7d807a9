//! `cargo xtask sim`: many seeds, or one of them in detail.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use super::{Failure, parse_faults};
use crate::campaign::{Faults, Report, run, run_traced, shrink};
use crate::time::seconds;

/// Lines about the subject of a failure that are shown with it.
const LINES_SHOWN: usize = 20;

#[derive(clap::Args)]
#[group(id = "campaign")]
pub(super) struct Args {
    /// Seeds to run, as FIRST..END, the end left out.
    #[arg(long, value_name = "FIRST..END", value_parser = parse_range, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// Threads; as many as there are processors unless told otherwise.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out these kinds of faults: a list with commas between.
    #[arg(long, value_name = "FAULTS", value_parser = parse_faults, default_value = "")]
    mask: Faults,
    /// Write everything that happens to a file.
    #[arg(long, value_name = "FILE", requires = "seed")]
    trace: Option<PathBuf>,
    /// Do not look for the faults that a failure needs.
    #[arg(long)]
    no_shrink: bool,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").ok_or("give it as FIRST..END, for instance 0..1000")?;
    let number = |text: &str| {
        let digits = text.trim().replace('_', "");
        digits.parse::<u64>().map_err(|_| format!("`{text}` is not a number"))
    };
    let range = number(bounds.0)?..number(bounds.1)?;
    if range.is_empty() { Err("there is no seed in it".to_owned()) } else { Ok(range) }
}

pub(super) fn main(args: &Args) -> Result<(), Failure> {
    // A machine that panics is a finding of its own; it is reported once.
    std::panic::set_hook(Box::new(|_| {}));
    match (args.seed, &args.seeds) {
        (Some(seed), _) => one(seed, args),
        (None, Some(seeds)) => many(seeds.clone(), args),
        (None, None) => Err(Failure::Usage(
            "say what to run: --seeds FIRST..END, --seed SEED, or one of the subcommands run, \
             paper, speed (--help tells more)"
                .to_owned(),
        )),
    }
}

/// Runs one seed, with a trace if one is wanted.
fn one(seed: u64, args: &Args) -> Result<(), Failure> {
    let report = match &args.trace {
        None => run(seed, args.mask),
        Some(path) => {
            let file = File::create(path).map_err(|error| Failure::file(path, &error))?;
            let traced = run_traced(seed, args.mask, BufWriter::new(file));
            traced.map_err(|error| Failure::file(path, &error))?.0
        }
    };
    let Report { members, faults, happenings, lasted, .. } = &report;
    println!(
        "seed {seed}: {members} members, faults: {faults}; {happenings} happenings in {:.1} s",
        seconds(*lasted)
    );
    match (&report.violation, report.agreed_after) {
        (None, Some(after)) => {
            println!("every property holds; one view {:.1} s after the last fault", seconds(after));
            Ok(())
        }
        _ => {
            explain(&report, args.mask);
            Err(Failure::Violated)
        }
    }
}

/// Runs many seeds on several threads; reports each failure as it is found.
fn many(seeds: Range<u64>, args: &Args) -> Result<(), Failure> {
    let jobs = args.jobs.map_or_else(processors, usize::from);
    let (next, done, failed) =
        (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicBool::new(false));
    let (start, total) = (Instant::now(), seeds.end - seeds.start);
    let agreements = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run(seed, args.mask);
            match report.agreed_after {
                Some(after) if report.violation.is_none() => {
                    agreements.lock().expect("no holder panics").push(seconds(after));
                }
                _ => {
                    failed.store(true, Ordering::Relaxed);
                    let (least, mask) =
                        if args.no_shrink { (report, args.mask) } else { shrink(seed, args.mask) };
                    explain(&least, mask);
                }
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        }
    };
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    let mut agreements = agreements.into_inner().expect("no holder panics");
    agreements.sort_by(f64::total_cmp);
    let quantile = |share| crate::stats::quantile(&agreements, share).unwrap_or(0.0);
    eprint!("\r");
    println!(
        "{} of {total} seeds hold every property, in {:.0} s; one view after the last fault: \
         median {:.1} s, 99 % {:.1} s, longest {:.1} s",
        agreements.len(),
        start.elapsed().as_secs_f64(),
        quantile(0.5),
        quantile(0.99),
        quantile(1.0),
    );
    if failed.into_inner() { Err(Failure::Violated) } else { Ok(()) }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn progress(done: u64, total: u64) {
    if io::stderr().is_terminal() && done.is_multiple_of(16) {
        eprint!("\r{done} of {total} seeds");
    }
}

/// What went wrong, what happened to the subject before, and how to see it again.
fn explain(report: &Report, masked: Faults) {
    let Some(violation) = &report.violation else { return };
    let Report { seed, members, faults, happenings, .. } = report;
    let subject = violation.subject.as_ref().map(ToString::to_string);
    let lines = last_lines(*seed, masked, subject.as_deref());
    let mask = if masked.is_empty() { String::new() } else { format!(" --mask {masked}") };
    let mut out = io::stdout().lock();
    // Nobody can be told when standard output is gone.
    let _ = writeln!(
        out,
        "\nseed {seed} fails at step {happenings}: {violation}\n\
         {members} members, faults it needs: {faults}\n\
         the last of {}:\n{}\n\
         to see it again: cargo xtask sim --seed {seed}{mask} --trace trace.txt",
        subject.as_deref().unwrap_or("all"),
        lines.join("\n")
    );
}

/// The last lines of the trace of a run that are about a member.
fn last_lines(seed: u64, masked: Faults, subject: Option<&str>) -> Vec<String> {
    let keep = Tail { subject: subject.map(str::to_owned), lines: VecDeque::new() };
    match run_traced(seed, masked, keep) {
        Ok((_, tail)) => tail.lines.into(),
        Err(_) => Vec::new(),
    }
}

/// Keeps the last lines that are about a member.
struct Tail {
    subject: Option<String>,
    lines: VecDeque<String>,
}

impl Write for Tail {
    /// A trace writes whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let is_transition = text.contains(" -> ") || text.contains("refutes");
        let about = |subject: &String| text.contains(subject.as_str());
        let wanted = is_transition && self.subject.as_ref().is_none_or(about);
        if wanted || text.contains("  ! ") {
            if self.lines.len() == LINES_SHOWN {
                self.lines.pop_front();
            }
            self.lines.push_back(text.trim_end().chars().take(240).collect());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_refused() {
        assert_eq!(parse_range("0..1_000"), Ok(0..1000));
        assert!(parse_range("5").is_err_and(|error| error.contains("FIRST..END")));
        assert!(parse_range("a..5").is_err_and(|error| error.contains("`a`")));
        assert!(parse_range("5..5").is_err());
    }
}
