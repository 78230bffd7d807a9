//! The screen of `top`.

use std::io;
use std::time::Duration;

use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize as _;
use ratatui::widgets::{Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::hot_keys::{self, HotKey};
use super::{HEAD, Top};
use crate::limits::{TOP_COLUMNS_MIN, TOP_HOT_KEYS_LINES, TOP_LINES_MIN};

/// Where the reader is.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The first member that is shown.
    pub(super) first: usize,
    pub(super) is_paused: bool,
    /// Why the last question had no answer.
    pub(super) trouble: Option<String>,
}

/// The whole terminal, until it is dropped.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    pub(super) fn draw(
        &mut self,
        top: &Top,
        position: &Position,
        period: Duration,
    ) -> io::Result<()> {
        self.0.draw(|frame| render(top, position, period, frame)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn render(top: &Top, position: &Position, period: Duration, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < TOP_COLUMNS_MIN || area.height < TOP_LINES_MIN {
        let text = format!("needs {TOP_COLUMNS_MIN}x{TOP_LINES_MIN}");
        frame.render_widget(text, area);
        return;
    }
    let [head, rows, keys, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(key_lines(top, area.height)),
        Constraint::Length(1),
    ])
    .areas(area);
    let state = match (&position.trouble, position.is_paused) {
        (Some(trouble), _) => trouble.clone(),
        (None, true) => format!("{}, paused", top.summary()),
        (None, false) => format!("{}, every {period:?}", top.summary()),
    };
    frame.render_widget(state.bold(), head);
    let cells = top.members.iter().skip(position.first).map(super::Row::cells);
    let shown = cells.take(usize::from(rows.height)).collect();
    frame.render_widget(table(HEAD, shown), rows);
    if keys.height > 0 {
        let shown = top.hot_keys.iter().map(HotKey::cells).take(usize::from(keys.height)).collect();
        frame.render_widget(table(hot_keys::HEAD, shown), keys);
    }
    let missing = match top.unreached.len() {
        0 => String::new(),
        missing => format!("{missing} not asked - "),
    };
    frame.render_widget(format!("{missing}up/down scroll, +/- period, space pause, q quit"), foot);
}

/// Lines for hot keys: none where members would have fewer than as many.
fn key_lines(top: &Top, height: u16) -> u16 {
    let wanted = match top.hot_keys.len() {
        0 => 0,
        count => u16::try_from(count + 1).unwrap_or(u16::MAX).min(TOP_HOT_KEYS_LINES),
    };
    if height >= 2 * wanted + 2 { wanted } else { 0 }
}

/// A table whose columns are as wide as their widest cells.
fn table<const N: usize>(head: [&'static str; N], rows: Vec<[String; N]>) -> Table<'static> {
    let width = |column: usize| {
        let widest = rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(widest.max(head[column].len())).unwrap_or(u16::MAX))
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    Table::new(rows.into_iter().map(Row::new), widths)
        .header(Row::new(head).bold())
        .column_spacing(2)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn shown(width: u16, height: u16, position: &Position) -> Vec<String> {
        let row = |i: u16| super::super::Row {
            address: format!("127.0.0.1:{}", 7100 + i),
            state: "ready".to_owned(),
            seen: [("alive", 3), ("faulty", usize::from(i))]
                .into_iter()
                .filter(|(_, by)| *by > 0)
                .collect(),
            share: 0.25,
            pings: 5.04,
            handled: 0.0,
            forwarded: 12.0,
            in_flight: 3,
            problems: 0,
        };
        let (members, unreached) = ((0..4).map(row).collect(), Vec::new());
        let hot_keys = hot_keys::example();
        let top = Top { views: 2, members, hot_keys, unreached };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| render(&top, position, Duration::from_secs(2), frame)).unwrap();
        let line = |y| {
            let cell = |x| terminal.backend().buffer()[(x, y)].symbol();
            let line: String = (0..width).map(cell).collect();
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    #[test]
    fn members_are_shown_and_scrolled() {
        let text = shown(120, 8, &Position::default());
        assert_eq!(text[0], "4 members have 2 views, every 2s");
        assert!(text[1].starts_with("ADDRESS         STATE  SEEN"), "{text:?}");
        assert!(text[2].starts_with("127.0.0.1:7100  ready  alive "), "{text:?}");
        assert!(
            text[3].contains("alive by 3, faulty by 1") && text[3].contains("12.0"),
            "{text:?}"
        );
        assert!(text[7].contains("q quit"), "{text:?}");
        let trouble = Some("it is gone".to_owned());
        let text = shown(120, 6, &Position { first: 3, is_paused: false, trouble });
        assert!(text[0] == "it is gone" && text[2].starts_with("127.0.0.1:7103"), "{text:?}");
    }

    #[test]
    fn hot_keys_are_shown_where_there_is_room() {
        let text = shown(120, 12, &Position::default());
        let head = text.iter().position(|line| line.starts_with("KEY ")).expect("a heading");
        assert!(text[head + 1].starts_with("user-42  5.0"), "{text:?}");
        let text = shown(120, 5, &Position::default());
        assert!(!text.iter().any(|line| line.starts_with("KEY ")), "{text:?}");
    }

    #[test]
    fn a_terminal_that_is_too_small_says_what_it_needs() {
        let text = shown(30, 3, &Position::default());
        assert_eq!(text[0], format!("needs {TOP_COLUMNS_MIN}x{TOP_LINES_MIN}"));
        for (width, height) in [(1, 1), (2, 9), (200, 1)] {
            assert_eq!(shown(width, height, &Position::default()).len(), usize::from(height));
        }
    }
}
