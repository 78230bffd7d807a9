//! The live table of `dev`, redrawn in place at the end of the terminal's text.
//!
//! The terminal stays in its ordinary mode: Ctrl-C is a signal, and printed lines stay in the
//! scrollback.

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

/// Headings and widths; with a blank between columns just the 80 of a common terminal.
const COLUMNS: [(&str, u16); 8] = [
    ("ADDRESS", 15),
    ("PROCESS", 7),
    ("STATE", 17),
    ("SEES", 4),
    ("CHECKSUM", 8),
    ("SHARE", 6),
    ("HANDLED", 7),
    ("FORWARDED", 9),
];

/// The live table.
pub(super) struct Table {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Table {
    /// Takes as many lines as `nodes` need or the terminal has; `None` when the terminal does not
    /// say where its cursor is.
    pub(super) fn open(nodes: usize) -> Option<Self> {
        let lines = u16::try_from(nodes).unwrap_or(u16::MAX).saturating_add(FRAME_LINES);
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
        let _ = self.terminal.insert_before(height, |buffer| text.render(buffer.area, buffer));
    }

    /// Draws the table anew.
    pub(super) fn draw(&mut self, cluster: &Cluster) {
        let _ = self.terminal.draw(|frame| render(cluster, frame));
    }

    /// Removes the table; the terminal goes on below the lines above it.
    pub(super) fn close(&mut self) {
        let top = self.terminal.get_frame().area().as_position();
        let _ = self.terminal.clear();
        let _ = self.terminal.set_cursor_position(top);
        let _ = self.terminal.show_cursor();
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
    let widths = widths(frame.area().width).map(Constraint::Length);
    let table = ratatui::widgets::Table::new(rows, widths).header(header);
    frame.render_widget(table, rows_area);
    frame.render_widget(summary(cluster, nodes.len().saturating_sub(room)), summary_area);
}

/// The widths of the columns that are shown: as many as fit, from the left. A terminal that is too
/// narrow for all shows these whole, because rows whose addresses are cut off look alike.
fn widths(room: u16) -> impl Iterator<Item = u16> {
    let mut end = 0;
    COLUMNS.into_iter().enumerate().map_while(move |(place, (_, width))| {
        end += u16::from(place > 0) + width;
        (place == 0 || end <= room).then_some(width)
    })
}

fn row(cluster: &Cluster, node: &Node) -> Row<'static> {
    let address = node.address().to_owned();
    let pid = node.pid().map_or_else(String::new, |pid| pid.to_string());
    let condition = printable(node.condition());
    let Some(seen) = node.seen() else {
        return Row::new([address, pid, condition]).style(Style::new().fg(Color::Red));
    };
    let style = match cluster.agreed() {
        Some(_) => Style::new(),
        None => Style::new().fg(Color::Yellow),
    };
    Row::new([
        address,
        pid,
        condition,
        seen.members.to_string(),
        // Half of it: enough to see who differs, and the summary has the whole.
        checksum(seen.checksum)[..8].to_owned(),
        format!("{:.1}%", seen.share * 100.0),
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

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::super::plan::Plan;
    use super::*;

    /// What a terminal of this width and 4 lines shows of a cluster of 4.
    fn shown(width: u16) -> Vec<String> {
        let plan = Plan::new(4, 7100).unwrap();
        let cluster = Cluster::new(&plan, &[Some(7), Some(8), None, None]);
        let mut terminal = Terminal::new(TestBackend::new(width, 4)).unwrap();
        terminal.draw(|frame| render(&cluster, frame)).unwrap();
        let line = |y| {
            let cell = |x| terminal.backend().buffer()[(x, y)].symbol();
            let line: String = (0..width).map(cell).collect();
            line.trim_end().to_owned()
        };
        (0..4).map(line).collect()
    }

    #[test]
    fn a_narrow_terminal_shows_fewer_columns_and_whole_addresses() {
        for (width, last) in [(80, "FORWARDED"), (79, "HANDLED"), (60, "CHECKSUM"), (16, "ADDRESS")]
        {
            let text = shown(width);
            assert!(text[0].ends_with(last), "{width}: {text:?}");
            assert!(text[1].starts_with("127.0.0.1:7100"), "{width}: {text:?}");
            assert!(text[2].starts_with("127.0.0.1:7101"), "{width}: {text:?}");
        }
    }

    #[test]
    fn rows_that_find_no_room_are_counted() {
        let text = shown(80);
        assert!(text[0].starts_with("ADDRESS         PROCESS STATE"), "{text:?}");
        assert_eq!(text[1], "127.0.0.1:7100  7       no answer");
        assert_eq!(text[2], "127.0.0.1:7101  8       no answer");
        assert!(text[3].contains("2 more members"), "{text:?}");
    }

    #[test]
    fn long_lines_are_folded_and_none_is_lost() {
        assert_eq!(folded("abcdefg\n\nh", 3), "abc\ndef\ng\n\nh\n");
    }
}
