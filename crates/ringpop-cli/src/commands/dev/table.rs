//! The live table of `dev`, redrawn in place at the end of the terminal's text.
//!
//! Printed lines stay in the scrollback. With keys the terminal is in raw mode, in which Ctrl-C is
//! a key; it is as it was found when the table is closed.

use std::io::{self, Stdout};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Text;
use ratatui::widgets::{Row, Widget as _};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::cluster::{Cluster, Node};
use super::event::LoadReport;
use super::keys::HELP;
use crate::output::{checksum, has_colours, printable};

/// Lines that are not rows of members: the headings, the load and the summary.
const FRAME_LINES: u16 = 3;

/// Rows for members that a key adds; further ones are reached by scrolling.
const SPARE_ROWS: usize = 2;

/// The picture beside the members.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The member that keys are about.
    pub(super) selected: usize,
    /// What becomes of requests, while some are sent.
    pub(super) load: Option<LoadReport>,
}

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
    has_keys: bool,
    has_colours: bool,
}

impl Table {
    /// Takes as many lines as `nodes` need or the terminal has; `None` when the terminal does not
    /// say where its cursor is.
    pub(super) fn open(nodes: usize, has_keys: bool) -> Option<Self> {
        let spare = if has_keys { HELP.len() + SPARE_ROWS } else { 0 };
        let lines = u16::try_from(nodes + spare).unwrap_or(u16::MAX).saturating_add(FRAME_LINES);
        let viewport = Viewport::Inline(lines);
        let backend = CrosstermBackend::new(io::stdout());
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport }).ok()?;
        let has_keys = has_keys && enable_raw_mode().is_ok();
        Some(Self { terminal, has_keys, has_colours: has_colours(&io::stdout()) })
    }

    /// Removes what stands above the table.
    pub(super) fn clear(&mut self) {
        let height = self.terminal.size().map_or(0, |size| size.height);
        let lines = vec![""; usize::from(height)].join("\n");
        self.print(&lines);
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
    pub(super) fn draw(&mut self, cluster: &Cluster, shown: &Shown) {
        let look = Look { has_keys: self.has_keys, has_colours: self.has_colours };
        let _ = self.terminal.draw(|frame| render(cluster, shown, look, frame));
    }

    /// Removes the table; the terminal goes on below the lines above it.
    pub(super) fn close(&mut self) {
        let top = self.terminal.get_frame().area().as_position();
        let _ = self.terminal.clear();
        let _ = self.terminal.set_cursor_position(top);
        let _ = self.terminal.show_cursor();
        if std::mem::take(&mut self.has_keys) {
            let _ = disable_raw_mode();
        }
    }
}

impl Drop for Table {
    /// A panic must not leave a terminal that shows nothing that is typed.
    fn drop(&mut self) {
        if self.has_keys {
            let _ = disable_raw_mode();
        }
    }
}

/// How the table looks.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    has_keys: bool,
    has_colours: bool,
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

fn render(cluster: &Cluster, shown: &Shown, look: Look, frame: &mut Frame<'_>) {
    let nodes = cluster.nodes();
    // Help gives way to members, and its last lines to the first ones.
    let needed = nodes.len() + usize::from(FRAME_LINES);
    let spare = usize::from(frame.area().height).saturating_sub(needed);
    let help = if look.has_keys { &HELP[..HELP.len().min(spare)] } else { &[] };
    let help_lines = u16::try_from(help.len()).unwrap_or(0);
    let load_lines = u16::from(shown.load.is_some());
    let [rows_area, load_area, summary_area, help_area] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(load_lines),
        Constraint::Length(1),
        Constraint::Length(help_lines),
    ])
    .areas(frame.area());
    let room = usize::from(rows_area.height.saturating_sub(1));
    let first = if shown.selected < room { 0 } else { shown.selected + 1 - room };
    let rows = nodes.iter().enumerate().skip(first).take(room).map(|(index, node)| {
        let row = row(cluster, node, look);
        if look.has_keys && index == shown.selected { row.reversed() } else { row }
    });
    let header = Row::new(COLUMNS.map(|(name, _)| name)).bold();
    let widths = widths(frame.area().width).map(Constraint::Length);
    let table = ratatui::widgets::Table::new(rows, widths).header(header);
    frame.render_widget(table, rows_area);
    if let Some(load) = &shown.load {
        frame.render_widget(Text::raw(load.to_string()), load_area);
    }
    let hidden = nodes.len().saturating_sub(room);
    frame.render_widget(Text::raw(summary(cluster, hidden, look.has_keys)), summary_area);
    frame.render_widget(Text::from(help.join("\n")), help_area);
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

fn row(cluster: &Cluster, node: &Node, look: Look) -> Row<'static> {
    let address = node.address().to_owned();
    let pid = node.pid().map_or_else(String::new, |pid| pid.to_string());
    let condition = printable(node.condition());
    let Some(seen) = node.seen() else {
        let style = if look.has_colours { Style::new().fg(Color::Red) } else { Style::new() };
        return Row::new([address, pid, condition]).style(style);
    };
    let style = match cluster.agreed() {
        None if look.has_colours => Style::new().fg(Color::Yellow),
        _ => Style::new(),
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
fn summary(cluster: &Cluster, hidden: usize, has_keys: bool) -> String {
    let state = match cluster.agreed() {
        Some(sum) => format!("all agree on {}", checksum(sum)),
        None => "the members do not agree yet".to_owned(),
    };
    let stop = if has_keys { "? shows the keys, q stops" } else { "Ctrl-C stops" };
    match hidden {
        0 => format!("{state} - {stop}"),
        _ => format!("{state} - {hidden} more members - {stop}"),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::super::plan::Plan;
    use super::*;

    /// What a terminal of this size shows of a cluster of 4.
    fn shown_with(width: u16, height: u16, shown: &Shown, look: Look) -> Vec<String> {
        let plan = Plan::new(4, 7100).unwrap();
        let cluster = Cluster::new(&plan, &[Some(7), Some(8), None, None]);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| render(&cluster, shown, look, frame)).unwrap();
        let line = |y| {
            let cell = |x| terminal.backend().buffer()[(x, y)].symbol();
            let line: String = (0..width).map(cell).collect();
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    fn shown(width: u16) -> Vec<String> {
        shown_with(width, 4, &Shown::default(), Look::default())
    }

    #[test]
    fn help_and_load_are_shown_where_there_is_room() {
        let look = Look { has_keys: true, has_colours: false };
        let load = crate::commands::dev::load::Load::report_of_nothing();
        let beside = Shown { selected: 3, load: Some(load) };
        let tall = shown_with(80, 11, &beside, look);
        assert!(tall[4].starts_with("127.0.0.1:7103"), "{tall:?}");
        assert!(tall[5].starts_with("load 0/s"), "{tall:?}");
        assert!(tall[6].contains("? shows the keys"), "{tall:?}");
        assert!(tall[7].starts_with("up/down"), "{tall:?}");
        // The selected member is always there, and nothing panics in the smallest of terminals.
        let small = shown_with(80, 4, &beside, look);
        assert!(small[1].starts_with("127.0.0.1:7103"), "{small:?}");
        for (width, height) in [(1, 1), (3, 2), (20, 3)] {
            assert_eq!(shown_with(width, height, &beside, look).len(), usize::from(height));
        }
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
