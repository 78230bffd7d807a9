//! Where `dev` shows things: a live table on a terminal, lines otherwise.

use std::io::{self, IsTerminal as _};

use super::cluster::Cluster;
use super::event::DevEvent;
use super::table::{Shown, Table};
use crate::output::Output;

/// Where things are shown.
pub(super) enum Screen {
    /// One line or object per event.
    Lines { output: Output, is_read: bool },
    /// A table that is redrawn in place, with the events scrolling by above it.
    Table(Table),
}

impl Screen {
    /// A table for `nodes` members when standard output is a terminal that can show one, with help
    /// on the keys when there are keys.
    pub(super) fn new(json: bool, nodes: usize, has_keys: bool) -> Self {
        let lines = Self::Lines { output: Output::new(json), is_read: true };
        if json || !io::stdout().is_terminal() {
            return lines;
        }
        Table::open(nodes, has_keys).map_or(lines, Self::Table)
    }

    /// Whether somebody can read what is told.
    pub(super) const fn is_read(&self) -> bool {
        match self {
            Self::Lines { is_read, .. } => *is_read,
            Self::Table(_) => true,
        }
    }

    /// Removes the lines above the table that are on the screen.
    pub(super) fn clear(&mut self) {
        if let Self::Table(table) = self {
            table.clear();
        }
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, event: &DevEvent) {
        match self {
            Self::Lines { output, is_read } => *is_read &= output.emit(event),
            // The table shows the members and the load itself.
            Self::Table(_)
                if matches!(
                    event,
                    DevEvent::Status { .. } | DevEvent::Silent { .. } | DevEvent::Load(_)
                ) => {}
            Self::Table(table) => table.print(&event.to_string()),
        }
    }

    /// Shows how things are.
    pub(super) fn draw(&mut self, cluster: &Cluster, shown: &Shown) {
        if let Self::Table(table) = self {
            table.draw(cluster, shown);
        }
    }

    /// Leaves the terminal as it was found, below the last output.
    pub(super) fn close(&mut self) {
        if let Self::Table(table) = self {
            table.close();
        }
    }
}
