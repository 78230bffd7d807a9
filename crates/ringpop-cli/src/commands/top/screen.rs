//! The screen of `top`.

use std::io;
use std::time::Duration;

use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize as _;
use ratatui::widgets::{Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::{HEAD, Top};
use crate::limits::{TOP_COLUMNS_MIN, TOP_LINES_MIN};

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
    let [head, rows, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(area);
    let state = match (&position.trouble, position.is_paused) {
        (Some(trouble), _) => trouble.clone(),
        (None, true) => format!("{}, paused", top.summary()),
        (None, false) => format!("{}, every {period:?}", top.summary()),
    };
    frame.render_widget(state.bold(), head);
    let cells = top.members.iter().skip(position.first).map(super::Row::cells);
    let shown: Vec<_> = cells.take(usize::from(rows.height)).collect();
    let width = |column: usize| {
        let widest = shown.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(widest.max(HEAD[column].len())).unwrap_or(u16::MAX))
    };
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let table = Table::new(shown.into_iter().map(Row::new), widths)
        .header(Row::new(HEAD).bold())
        .column_spacing(2);
    frame.render_widget(table, rows);
    let missing = match top.unreached.len() {
        0 => String::new(),
        missing => format!("{missing} not asked - "),
    };
    frame.render_widget(format!("{missing}up/down scroll, +/- period, space pause, q quit"), foot);
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
        let top = Top { views: 2, members: (0..4).map(row).collect(), unreached: Vec::new() };
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
    fn a_terminal_that_is_too_small_says_what_it_needs() {
        let text = shown(30, 3, &Position::default());
        assert_eq!(text[0], format!("needs {TOP_COLUMNS_MIN}x{TOP_LINES_MIN}"));
        for (width, height) in [(1, 1), (2, 9), (200, 1)] {
            assert_eq!(shown(width, height, &Position::default()).len(), usize::from(height));
        }
    }
}
