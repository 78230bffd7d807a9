//! `ringpop ring diff`: what moves when one list of backends replaces another.

use std::collections::BTreeMap;
use std::fmt;

use hashring::{Move, Movement, Ring, Scheme};
use serde::Serialize;

use super::backends::Backends;
use super::layout::place;
use super::limits::RANGES_MAX;
use super::placed::{Moved, Numbers};
use crate::args::RingDiffArgs;
use crate::failure::Failure;
use crate::output::{Output, columns, printable};
use crate::percent::{grouped, percent};
use crate::source::check_stdin_is_read_once;

pub(super) fn run(args: RingDiffArgs) -> Result<(), Failure> {
    check_stdin_is_read_once(&args.before, &args.after)?;
    let before = args.layout.ring(&Backends::read(&args.before)?)?;
    let after = args.layout.ring(&Backends::read(&args.after)?)?;
    let numbers = Numbers::new(&before, &Numbers::default());
    let next_numbers = Numbers::new(&after, &numbers);
    let placed = args.layout.placed(before.clone(), &numbers)?;
    let next = args.layout.placed(after.clone(), &next_numbers)?;
    if let Some((before, after)) = placed.zip(next) {
        if args.ranges {
            return Err(Failure::Usage(
                "only a ring has ranges that move: leave --ranges or --placement out".to_owned(),
            ));
        }
        let share = before.moved(&*after);
        let moved = Moved::new(before.name(), &before.shares(), &after.shares(), share);
        Output::new(args.json).emit(&moved);
        return Ok(());
    }
    let movement = hashring::diff(&before, &after).map_err(Failure::failed)?;
    Output::new(args.json).emit(&Report::new(&after, &movement, args.ranges)?);
    Ok(())
}

/// What moves from one ring to the next.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'r> {
    scheme: String,
    /// The part of the circle that moves.
    share: f64,
    /// The same in places, as text: programs that hold numbers in floating point would round it.
    places: String,
    /// How many ranges move.
    range_count: usize,
    /// The largest first.
    moves: Vec<Flow<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<Range<'r>>>,
}

/// All that moves from one backend to another. A ring without points has no backend to name.
#[derive(Debug, Serialize)]
struct Flow<'r> {
    from: Option<&'r str>,
    to: Option<&'r str>,
    share: f64,
    places: String,
    range_count: usize,
}

/// Places after `after` up to and including `through`, clockwise.
#[derive(Debug, Serialize)]
struct Range<'r> {
    after: String,
    through: String,
    from: Option<&'r str>,
    to: Option<&'r str>,
    share: f64,
}

type Ends<'r> = (Option<&'r str>, Option<&'r str>);

impl<'r> Report<'r> {
    /// Fails when all `ranges` are wanted and there are too many.
    pub(crate) fn new<N, S: Scheme>(
        ring: &Ring<N, S>,
        movement: &Movement<'r, N>,
        ranges: bool,
    ) -> Result<Self, Failure> {
        if ranges && movement.len() > RANGES_MAX {
            return Err(Failure::Failed(format!(
                "{} ranges move, and {RANGES_MAX} can be shown: leave --ranges out or take fewer --points",
                movement.len()
            )));
        }
        Ok(Self {
            scheme: ring.scheme().name().to_owned(),
            share: movement.fraction(),
            places: movement.places().to_string(),
            range_count: movement.len(),
            moves: flows(ring, movement),
            ranges: ranges.then(|| movement.iter().map(|moved| Range::new(ring, moved)).collect()),
        })
    }
}

fn flows<'r, N, S>(ring: &Ring<N, S>, movement: &Movement<'r, N>) -> Vec<Flow<'r>> {
    let mut sums: BTreeMap<Ends<'r>, (u128, usize)> = BTreeMap::new();
    for moved in movement {
        let (places, ranges) = sums.entry(ends(moved)).or_default();
        *places += moved.range.places();
        *ranges += 1;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    // The sort is stable: equal flows stay in the order of their backends.
    sums.sort_by_key(|(_, (places, _))| std::cmp::Reverse(*places));
    let flow = |((from, to), (places, range_count)): (Ends<'r>, (u128, usize))| Flow {
        from,
        to,
        share: places as f64 / ring.circle_places() as f64,
        places: places.to_string(),
        range_count,
    };
    sums.into_iter().map(flow).collect()
}

fn ends<'r, N>(moved: &Move<'r, N>) -> Ends<'r> {
    (moved.from.map(|node| node.id()), moved.to.map(|node| node.id()))
}

impl<'r> Range<'r> {
    fn new<N, S: Scheme>(ring: &Ring<N, S>, moved: &Move<'r, N>) -> Self {
        let (from, to) = ends(moved);
        Self {
            after: place(ring, moved.range.after()),
            through: place(ring, moved.range.through()),
            from,
            to,
            share: moved.range.fraction(),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.moves.is_empty() {
            return f.write_str("nothing moves");
        }
        writeln!(
            f,
            "{} of the keys move, in {} {}",
            percent(self.share).trim_start(),
            grouped(self.range_count as u64),
            if self.range_count == 1 { "range" } else { "ranges" }
        )?;
        let mut rows = vec![["FROM", "TO", "   SHARE", "RANGES"].map(str::to_owned)];
        rows.extend(self.moves.iter().map(|flow| {
            let ranges = format!("{:>6}", grouped(flow.range_count as u64));
            [name(flow.from), name(flow.to), percent(flow.share), ranges]
        }));
        write!(f, "\n{}", columns(&rows).trim_end())?;
        let Some(ranges) = &self.ranges else {
            return Ok(());
        };
        let mut rows = vec![["AFTER", "THROUGH", "FROM", "TO"].map(str::to_owned)];
        rows.extend(ranges.iter().map(|range| {
            [range.after.clone(), range.through.clone(), name(range.from), name(range.to)]
        }));
        write!(f, "\n\n{}", columns(&rows).trim_end())
    }
}

fn name(backend: Option<&str>) -> String {
    backend.map_or_else(|| "(nobody)".to_owned(), printable)
}
