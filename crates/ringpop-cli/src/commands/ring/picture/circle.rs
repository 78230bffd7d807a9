//! The circle: outside the arcs as the points cut it, inside the same arcs gathered by backend.

use std::collections::HashMap;
use std::f64::consts::TAU;

use svg::node::element::path::Data;
use svg::node::element::{Group, Path, Title};

use super::super::backends::BackendRing;
use super::super::limits::PICTURE_ARCS_MAX;
use super::super::report::Report;
use super::colour;
use super::text::{GREY, INK, label, legible, round};
use crate::percent::percent;

/// Height of the circle with its legend.
pub(super) const HEIGHT: f64 = 610.0;
const RADIUS: f64 = 280.0;
/// Outer and inner radius of the arcs as they lie.
const POINTS_BAND: (f64, f64) = (RADIUS, 238.0);
/// Outer and inner radius of the arcs gathered by backend.
const SHARES_BAND: (f64, f64) = (226.0, 132.0);
/// Width of the white between two backends, and which part of an average arc it takes at most.
const GAP: f64 = 1.5;
const GAP_PART: f64 = 0.08;
/// An arc of more turns ends where it begins, as far as rounded coordinates can tell.
const WHOLE: f64 = 0.9999;
/// An arc of the inner band that is shorter has no number.
const NUMBERED_LENGTH_MIN: f64 = 13.0;
/// An arc of the inner band that is shorter has no percentage below its number.
const PERCENT_LENGTH_MIN: f64 = 64.0;

/// A part of the circle: turns from the top, clockwise, and the backend.
#[derive(Clone, Copy, Debug)]
struct Arc {
    start: f64,
    end: f64,
    backend: usize,
}

pub(super) fn draw(ring: Option<&BackendRing>, report: &Report, (left, top): (f64, f64)) -> Group {
    let centre = (left + RADIUS, top + RADIUS);
    let shares = share_arcs(report);
    let (arcs, legend) = match ring {
        Some(ring) => layout_arcs(ring, report),
        None => (shares.clone(), "both rings: the part of the keys of each backend".to_owned()),
    };
    let mut group = Group::new().add(band(centre, POINTS_BAND, &arcs, report, 0.0));
    let gap = GAP.min(GAP_PART * TAU * SHARES_BAND.1 / shares.len() as f64);
    group = group.add(band(centre, SHARES_BAND, &shares, report, round(gap)));
    for arc in &shares {
        group = numbers(centre, arc, report).into_iter().fold(group, Group::add);
    }
    let gathered = ring.map(|_| ("inner ring: the same arcs gathered by backend".to_owned(), 44.0));
    let legends = [(legend, 24.0)].into_iter().chain(gathered);
    for (text, below) in legends {
        let at = (centre.0, centre.1 + RADIUS + below);
        group = group.add(label(at, 13.0, text).set("text-anchor", "middle").set("fill", GREY));
    }
    group.add(hub(centre, report))
}

/// What the middle says: the one number that a person came for.
fn hub(centre: (f64, f64), report: &Report) -> Group {
    let line = |below: f64, size: f64, text: String| {
        label((centre.0, centre.1 + below), size, text).set("text-anchor", "middle")
    };
    let deviation = percent(report.deviation);
    Group::new()
        .add(line(-34.0, 14.0, "busiest backend".to_owned()).set("fill", GREY))
        .add(
            line(12.0, 44.0, format!("{:.2}×", report.peak_to_average))
                .set("font-weight", "bold")
                .set("fill", INK),
        )
        .add(line(38.0, 14.0, "its fair share".to_owned()).set("fill", GREY))
        .add(line(66.0, 13.0, format!("sd {}", deviation.trim_start())).set("fill", GREY))
}

/// The arcs as they lie, or cells of equal size where there are too many, and what the legend says
/// about them.
fn layout_arcs(ring: &BackendRing, report: &Report) -> (Vec<Arc>, String) {
    let index: HashMap<&str, usize> =
        report.backends.iter().zip(0..).map(|(owned, index)| (owned.id.as_str(), index)).collect();
    let whole = ring.circle_places() as f64;
    let arcs = ring.ranges().map(|(range, node)| {
        let end = (range.through() as f64 + 1.0) / whole;
        Arc { start: end - range.fraction(), end, backend: index[node.id()] }
    });
    let arcs: Vec<Arc> = arcs.collect();
    if arcs.len() <= PICTURE_ARCS_MAX {
        return (arcs, "outer ring: who owns which arc, clockwise from 0 at the top".to_owned());
    }
    let legend = format!(
        "outer ring: {PICTURE_ARCS_MAX} cells, each for whoever owns most of it, clockwise from 0 at the top"
    );
    (cells(&arcs), legend)
}

