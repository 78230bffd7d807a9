//! `cargo xtask sim paper lifeguard`.
//!
//! First the one value that the paper does not give is calibrated on its row of
//! plain SWIM; then everything else is run with it.

use swim_core::Config;

use super::parallel::on_all_processors;
use super::verdict;
use crate::host::Pause;
use crate::network::Latency;
use crate::paper::lifeguard::{
    Accusations, CONCURRENT, DURATIONS_MS, Detections, INTERVALS_MS, Model, Parts, Run, interval,
    threshold,
};
use crate::stats::quantile;

/// FP for each FP- in the paper's row of plain SWIM.
const RATIO: f64 = 256.0;

/// How far the ratio may be off after the calibration, as a factor. FP- come in
/// lumps: once others believe a wrong change, dozens do before the
/// contradiction has caught up with it.
const RATIO_OFF_MAX: f64 = 2.0;

/// The calibration ends when the ratio is as near as this, as a factor.
const NEAR: f64 = 1.25;

/// What Lifeguard may leave of plain SWIM's FP and FP-, in percent.
const FP_PERCENT_MAX: f64 = 3.0;
const FP_HEALTHY_PERCENT_MAX: f64 = 4.0;

/// How far its median first detection may be off, in percent.
const DETECTION_OFF_PERCENT_MAX: f64 = 5.0;

/// A suspicion of 10.5 s can end within an anomaly of at least this length.
/// Shorter ones add one FP in a hundred and no FP-: the calibration and Table
/// VII leave them out.
const LONG_MS: u64 = 16_384;

/// Repetitions of the calibration begin here, those of the tables at 0.
const CALIBRATION_FROM: u64 = 1_000;

/// Table IV: FP and FP- in percent of the first row.
const TABLE_IV: [(f64, f64); 5] =
    [(100.0, 100.0), (67.72, 32.88), (3.00, 6.71), (94.08, 44.57), (1.53, 1.89)];

/// Figures 2 and 3: FP and FP- of ten repetitions for each number of slow
/// members, in the order of the rows of Table IV.
const FIGURES: [([u32; 9], [u32; 9]); 5] = [
    (
        [906, 5_973, 11_286, 23_147, 34_501, 45_485, 58_965, 77_069, 81_670],
        [24, 9, 43, 40, 90, 204, 183, 276, 458],
    ),
    (
        [512, 3_208, 7_226, 15_199, 21_922, 36_476, 41_832, 50_274, 52_925],
        [2, 1, 3, 7, 57, 43, 57, 157, 109],
    ),
    ([49, 311, 142, 581, 1_341, 1_119, 1_762, 2_892, 1_977], [0, 1, 2, 4, 9, 10, 11, 18, 34]),
    (
        [950, 6_388, 8_476, 20_187, 34_737, 46_446, 58_441, 71_740, 71_570],
        [1, 5, 12, 24, 45, 63, 96, 159, 186],
    ),
    ([18, 143, 110, 224, 573, 751, 842, 1_335, 1_197], [0, 1, 4, 2, 0, 6, 4, 3, 5]),
];

/// Table V: seconds until first and full detection, each median, 99 % and 99.9 %.
const TABLE_V: [[f64; 6]; 5] = [
    [12.44, 16.96, 19.40, 12.90, 16.93, 20.17],
    [12.42, 17.75, 20.10, 12.90, 17.98, 20.56],
    [12.42, 17.47, 25.41, 12.89, 17.33, 23.80],
    [12.45, 17.12, 19.16, 12.92, 17.18, 19.81],
    [12.45, 17.90, 21.20, 12.91, 18.05, 21.68],
];

/// Table VI: messages and bytes in percent of the first row, bytes of a message.
const TABLE_VI: [(f64, f64, u32); 5] = [
    (100.0, 100.0, 368),
    (98.46, 90.03, 336),
    (111.31, 106.52, 352),
    (100.07, 99.01, 364),
    (110.59, 97.97, 326),
];

/// Table VII: alpha, beta, median first detection, FP and FP-, in percent of
/// plain SWIM.
const TABLE_VII: [(u32, u32, f64, f64, f64); 9] = [
    (2, 2, 53.14, 98.37, 31.15),
    (2, 4, 54.10, 43.64, 22.47),
    (2, 6, 54.34, 24.16, 13.65),
    (4, 2, 82.96, 37.72, 20.29),
    (4, 4, 83.04, 8.04, 9.50),
    (4, 6, 83.12, 3.18, 4.83),
    (5, 2, 99.76, 26.61, 15.38),
    (5, 4, 99.52, 5.43, 5.05),
    (5, 6, 100.08, 1.53, 1.89),
];

