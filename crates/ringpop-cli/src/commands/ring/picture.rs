//! The picture of a ring: the circle beside bars of actual and expected shares, as SVG.
//!
//! No colour stands alone: every backend has a number that its part of the circle and its bar both
//! show.

mod bars;
mod circle;
mod colour;
#[cfg(feature = "png")]
mod png;
mod text;

use svg::Document;
use svg::node::element::{Group, Rectangle, Title};

use self::text::{BODY_FONTS, GREY, INK, label};
use super::backends::BackendRing;
use super::limits::PICTURE_BACKENDS_MAX;
use super::report::Report;
use crate::failure::Failure;
use crate::percent::grouped;

const WIDTH: f64 = 1320.0;
const MARGIN: f64 = 40.0;
/// Where the circle and the bars begin, below the title.
const TOP: f64 = 105.0;
/// Where the bars begin, beside the circle.
const BARS_LEFT: f64 = 640.0;

/// Draws what backends own, and a ring where there is one.
pub(super) fn draw(ring: Option<&BackendRing>, report: &Report) -> Result<String, Failure> {
    if report.backends.len() > PICTURE_BACKENDS_MAX {
        return Err(Failure::Failed(format!(
            "a picture shows {} backends at most and there are {}: leave --svg and --png out",
            grouped(PICTURE_BACKENDS_MAX as u64),
            grouped(report.backends.len() as u64)
        )));
    }
    let bars_height = bars::height(report);
    let content_height = bars_height.max(circle::HEIGHT);
    let height = TOP + content_height + MARGIN;
    // The lower of the two stands in the middle of the higher one.
    let top = |part_height: f64| TOP + (content_height - part_height) / 2.0;
    let circle = circle::draw(ring, report, (MARGIN, top(circle::HEIGHT)));
    let bars_width = WIDTH - MARGIN - BARS_LEFT;
    let bars = bars::draw(report, (BARS_LEFT, top(bars_height)), bars_width);
    let document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", BODY_FONTS)
        .set("role", "img")
        .add(Title::new(title(report)))
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("fill", "#ffffff"))
        .add(heading(report))
        .add(circle)
        .add(bars);
    Ok(document.to_string())
}

/// Renders an SVG picture as PNG, at twice its size so that it is sharp on a fine screen.
#[cfg(feature = "png")]
pub(super) fn png(svg: &str, font: Option<&std::path::Path>) -> Result<Vec<u8>, Failure> {
    png::render(svg, font)
}

/// Says how to get a command that renders PNG.
#[cfg(not(feature = "png"))]
pub(super) fn png(_svg: &str, _font: Option<&std::path::Path>) -> Result<Vec<u8>, Failure> {
    Err(Failure::Usage(
        "this command was built without PNG: build it with `--features png`, or draw with --svg"
            .to_owned(),
    ))
}

fn title(report: &Report) -> String {
    match report.backends.len() {
        1 => "One backend owns the whole ring".to_owned(),
        backends => format!("How {} backends share the ring", grouped(backends as u64)),
    }
}

fn heading(report: &Report) -> Group {
    let mut facts = vec![report.layout(), format!("{} points", grouped(report.points as u64))];
    if let Some(points) = report.points_per_weight_unit {
        facts.push(format!("{} per weight unit", grouped(u64::from(points))));
    }
    if !report.left_out.is_empty() {
        facts.push(format!("{} not healthy and left out", grouped(report.left_out.len() as u64)));
    }
    Group::new()
        .add(label((MARGIN, 50.0), 24.0, title(report)).set("font-weight", "bold").set("fill", INK))
        .add(label((MARGIN, 76.0), 14.0, facts.join("  ·  ")).set("fill", GREY))
}