/// Cuts the circle in equal cells and gives each to the backend that owns most of it.
fn cells(arcs: &[Arc]) -> Vec<Arc> {
    let count = PICTURE_ARCS_MAX as f64;
    let mut owned: Vec<HashMap<usize, f64>> = vec![HashMap::new(); PICTURE_ARCS_MAX];
    for arc in arcs {
        // An arc over the end of the circle begins before 0.
        let mut from = arc.start * count;
        let end = arc.end * count;
        while from < end {
            let until = (from.floor() + 1.0).min(end);
            let cell = from.floor().rem_euclid(count) as usize % PICTURE_ARCS_MAX;
            *owned[cell].entry(arc.backend).or_default() += until - from;
            from = until;
        }
    }
    let most = |parts: &HashMap<usize, f64>| {
        // Of equal parts the lowest backend, so that a picture does not depend on the order of a
        // map.
        let larger = |one: &(&usize, &f64), two: &(&usize, &f64)| {
            one.1.total_cmp(two.1).then(two.0.cmp(one.0))
        };
        parts.iter().max_by(larger).map(|(backend, _)| *backend)
    };
    let cell = |(number, parts): (usize, &HashMap<usize, f64>)| {
        let (start, end) = (number as f64 / count, (number + 1) as f64 / count);
        Some(Arc { start, end, backend: most(parts)? })
    };
    owned.iter().enumerate().filter_map(cell).collect()
}

/// One arc for each backend, as long as its share, in the order of the bars.
fn share_arcs(report: &Report) -> Vec<Arc> {
    let mut start = 0.0;
    let arcs = report.backends.iter().enumerate().map(|(backend, owned)| {
        let arc = Arc { start, end: start + owned.share, backend };
        start = arc.end;
        arc
    });
    arcs.filter(|arc| arc.end > arc.start).collect()
}

/// All arcs of a band: one path for each backend.
fn band(centre: (f64, f64), radii: (f64, f64), arcs: &[Arc], report: &Report, gap: f64) -> Group {
    let mut paths: Vec<Data> = vec![Data::new(); report.backends.len()];
    for arc in arcs {
        let path = std::mem::take(&mut paths[arc.backend]);
        paths[arc.backend] = with_arc(path, centre, radii, arc);
    }
    let mut group = Group::new();
    for (backend, (data, owned)) in paths.into_iter().zip(&report.backends).enumerate() {
        if data.is_empty() {
            continue;
        }
        let path = Path::new().set("d", data).set("fill", colour::of(backend).hex());
        let path = if gap > 0.0 && arcs.len() > 1 {
            path.set("stroke", "#ffffff").set("stroke-width", gap)
        } else {
            path
        };
        let name = legible(&owned.id);
        group = group.add(path.add(Title::new(format!(
            "{}: {}",
            name,
            percent(owned.share).trim_start()
        ))));
    }
    group
}

/// Adds the outline of an arc. A whole circle is two halves, because an arc of SVG cannot end where
/// it begins.
fn with_arc(path: Data, centre: (f64, f64), radii: (f64, f64), arc: &Arc) -> Data {
    if arc.end - arc.start > WHOLE {
        let middle = f64::midpoint(arc.start, arc.end);
        let path = with_arc(path, centre, radii, &Arc { end: middle, ..*arc });
        return with_arc(path, centre, radii, &Arc { start: middle, ..*arc });
    }
    let (outer, inner) = radii;
    let at = |turns, radius| position(centre, radius, turns);
    let large = f64::from(u8::from(arc.end - arc.start > 0.5));
    let to = |radius: f64, sweep: f64, end: (f64, f64)| {
        (radius, radius, 0.0, large, sweep, end.0, end.1)
    };
    path.move_to(at(arc.start, outer))
        .elliptical_arc_to(to(outer, 1.0, at(arc.end, outer)))
        .line_to(at(arc.end, inner))
        .elliptical_arc_to(to(inner, 0.0, at(arc.start, inner)))
        .close()
}

