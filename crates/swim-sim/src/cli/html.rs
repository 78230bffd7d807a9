//! Results as a page for a browser: numbers and plots in one file.

use std::fmt::Write as _;

use plotters::prelude::{
    BLACK, ChartBuilder, Color as _, IntoDrawingArea as _, IntoFont as _, LineSeries, PathElement,
    RGBColor, SVGBackend, SeriesLabelPosition, WHITE,
};

use super::results::Results;
use super::table::{number, rows};
use crate::scenario::Scenario;
use crate::stats::{Curve, Metric};

/// Pixels of a plot.
const SIZE: (u32, u32) = (560, 320);

/// Values from which on the distribution of a metric is worth a plot.
const VALUES_MIN: usize = 20;

/// One colour for each implementation, told apart also by those who see few.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(220, 50, 32)];

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Simulated clusters</title><style>\
body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;\
color:#1c1c1c}h2{margin-top:3rem;border-bottom:1px solid #ddd}table{border-collapse:collapse}\
th,td{padding:.2rem .7rem;text-align:right;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child,td:nth-child(2),td:nth-child(3){text-align:left}\
tbody tr:nth-child(even){background:#f6f6f6}.plots{display:flex;flex-wrap:wrap;gap:1rem}\
</style></head><body><h1>Simulated clusters</h1>\n";

/// The page.
pub(super) fn page(results: &[Results]) -> Result<String, String> {
    let mut page = HEAD.to_owned();
    for result in results {
        section(&mut page, result).map_err(|error| format!("cannot draw the report: {error}"))?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

fn section(page: &mut String, result: &Results) -> Drawn<()> {
    let Results { scenario: Scenario { name, about, .. }, params, columns } = result;
    let loss = params.loss * 100.0;
    writeln!(
        page,
        "<h2>{name}</h2><p>{about}. {} members, {loss} % loss, {} repetitions from seed {}.</p>\
         <table><thead><tr><th>metric<th>unit<th>implementation<th>values<th>mean<th>median\
         <th>99 %<th>least<th>most</tr></thead><tbody>",
        params.nodes, params.repeat, params.seed
    )?;
    for (name, unit) in rows(columns) {
        for (implementation, outcome) in columns {
            let metric = outcome.metrics.iter().find(|metric| metric.name == name);
            let Some(summary) = metric.and_then(Metric::summary) else { continue };
            let values = [summary.mean, summary.median, summary.p99, summary.min, summary.max];
            let cells: String = values.iter().map(|v| format!("<td>{}", number(*v))).collect();
            let count = summary.count;
            writeln!(page, "<tr><td>{name}<td>{unit}<td>{implementation}<td>{count}{cells}</tr>")?;
        }
    }
    page.push_str("</tbody></table><div class=\"plots\">\n");
    for lines in curves(result) {
        page.push_str(&plot(&lines)?);
    }
    page.push_str("</div>\n");
    Ok(())
}

/// The lines of each plot: the curves of the scenario, and the distribution of
/// each metric with enough values.
fn curves(result: &Results) -> Vec<Vec<(&'static str, Curve)>> {
    let mut plots: Vec<Vec<(&'static str, Curve)>> = Vec::new();
    let mut add = |implementation, curve: Curve| {
        // Values that are all 0 need no picture, and an axis without length has no marks.
        if curve.points.last().is_none_or(|(end, _)| *end <= 0.0) {
            return;
        }
        let same = plots.iter_mut().find(|lines| lines[0].1.name == curve.name);
        match same {
            Some(lines) => lines.push((implementation, curve)),
            None => plots.push(vec![(implementation, curve)]),
        }
    };
    for (implementation, outcome) in &result.columns {
        outcome.curves.iter().for_each(|curve| add(*implementation, curve.clone()));
        for metric in outcome.metrics.iter().filter(|metric| metric.values.len() >= VALUES_MIN) {
            let total = metric.values.len();
            let curve = Curve::shares(metric.name, metric.unit, &metric.values, total);
            add(*implementation, Curve { y: "share of values", ..curve });
        }
    }
    plots
}

fn plot(lines: &[(&'static str, Curve)]) -> Drawn<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let curve = &lines[0].1;
        let ends = lines.iter().flat_map(|(_, curve)| &curve.points).map(|(x, _)| *x);
        let end = ends.fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(curve.name, ("sans-serif", 17).into_font())
            .margin(10)
            .x_label_area_size(38)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..end, 0.0..1.0)?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc(curve.x).y_desc(curve.y).max_light_lines(0).draw()?;
        for ((name, curve), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line)?.label(*name).legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2))
            });
        }
        let labels = &mut chart.configure_series_labels();
        labels
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}