/// How much is run.
#[derive(Clone, Copy)]
struct Extent {
    quick: bool,
    repeat: u64,
}

impl Extent {
    /// The grid of the Interval experiment, anomalies of at least this length.
    fn grid(self, shortest_ms: u64, repetitions: std::ops::Range<u64>) -> Vec<Run> {
        let step = if self.quick { 4 } else { 1 };
        let mut runs = Vec::new();
        for repetition in repetitions {
            for anomalous in CONCURRENT.into_iter().step_by(step) {
                for duration_ms in DURATIONS_MS.into_iter().filter(|ms| *ms >= shortest_ms) {
                    let intervals = INTERVALS_MS.into_iter().step_by(step);
                    runs.extend(intervals.map(|interval_ms| Run {
                        anomalous,
                        duration_ms,
                        interval_ms,
                        repetition,
                    }));
                }
            }
        }
        runs
    }

    fn all(self) -> Vec<Run> {
        self.grid(0, 0..self.repeat)
    }

    /// Single anomalies that last long enough to be detected.
    fn anomalies(self, repetitions: u64) -> Vec<Run> {
        let mut runs = self.grid(LONG_MS, 0..repetitions);
        runs.retain(|run| run.interval_ms == INTERVALS_MS[0]);
        runs.iter_mut().for_each(|run| run.interval_ms = 0);
        runs
    }
}

/// What one row of Table IV did, run by run.
struct Row {
    parts: Parts,
    runs: Vec<(Run, Accusations)>,
}

impl Row {
    fn sum(&self, wanted: impl Fn(&Run) -> bool) -> Accusations {
        let wanted = self.runs.iter().filter(|(run, _)| wanted(run));
        wanted.fold(Accusations::default(), |sum, (_, counted)| sum.plus(*counted))
    }

    fn total(&self) -> Accusations {
        self.sum(|_| true)
    }
}

fn row(what: &str, parts: Parts, config: &Config, model: Model, runs: &[Run]) -> Row {
    let counted = on_all_processors(what, runs, |run| interval(config, model, *run));
    Row { parts, runs: runs.iter().copied().zip(counted).collect() }
}

fn ratio(counted: Accusations) -> f64 {
    counted.false_positives as f64 / counted.at_healthy.max(1) as f64
}

fn percent(ours: u64, base: u64) -> f64 {
    100.0 * ours as f64 / base.max(1) as f64
}

pub(super) fn main(quick: bool, repeat: u64) -> bool {
    let extent = Extent { quick, repeat };
    if quick {
        println!("a part of the grid only (--quick): every fourth number and interval");
    }
    println!(
        "N=128, alpha 5, beta 6; FP: members that are well and are taken for failed, counted at \
         each member; FP-: those counted at members that are well themselves"
    );
    println!(
        "paper, plain SWIM, each repetition: FP 33900, FP- 133, one FP- for {RATIO} FP; \
         {repeat} repetitions here, with seeds that the calibration does not use"
    );
    let model = calibrate(extent);
    let (rows, accusations) = table_iv(extent, model);
    figures(&rows, repeat);
    let (base, detection) = table_v(extent, model);
    table_vi(&rows);
    table_vii(extent, model, &rows[0], base);
    uncalibrated();
    accusations && detection
}

/// Finds the mean time of a packet with which plain SWIM has the paper's ratio
/// of FP to FP-: the longer packets take, the fewer news a slow member gets out
/// in the short time between two anomalies.
fn calibrate(extent: Extent) -> Model {
    let parts = Parts::Swim;
    let repetitions = if extent.quick { 1 } else { 2 };
    let runs = extent.grid(LONG_MS, CALIBRATION_FROM..CALIBRATION_FROM + repetitions);
    println!(
        "calibration: time of a packet with which plain SWIM has one FP- for {RATIO} FP; \
         {} runs for each step, anomalies of {LONG_MS} ms and more",
        runs.len()
    );
    println!("    {:>8}{:>10}{:>8}{:>10}", "us", "FP", "FP-", "ratio");
    let (mut least, mut most) = (200_u64, 450);
    let mut best = (f64::INFINITY, most);
    while most - least > 25 {
        let micros = u64::midpoint(least, most);
        let model = Model::blocked(micros * 1_000);
        let name = format!("calibration, {micros} us");
        let counted = row(&name, parts, &parts.config(5, 6), model, &runs).total();
        let ratio = ratio(counted);
        println!(
            "    {micros:>8}{:>10}{:>8}{ratio:>10.0}",
            counted.false_positives, counted.at_healthy
        );
        let off = (ratio / RATIO).ln().abs();
        if off < best.0 {
            best = (off, micros);
        }
        if off < NEAR.ln() {
            break;
        }
        if ratio > RATIO {
            least = micros;
        } else {
            most = micros;
        }
    }
    println!("    from here on {} us", best.1);
    Model::blocked(best.1 * 1_000)
}

