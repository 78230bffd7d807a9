//! The bars: what each backend owns, upon what its weight asks for.

use svg::node::element::{Group, Line, Rectangle, Title};

use super::super::limits::PICTURE_BARS_MAX;
use super::super::report::{Owned, Report};
use super::colour;
use super::text::{GREY, INK, PALE, fitting, label, legible, round, width_of};

/// Above the first bar: the legend, and the names of the columns with the numbers of the axis.
const HEAD: f64 = 54.0;
/// For numbers, left of the names.
const NUMBERS_WIDTH: f64 = 36.0;
/// For names, left of the bars: as wide as the longest, within these bounds.
const NAMES_WIDTH_MIN: f64 = 60.0;
const NAMES_WIDTH_MAX: f64 = 210.0;
/// For weights between names and bars, where they differ.
const WEIGHTS_WIDTH: f64 = 56.0;
/// Between a column of text and the bars.
const SPACE: f64 = 24.0;
/// For each of the two values right of the bars.
const VALUE_WIDTH: f64 = 74.0;
const ROW_HEIGHT_MIN: f64 = 19.0;
const ROW_HEIGHT_MAX: f64 = 46.0;
/// What the rows share while they are high enough.
const ROWS_HEIGHT: f64 = 540.0;

/// A row of the chart.
enum Row<'r> {
    Bar {
        backend: usize,
        owned: &'r Owned,
    },
    /// Backends that are not drawn.
    Rest(usize),
}

/// Where the columns are, and how shares become positions.
struct Columns {
    left: f64,
    names_width: f64,
    bars_left: f64,
    bars_width: f64,
    share_max: f64,
    has_weights: bool,
    /// Of a share in percent.
    decimals: usize,
    row_height: f64,
    text_size: f64,
}

impl Columns {
    fn new(report: &Report, left: f64, width: f64) -> Self {
        let shares = report.backends.iter().flat_map(|owned| [owned.share, owned.expected]);
        let share_max = shares.fold(0.0, f64::max);
        let has_weights = report.has_weights();
        let row_height = row_height(report);
        let text_size = (row_height * 0.58).clamp(11.0, 15.0);
        let longest = report.backends.iter().map(|owned| width_of(&owned.id, text_size));
        let names_width = longest.fold(NAMES_WIDTH_MIN, f64::max).min(NAMES_WIDTH_MAX);
        let weights_width = if has_weights { WEIGHTS_WIDTH } else { 0.0 };
        let bars_left = left + NUMBERS_WIDTH + names_width + weights_width + SPACE;
        Self {
            left,
            names_width,
            bars_left,
            bars_width: left + width - bars_left - SPACE - 2.0 * VALUE_WIDTH,
            share_max: share_max * 1.02,
            has_weights,
            decimals: 1 + usize::from(share_max < 0.1) + usize::from(share_max < 0.01),
            row_height,
            text_size,
        }
    }

    fn x(&self, share: f64) -> f64 {
        round(self.bars_left + self.bars_width * share / self.share_max)
    }

    fn names_left(&self) -> f64 {
        self.left + NUMBERS_WIDTH
    }

    /// The right edges of the share, and of its ratio to the expected one.
    fn values(&self) -> [f64; 2] {
        let left = self.bars_left + self.bars_width + SPACE;
        [left + VALUE_WIDTH - 14.0, left + 2.0 * VALUE_WIDTH]
    }
}

/// How high the chart is.
pub(super) fn height(report: &Report) -> f64 {
    HEAD + row_height(report) * rows(report).len() as f64
}

fn row_height(report: &Report) -> f64 {
    (ROWS_HEIGHT / rows(report).len() as f64).clamp(ROW_HEIGHT_MIN, ROW_HEIGHT_MAX)
}

pub(super) fn draw(report: &Report, (left, top): (f64, f64), width: f64) -> Group {
    let columns = Columns::new(report, left, width);
    let mut group = legend(columns.bars_left, top).add(heads(&columns, top)).add(grid(
        &columns,
        top,
        height(report),
    ));
    for (position, row) in rows(report).iter().enumerate() {
        let row_top = top + HEAD + columns.row_height * position as f64;
        let base = row_top + columns.row_height / 2.0 + columns.text_size * 0.36;
        group = match row {
            Row::Bar { backend, owned } => {
                let is_peak = owned.ratio.is_some_and(|ratio| ratio >= report.peak_to_average);
                group
                    .add(
                        Group::new()
                            .add(Title::new(legible(&owned.id)))
                            .add(names(&columns, *backend, owned, base)),
                    )
                    .add(strips(&columns, *backend, owned, row_top))
                    .add(values(&columns, owned, is_peak, base))
            }
            Row::Rest(count) => {
                let text = format!("{count} more between the busiest and the idlest");
                let text = label((columns.names_left(), base), columns.text_size, text);
                group.add(text.set("fill", GREY).set("font-style", "italic"))
            }
        };
    }
    group
}

/// All backends by id, or the busiest and the idlest in that order where there are too many.
fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows: Vec<(usize, &Owned)> = report.backends.iter().enumerate().collect();
    let bar = |(backend, owned)| Row::Bar { backend, owned };
    if rows.len() <= PICTURE_BARS_MAX {
        return rows.into_iter().map(bar).collect();
    }
    let load = |owned: &Owned| owned.ratio.unwrap_or(0.0);
    rows.sort_by(|(_, one), (_, two)| load(two).total_cmp(&load(one)));
    let half = PICTURE_BARS_MAX / 2;
    let idlest = rows.split_off(rows.len() - half);
    let rest = rows.split_off(half);
    let busiest = rows.into_iter().map(bar);
    busiest.chain([Row::Rest(rest.len())]).chain(idlest.into_iter().map(bar)).collect()
}

