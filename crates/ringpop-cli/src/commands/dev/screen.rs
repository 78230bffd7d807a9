//! Where `dev` shows things: a live table on a terminal, lines otherwise.

use std::io::{self, IsTerminal as _};

use super::cluster::Cluster;
use super::event::DevEvent;
use super::table::Table;
use crate::output::Output;

/// Where things are shown.
pub(super) enum Screen {
    /// One line or object per event.
    Lines(Output),
    /// A table that is redrawn in place, with the events scrolling by above it.
    Table(Table),
}

impl Screen {
    /// A table for `nodes` members when standard output is a terminal that can show one.
    pub(super) fn new(json: bool, nodes: usize) -> Self {
        let lines = Self::Lines(Output::new(json));
        if json || !io::stdout().is_terminal() {
            return lines;
        }
        Table::open(nodes).map_or(lines, Self::Table)
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, event: &DevEvent) {
        match self {
            Self::Lines(output) => output.emit(event),
            // The table shows the members itself.
            Self::Table(_)
                if matches!(event, DevEvent::Status { .. } | DevEvent::Silent { .. }) => {}
            Self::Table(table) => table.print(&event.to_string()),
        }
    }

    /// Shows how things are.
    pub(super) fn draw(&mut self, cluster: &Cluster) {
        if let Self::Table(table) = self {
            table.draw(cluster);
        }
    }

    /// Leaves the terminal as it was found, below the last output.
    pub(super) fn close(&mut self) {
        if let Self::Table(table) = self {
            table.close();
        }
    }
}