/// Gives the rows, and whether Lifeguard accuses as rarely as it should.
fn table_iv(extent: Extent, model: Model) -> (Vec<Row>, bool) {
    println!("Table IV");
    println!(
        "    {:14}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}",
        "", "FP", "FP-", "FP %", "paper", "FP- %", "paper"
    );
    let runs = extent.all();
    let mut rows: Vec<Row> = Vec::new();
    let mut last = (0.0, 0.0);
    for (parts, paper) in Parts::ALL.into_iter().zip(TABLE_IV) {
        let row = row(parts.as_str(), parts, &parts.config(5, 6), model, &runs);
        let counted = row.total();
        rows.push(row);
        let base = rows[0].total();
        last = (
            percent(counted.false_positives, base.false_positives),
            percent(counted.at_healthy, base.at_healthy),
        );
        println!(
            "    {:14}{:>10}{:>10}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            parts.as_str(),
            counted.false_positives,
            counted.at_healthy,
            last.0,
            paper.0,
            last.1,
            paper.1
        );
    }
    let ratio = ratio(rows[0].total());
    // A part of the grid gives no more than one lump of FP-.
    let calibrated =
        extent.quick || (RATIO / RATIO_OFF_MAX..=RATIO * RATIO_OFF_MAX).contains(&ratio);
    let few = last.0 <= FP_PERCENT_MAX;
    let few_at_healthy = last.1 <= FP_HEALTHY_PERCENT_MAX;
    println!(
        "    SWIM has one FP- for {ratio:.0} FP (within a factor of {RATIO_OFF_MAX} of {RATIO}: {})",
        if extent.quick { "not judged on a part" } else { verdict(calibrated) }
    );
    println!("    Lifeguard's FP at most {FP_PERCENT_MAX} %: {}", verdict(few));
    println!("    Lifeguard's FP- at most {FP_HEALTHY_PERCENT_MAX} %: {}", verdict(few_at_healthy));
    (rows, calibrated && few && few_at_healthy)
}

fn figures(rows: &[Row], repeat: u64) {
    for (figure, what, is_healthy) in [(2, "FP", false), (3, "FP-", true)] {
        println!("Figure {figure}: {what} in a repetition (paper) by the number of slow members");
        let mut line = format!("    {:14}", "");
        CONCURRENT.iter().for_each(|anomalous| line += &format!("{anomalous:>18}"));
        println!("{line}");
        for (row, paper) in rows.iter().zip(FIGURES) {
            let mut line = format!("    {:14}", row.parts.as_str());
            for (i, anomalous) in CONCURRENT.iter().enumerate() {
                let sum = row.sum(|run| run.anomalous == *anomalous);
                let (ours, paper) = if is_healthy {
                    (sum.at_healthy, paper.1[i])
                } else {
                    (sum.false_positives, paper.0[i])
                };
                let ours = ours as f64 / repeat as f64;
                line += &format!("{:>18}", format!("{ours:.1} ({:.1})", f64::from(paper) / 10.0));
            }
            println!("{line}");
        }
    }
}

fn detections(what: &str, config: &Config, model: Model, runs: &[Run]) -> Detections {
    let mut all = Detections::default();
    for one in on_all_processors(what, runs, |run| threshold(config, model, *run)) {
        all.first.extend(one.first);
        all.full.extend(one.full);
    }
    all.first.sort_by(f64::total_cmp);
    all.full.sort_by(f64::total_cmp);
    all
}

fn median(sorted: &[f64]) -> f64 {
    quantile(sorted, 0.5).unwrap_or(0.0)
}

