//! Updates by one merge of sorted points, whatever the number of changes.

use super::{BucketIndex, Points};
use crate::scheme::TieOrder;

/// What to change in a set of points. The order of the entries does not matter.
#[derive(Debug, Default)]
pub(crate) struct PointEdits {
    /// Place and owner of points to take out; owners are numbered as before the change.
    pub(crate) removed: Vec<(u64, u32)>,
    /// Place and owner of points to put in; owners are numbered as after the change.
    pub(crate) added: Vec<(u64, u32)>,
}

impl Points {
    /// The points after `edits`, with every remaining owner renumbered.
    ///
    /// `renumber[owner]` is an owner's number after the change. It must ascend; an owner whose
    /// points all go has the number of the next one that stays. `None` if a point to take out does
    /// not exist. They are written to the memory of `spare` where it fits.
    pub(crate) fn merged(
        &self,
        mut edits: PointEdits,
        renumber: &Renumber,
        spare: Spare,
    ) -> Option<Self> {
        self.sort(&mut edits.removed);
        self.sort(&mut edits.added);
        let removals = self.positions_of(&edits.removed)?;
        let len = self.len() - removals.len() + edits.added.len() + super::WINDOW;
        let Spare { hashes, owners, starts } = spare;
        let mut output = Output { hashes: fitted(hashes, len), owners: fitted(owners, len) };

        let mut copied = 0;
        let mut removals = removals.iter().copied().peekable();
        for (hash, owner) in &edits.added {
            let at = self.insert_position(*hash, *owner, renumber, copied);
            while let Some(removal) = removals.next_if(|removal| *removal < at) {
                output.copy(self, copied, removal, renumber);
                copied = removal + 1;
            }
            output.copy(self, copied, at, renumber);
            copied = copied.max(at);
            output.hashes.push(*hash);
            output.owners.push(*owner);
        }
        for removal in removals {
            output.copy(self, copied, removal, renumber);
            copied = removal + 1;
        }
        output.copy(self, copied, self.len(), renumber);

        let index = self
            .index
            .shifted(steps(&edits), output.hashes.len(), starts)
            .unwrap_or_else(|| BucketIndex::of(&output.hashes, self.index.circle_bits()));
        Some(Self::seal(output.hashes, output.owners, index, self.tie_order))
    }

    /// Brings points into the order in which they stand on the circle.
    fn sort(&self, points: &mut [(u64, u32)]) {
        match self.tie_order {
            TieOrder::LowestIdFirst => points.sort_unstable(),
            TieOrder::HighestIdFirst => {
                points.sort_unstable_by_key(|(hash, owner)| (*hash, !owner));
            }
        }
    }

    /// Where each of these sorted points stands, `None` if one does not.
    fn positions_of(&self, sorted: &[(u64, u32)]) -> Option<Vec<usize>> {
        let mut positions = Vec::with_capacity(sorted.len());
        let mut free = 0;
        for (hash, owner) in sorted {
            let mut position = self.ceil(*hash).max(free);
            while self.hashes().get(position) == Some(hash) && self.owners[position] != *owner {
                position += 1;
            }
            if self.hashes().get(position) != Some(hash) {
                return None;
            }
            positions.push(position);
            free = position + 1;
        }
        Some(positions)
    }

    /// The position before which a new point goes, not before `from`.
    fn insert_position(&self, hash: u64, owner: u32, renumber: &Renumber, from: usize) -> usize {
        let rank = self.rank(owner);
        let mut position = self.ceil(hash).max(from);
        while self.hashes().get(position) == Some(&hash)
            && self.rank(renumber.apply(self.owners[position])) <= rank
        {
            position += 1;
        }
        position
    }
}

/// The changes in the order of places, each with what it adds to the count.
fn steps(edits: &PointEdits) -> impl Iterator<Item = (u64, i32)> + '_ {
    let mut removed = edits.removed.iter().map(|(hash, _)| *hash).peekable();
    let mut added = edits.added.iter().map(|(hash, _)| *hash).peekable();
    std::iter::from_fn(move || match (removed.peek(), added.peek()) {
        (Some(out), Some(new)) if out <= new => removed.next().map(|hash| (hash, -1)),
        (Some(_), None) => removed.next().map(|hash| (hash, -1)),
        (_, Some(_)) => added.next().map(|hash| (hash, 1)),
        (None, None) => None,
    })
}

/// The new number of every owner.
#[derive(Debug)]
pub(crate) enum Renumber {
    /// Nobody came or went.
    Same,
    /// One number for each old one.
    Table(Vec<u32>),
}

impl Renumber {
    fn apply(&self, owner: u32) -> u32 {
        match self {
            Self::Same => owner,
            Self::Table(table) => table[owner as usize],
        }
    }
}

/// The memory of points that nobody needs any more.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    hashes: Vec<u64>,
    owners: Vec<u32>,
    starts: Vec<u32>,
}

impl From<Points> for Spare {
    fn from(points: Points) -> Self {
        let Points { hashes, owners, index, .. } = points;
        Self { hashes, owners, starts: index.into_starts() }
    }
}

/// An empty buffer for `len` entries: this one, unless it is too small or much too large.
pub(super) fn fitted<T>(mut buffer: Vec<T>, len: usize) -> Vec<T> {
    if !(len..=len * 2).contains(&buffer.capacity()) {
        return Vec::with_capacity(len);
    }
    buffer.clear();
    buffer
}

struct Output {
    hashes: Vec<u64>,
    owners: Vec<u32>,
}

impl Output {
    /// Appends the old points from `start` up to `end`.
    fn copy(&mut self, old: &Points, start: usize, end: usize, renumber: &Renumber) {
        if start >= end {
            return;
        }
        self.hashes.extend_from_slice(&old.hashes[start..end]);
        let owners = &old.owners[start..end];
        match renumber {
            Renumber::Same => self.owners.extend_from_slice(owners),
            Renumber::Table(table) => {
                self.owners.extend(owners.iter().map(|owner| table[*owner as usize]));
            }
        }
    }
}