/// The number of a backend in its arc, and how much that is, where there is room.
fn numbers(centre: (f64, f64), arc: &Arc, report: &Report) -> Vec<svg::node::element::Text> {
    let (outer, inner) = SHARES_BAND;
    let radius = f64::midpoint(outer, inner);
    let length = (arc.end - arc.start) * TAU * radius;
    if report.backends.len() == 1 || length < NUMBERED_LENGTH_MIN {
        return Vec::new();
    }
    let middle = position(centre, radius, f64::midpoint(arc.start, arc.end));
    let ink = colour::of(arc.backend).text();
    let line = |below: f64, size: f64, text: String| {
        label((middle.0, middle.1 + below), size, text)
            .set("text-anchor", "middle")
            .set("fill", ink)
    };
    let number = (arc.backend + 1).to_string();
    if length < PERCENT_LENGTH_MIN {
        let size = (length * 0.6).clamp(9.0, 14.0);
        return vec![line(size * 0.36, size, number).set("font-weight", "bold")];
    }
    let share = format!("{:.1} %", report.backends[arc.backend].share * 100.0);
    vec![line(-2.0, 18.0, number).set("font-weight", "bold"), line(16.0, 13.0, share)]
}

/// A point on a circle, some turns clockwise from its top.
fn position(centre: (f64, f64), radius: f64, turns: f64) -> (f64, f64) {
    let (sin, cos) = (turns * TAU).sin_cos();
    (round(centre.0 + radius * sin), round(centre.1 - radius * cos))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc as Shared;

    use hashring::{Ring, Scheme, Xxh3};

    use super::{Arc, cells, layout_arcs, position};
    use crate::commands::ring::limits::PICTURE_ARCS_MAX;
    use crate::commands::ring::report::Report;

    /// The part of the circle that each of `backends` has in the outer band, and in truth.
    fn drawn_and_owned(backends: usize) -> Vec<(f64, f64)> {
        let scheme: Shared<dyn Scheme> = Shared::new(Xxh3);
        let node = |i| hashring::Node::new(format!("node-{i}")).with_data(None);
        let ring = Ring::builder().scheme(scheme).nodes((0..backends).map(node)).build().unwrap();
        let report = Report::new(&ring, Vec::new());
        let (arcs, _) = layout_arcs(&ring, &report);
        assert!(arcs.len() <= PICTURE_ARCS_MAX);
        let drawn = |backend| {
            let own = arcs.iter().filter(|arc| arc.backend == backend);
            own.map(|arc| arc.end - arc.start).sum()
        };
        let owned = report.backends.iter().map(|owned| owned.share);
        owned.enumerate().map(|(backend, share)| (drawn(backend), share)).collect()
    }

    #[test]
    fn the_outer_band_shows_what_backends_own() {
        for (drawn, owned) in drawn_and_owned(3) {
            assert!((drawn - owned).abs() < 1e-9, "{drawn}, {owned}");
        }
        let many = drawn_and_owned(30);
        assert!((many.iter().map(|(drawn, _)| drawn).sum::<f64>() - 1.0).abs() < 1e-9);
        // Cells go to the largest part, so they show a share only about.
        assert!(many.iter().all(|(drawn, owned)| (drawn / owned - 1.0).abs() < 0.4), "{many:?}");
    }

    #[test]
    fn the_top_is_0_and_a_quarter_later_is_the_right() {
        assert_eq!(position((100.0, 100.0), 50.0, 0.0), (100.0, 50.0));
        assert_eq!(position((100.0, 100.0), 50.0, 0.25), (150.0, 100.0));
    }

    #[test]
    fn a_cell_goes_to_whoever_owns_most_of_it() {
        let cell = 1.0 / PICTURE_ARCS_MAX as f64;
        let arcs = [
            // Over the end of the circle: half of the last cell, and 0.4 of the first.
            Arc { start: -0.5 * cell, end: 0.4 * cell, backend: 0 },
            Arc { start: 0.4 * cell, end: 1.0 - 0.5 * cell, backend: 1 },
        ];
        let cells = cells(&arcs);
        assert_eq!(cells.len(), PICTURE_ARCS_MAX);
        assert_eq!(cells[0].backend, 1);
        assert!(cells[..PICTURE_ARCS_MAX - 1].iter().all(|cell| cell.backend == 1));
    }
}