/// Gives the median first detection of plain SWIM, and whether Lifeguard's is
/// near to it.
fn table_v(extent: Extent, model: Model) -> (f64, bool) {
    println!("Table V: seconds to detection (paper); anomalies of 16 and 33 s");
    let mut line = format!("    {:14}{:>8}", "", "count");
    for what in ["first", "full"] {
        let columns = ["median", "99 %", "99.9 %"].map(|share| format!("{what} {share}"));
        columns.iter().for_each(|column| line += &format!("{column:>16}"));
    }
    println!("{line}");
    let runs = extent.anomalies(if extent.quick { 1 } else { 4 });
    let mut medians = Vec::new();
    for (parts, paper) in Parts::ALL.into_iter().zip(TABLE_V) {
        let name = format!("detection, {}", parts.as_str());
        let found = detections(&name, &parts.config(5, 6), model, &runs);
        let mut line = format!("    {:14}{:>8}", parts.as_str(), found.first.len());
        let shares = [&found.first, &found.full].into_iter().flat_map(|times| {
            [0.5, 0.99, 0.999].map(|share| quantile(times, share).unwrap_or(0.0))
        });
        shares.zip(paper).for_each(|(ours, paper)| {
            line += &format!("{:>16}", format!("{ours:.2} ({paper:.2})"));
        });
        println!("{line}");
        medians.push(median(&found.first));
    }
    let (base, last) = (medians[0], medians[medians.len() - 1]);
    let off = 100.0 * (last / base - 1.0);
    let holds = off.abs() <= DETECTION_OFF_PERCENT_MAX;
    println!(
        "    Lifeguard's median first detection is off by {off:+.1} % (at most \
         {DETECTION_OFF_PERCENT_MAX} %: {})",
        verdict(holds)
    );
    (base, holds)
}

fn table_vi(rows: &[Row]) {
    println!("Table VI: load of all runs");
    println!(
        "    {:14}{:>10}{:>8}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "messages", "GiB", "msgs %", "paper", "bytes %", "paper", "B/msg", "paper"
    );
    let base = rows[0].total();
    for (row, paper) in rows.iter().zip(TABLE_VI) {
        let sum = row.total();
        println!(
            "    {:14}{:>10}{:>8.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.0}{:>9}",
            row.parts.as_str(),
            sum.messages,
            sum.bytes as f64 / f64::from(1 << 30),
            percent(sum.messages, base.messages),
            paper.0,
            percent(sum.bytes, base.bytes),
            paper.1,
            sum.bytes as f64 / sum.messages.max(1) as f64,
            paper.2
        );
    }
}

/// Lifeguard with other timeouts, beside plain SWIM with alpha 5.
fn table_vii(extent: Extent, model: Model, swim: &Row, first: f64) {
    println!("Table VII: Lifeguard in percent of SWIM (paper); anomalies of {LONG_MS} ms and more");
    println!(
        "    {:>5}{:>5}{:>10}{:>10}{:>18}{:>18}{:>18}",
        "alpha", "beta", "FP", "FP-", "first median", "FP", "FP-"
    );
    let runs = extent.grid(LONG_MS, 0..extent.repeat);
    let anomalies = extent.anomalies(1);
    let base = swim.sum(|run| run.duration_ms >= LONG_MS);
    for (alpha, beta, paper_first, paper, paper_healthy) in TABLE_VII {
        let parts = Parts::Lifeguard;
        let config = parts.config(alpha, beta);
        let name = format!("Lifeguard, alpha {alpha}, beta {beta}");
        let sum = row(&name, parts, &config, model, &runs).total();
        let found = detections(&name, &config, model, &anomalies);
        let beside = |ours: f64, paper: f64| format!("{ours:.2} ({paper:.2})");
        println!(
            "    {alpha:>5}{beta:>5}{:>10}{:>10}{:>18}{:>18}{:>18}",
            sum.false_positives,
            sum.at_healthy,
            beside(100.0 * median(&found.first) / first, paper_first),
            beside(percent(sum.false_positives, base.false_positives), paper),
            beside(percent(sum.at_healthy, base.at_healthy), paper_healthy),
        );
    }
}

/// Plain SWIM with each way to stand still, in a network of a data centre.
fn uncalibrated() {
    println!(
        "plain SWIM, uncalibrated: packets take 0.25 to 1 ms; every fourth number and interval"
    );
    let extent = Extent { quick: true, repeat: 1 };
    println!("    {:22}{:>10}{:>10}{:>10}", "", "FP", "FP-", "ratio");
    for pause in Pause::ALL {
        let model = Model { pause, latency: Latency::LAN };
        let parts = Parts::Swim;
        let runs = extent.grid(0, 0..1);
        let sum = row(pause.as_str(), parts, &parts.config(5, 6), model, &runs).total();
        println!(
            "    {:22}{:>10}{:>10}{:>10.1}",
            pause.as_str(),
            sum.false_positives,
            sum.at_healthy,
            ratio(sum)
        );
    }
}
