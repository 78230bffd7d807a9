//! The live table of `dev`, redrawn in place at the end of the terminal's text.
//!
//! The terminal stays in its ordinary mode: Ctrl-C is a signal, and what was printed stays in the scrollback.

use std::io::{self, Stdout};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Text;
use ratatui::widgets::{Row, Widget as _};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::cluster::{Cluster, Node};
use crate::output::{checksum, printable};

/// Lines that are not rows of members: the headings and the summary.
const FRAME_LINES: u16 = 2;

const COLUMNS: [(&str, u16); 7] = [
    ("ADDRESS", 15),
    ("STATE", 18),
    ("SEES", 4),
    ("CHECKSUM", 16),
    ("SHARE", 7),
    ("HANDLED", 8),
    ("FORWARDED", 9),
];

/// The live table.
pub(super) struct Table {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Table {
    /// Takes as many lines as `nodes` need or the terminal has; `None` when the terminal does not say where its
    /// cursor is.
    pub(super) fn open(nodes: usize) -> Option<Self> {
        let lines = u16::try_from(nodes)
            .unwrap_or(u16::MAX)
            .saturating_add(FRAME_LINES);
        let viewport = Viewport::Inline(lines);
        let backend = CrosstermBackend::new(io::stdout());
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport }).ok()?;
        Some(Self { terminal })
    }

    /// Prints text above the table.
    pub(super) fn print(&mut self, text: &str) {
        // What cannot be shown is not worth ending the cluster for; the same holds below.
        let Ok(size) = self.terminal.size() else {
            return;
        };
        let text = Text::raw(folded(text, usize::from(size.width.max(1))));
        let height = u16::try_from(text.height()).unwrap_or(u16::MAX);
        let _ = self
            .terminal
            .insert_before(height, |buffer| text.render(buffer.area, buffer));
    }

    /// Draws the table anew.
    pub(super) fn draw(&mut self, cluster: &Cluster) {
        let _ = self.terminal.draw(|frame| render(cluster, frame));
    }

    /// Leaves the last picture and puts the cursor below it.
    pub(super) fn close(&mut self) {
        let area = self.terminal.get_frame().area();
        let _ = self
            .terminal
            .set_cursor_position((0, area.bottom().saturating_sub(1)));
        let _ = self.terminal.show_cursor();
        println!();
    }
}

/// Text with no line longer than `width` characters.
fn folded(text: &str, width: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for line in text.lines() {
        for (place, c) in line.chars().enumerate() {
            if place > 0 && place % width == 0 {
                folded.push('\n');
            }
            folded.push(c);
        }
        folded.push('\n');
    }
    folded
}

fn render(cluster: &Cluster, frame: &mut Frame<'_>) {
    let [rows_area, summary_area] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    let nodes = cluster.nodes();
    let room = usize::from(rows_area.height.saturating_sub(1));
    let rows = nodes.iter().take(room).map(|node| row(cluster, node));
    let header = Row::new(COLUMNS.map(|(name, _)| name)).bold();
    let widths = COLUMNS.map(|(_, width)| Constraint::Length(width));
    let table = ratatui::widgets::Table::new(rows, widths).header(header);
    frame.render_widget(table, rows_area);
    frame.render_widget(
        summary(cluster, nodes.len().saturating_sub(room)),
        summary_area,
    );
}

fn row(cluster: &Cluster, node: &Node) -> Row<'static> {
    let address = node.address().to_owned();
    let condition = printable(node.condition());
    let Some(seen) = node.seen() else {
        return Row::new([address, condition]).style(Style::new().fg(Color::Red));
    };
    let style = match cluster.agreed() {
        Some(_) => Style::new(),
        None => Style::new().fg(Color::Yellow),
    };
    Row::new([
        address,
        condition,
        seen.members.to_string(),
        checksum(seen.checksum),
        format!("{:.1} %", seen.share * 100.0),
        seen.handled.to_string(),
        seen.forwarded.to_string(),
    ])
    .style(style)
}

/// One line on the whole: whether all agree, and how many rows found no room.
fn summary(cluster: &Cluster, hidden: usize) -> String {
    let state = match cluster.agreed() {
        Some(sum) => format!("all agree on {}", checksum(sum)),
        None => "the members do not agree yet".to_owned(),
    };
    match hidden {
        0 => format!("{state} - Ctrl-C stops"),
        _ => format!("{state} - {hidden} more members - Ctrl-C stops"),
    }
}