/// Number, name and weight.
fn names(columns: &Columns, backend: usize, owned: &Owned, base: f64) -> Group {
    let size = columns.text_size;
    let number = label((columns.names_left() - 10.0, base), size, (backend + 1).to_string());
    let name = fitting(&owned.id, size, columns.names_width);
    let group = Group::new()
        .add(number.set("text-anchor", "end").set("fill", GREY))
        .add(label((columns.names_left(), base), size, name).set("fill", INK));
    if !columns.has_weights {
        return group;
    }
    let weight = label((columns.bars_left - SPACE, base), size, owned.weight.to_string());
    group.add(weight.set("text-anchor", "end").set("fill", GREY))
}

/// The expected share, and the actual one upon it.
fn strips(columns: &Columns, backend: usize, owned: &Owned, top: f64) -> Group {
    let strip = |share: f64, part: f64| {
        Rectangle::new()
            .set("x", columns.bars_left)
            .set("y", round(top + columns.row_height * (1.0 - part) / 2.0))
            .set("width", round(columns.x(share) - columns.bars_left))
            .set("height", round(columns.row_height * part))
    };
    let mark = (top + columns.row_height * 0.11, top + columns.row_height * 0.89);
    Group::new()
        .add(strip(owned.expected, 0.78).set("fill", PALE))
        .add(strip(owned.share, 0.46).set("fill", colour::of(backend).hex()))
        .add(upright(columns.x(owned.expected), mark, INK, 2))
}

/// The share and its ratio to the expected one; those of the busiest stand out.
fn values(columns: &Columns, owned: &Owned, is_peak: bool, base: f64) -> Group {
    let decimals = columns.decimals;
    let share = format!("{:.decimals$} %", owned.share * 100.0);
    let ratio = owned.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}×"));
    let text = |right: f64, text: String| {
        label((right, base), columns.text_size, text)
            .set("text-anchor", "end")
            .set("font-weight", if is_peak { "bold" } else { "normal" })
    };
    let [share_right, ratio_right] = columns.values();
    Group::new()
        .add(text(share_right, share).set("fill", INK))
        .add(text(ratio_right, ratio).set("fill", if is_peak { INK } else { GREY }))
}

/// The names of the columns.
fn heads(columns: &Columns, top: f64) -> Group {
    let head = |x: f64, text: &str, anchor: &str| {
        label((x, top + HEAD - 12.0), 12.0, text).set("text-anchor", anchor).set("fill", GREY)
    };
    let [share_right, ratio_right] = columns.values();
    let group = Group::new()
        .add(head(columns.names_left(), "backend", "start"))
        .add(head(share_right, "share", "end"))
        .add(head(ratio_right, "of expected", "end"));
    if !columns.has_weights {
        return group;
    }
    group.add(head(columns.bars_left - SPACE, "weight", "end"))
}

fn upright(x: f64, (top, bottom): (f64, f64), colour: &str, width: u32) -> Line {
    Line::new()
        .set("x1", x)
        .set("x2", x)
        .set("y1", round(top))
        .set("y2", round(bottom))
        .set("stroke", colour)
        .set("stroke-width", width)
}

/// What the strips and lines mean.
fn legend(left: f64, top: f64) -> Group {
    let text = |x: f64, text: &str| label((left + x, top + 11.0), 13.0, text).set("fill", GREY);
    let strip = |x: f64, y: f64, height: f64| {
        Rectangle::new()
            .set("x", left + x)
            .set("y", top + y)
            .set("width", 26.0)
            .set("height", height)
    };
    Group::new()
        .add(strip(0.0, 3.0, 8.0).set("fill", colour::of(0).hex()))
        .add(text(34.0, "actual share"))
        .add(strip(146.0, 0.0, 14.0).set("fill", PALE))
        .add(upright(left + 172.0, (top, top + 14.0), INK, 2))
        .add(text(182.0, "expected by weight"))
}

/// Upright lines at round shares.
fn grid(columns: &Columns, top: f64, height: f64) -> Group {
    let step = round_step(columns.share_max);
    let ticks = (0_u32..).map(|tick| f64::from(tick) * step);
    let decimals = usize::from(step < 0.01) + usize::from(step < 0.001);
    let mut group = Group::new();
    for share in ticks.take_while(|share| *share <= columns.share_max) {
        let x = columns.x(share);
        let text = format!("{:.decimals$} %", share * 100.0);
        let number = label((x, top + HEAD - 12.0), 12.0, text);
        group = group
            .add(upright(x, (top + HEAD - 6.0, top + height), PALE, 1))
            .add(number.set("text-anchor", "middle").set("fill", GREY));
    }
    group
}

/// The smallest of 1, 2 and 5 times a power of ten that cuts a length in at most five.
fn round_step(length: f64) -> f64 {
    let power = 10_f64.powf((length / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    steps.into_iter().find(|step| length / step <= 5.0).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::round_step;

    #[test]
    fn an_axis_has_a_few_round_numbers() {
        for (length, step) in
            [(1.02, 0.5), (0.35, 0.1), (0.026, 0.01), (0.051, 0.02), (0.0011, 0.0005)]
        {
            assert!((round_step(length) - step).abs() < 1e-12, "{length}: {}", round_step(length));
        }
    }
}
