//! `ringpop ownership`, `collisions` and `ranges`: the ring of a running cluster.

use std::collections::BTreeMap;
use std::fmt;

use ringpop::MemberRing;
use ringpop::hashring::{Placement as _, Ring, diff};
use serde::Serialize;

use super::ring::{RangeMoves, ShareMoves};
use crate::admin::Admin;
use crate::args::{AgreedArgs, RangesArgs, Target};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::live_ring::{Entry, LiveRing, entry, lay_out};
use crate::output::{Output, checksum, columns, printable};
use crate::percent::{deviation, grouped, percent};
use crate::watch;

/// The ring that all members have, or that of the one that is asked.
async fn ring(target: &Target, any_view: bool) -> Result<LiveRing, Failure> {
    let admin = Admin::of(target)?;
    let first = admin.status().await?;
    let placement = first.placement.clone();
    if !any_view {
        let cluster = Cluster::crawl_from(admin.clone(), first).await?;
        cluster.warn_of_unreached();
        cluster.check_one_ring()?;
    }
    LiveRing::ask(&admin, &placement).await
}

pub(super) async fn ownership(args: AgreedArgs) -> Result<(), Failure> {
    let output = Output::new(args.target.json);
    watch::answer(&args.watch, output, || async {
        let ring = ring(&args.target, args.any_view.any_view).await?;
        Ok(Ownership::new(&ring))
    })
    .await
    .map(drop)
}

#[derive(Debug, Serialize)]
struct Ownership {
    placement: String,
    ring_checksum: String,
    /// Sorted by address.
    members: Vec<Owned>,
}

#[derive(Debug, Serialize)]
struct Owned {
    address: String,
    identity: String,
    weight: u32,
    points: u32,
    share: f64,
    /// The part that the weight asks for.
    expected: f64,
}

impl Ownership {
    fn new(ring: &LiveRing) -> Self {
        let total: u64 = ring.shares.iter().map(|share| u64::from(share.weight)).sum();
        let owned = |share: &ringpop::admin_client::RingShare| Owned {
            address: share.address.clone(),
            identity: share.identity.clone(),
            weight: share.weight,
            points: share.points,
            share: share.share,
            expected: f64::from(share.weight) / total.max(1) as f64,
        };
        Self {
            placement: ring.placement.to_string(),
            ring_checksum: checksum(ring.checksum),
            members: ring.shares.iter().map(owned).collect(),
        }
    }
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["ADDRESS", "IDENTITY", "WEIGHT", "POINTS", "   SHARE", "EXPECTED", "DEVIATION"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.members.iter().map(|owned| {
            let points = if owned.points > 0 { owned.points.to_string() } else { "-".to_owned() };
            let ratio = owned.share / owned.expected;
            [
                printable(&owned.address),
                printable(&owned.identity),
                owned.weight.to_string(),
                points,
                percent(owned.share),
                percent(owned.expected),
                if ratio.is_finite() { deviation(ratio) } else { String::new() },
            ]
        }));
        f.write_str(&columns(&rows))?;
        write!(f, "\nplacement {}, ring checksum {}", self.placement, self.ring_checksum)
    }
}

pub(super) async fn collisions(args: AgreedArgs) -> Result<(), Failure> {
    let output = Output::new(args.target.json);
    let ring = ring(&args.target, args.any_view.any_view).await?;
    let laid_out = ring.lay_out()?;
    let collisions = laid_out.as_ring().map(collisions_of);
    let points = laid_out.as_ring().map(|ring| ring.points().len());
    let placement = ring.placement.to_string();
    let found = collisions.as_ref().map_or(0, Vec::len);
    output.emit(&Collisions { placement, points, collisions: collisions.unwrap_or_default() });
    match found {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{found} points of the ring collide: the first member of each has the keys; another \
             identity of one of them ends it"
        ))),
    }
}

/// Places at which several members have a point.
fn collisions_of<N, S>(ring: &Ring<N, S>) -> Vec<Collision> {
    let mut found: Vec<Collision> = Vec::new();
    let mut points = ring.points().peekable();
    while let Some(point) = points.next() {
        let mut members = vec![point.node.id().to_owned()];
        while let Some(next) = points.next_if(|next| next.place == point.place) {
            members.push(next.node.id().to_owned());
        }
        if members.len() > 1 {
            found.push(Collision { place: checksum(point.place), members });
        }
    }
    found
}

#[derive(Debug, Serialize)]
struct Collisions {
    placement: String,
    /// `null` by a placement that has none.
    points: Option<usize>,
    collisions: Vec<Collision>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Collision {
    place: String,
    /// The first one owns the place.
    members: Vec<String>,
}

impl fmt::Display for Collisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(points) = self.points else {
            return write!(f, "placement {} has no points that could collide", self.placement);
        };
        if self.collisions.is_empty() {
            return write!(f, "no two of the {} points collide", grouped(points as u64));
        }
        let mut rows = vec![["PLACE", "MEMBERS"].map(str::to_owned)];
        let row = |it: &Collision| [it.place.clone(), printable(&it.members.join("  "))];
        rows.extend(self.collisions.iter().map(row));
        f.write_str(columns(&rows).trim_end())
    }
}

pub(super) async fn ranges(args: RangesArgs) -> Result<(), Failure> {
    if args.without.is_empty() && args.with.is_empty() && args.weight.is_empty() {
        return Err(Failure::Usage(
            "nothing would change: say what with --without, --with or --weight".to_owned(),
        ));
    }
    let live = ring(&args.target, args.any_view.any_view).await?;
    let (before, after) = (live.lay_out()?, next(&live, &args)?);
    let output = Output::new(args.target.json);
    match (before.as_ring(), after.as_ring()) {
        (Some(before), Some(after)) => {
            let movement = diff(before, after).map_err(Failure::failed)?;
            output.emit(&RangeMoves::new(after, &movement, args.ranges)?);
        }
        _ if args.ranges => {
            return Err(Failure::Usage(format!(
                "placement {} has no ranges: leave --ranges out",
                live.placement
            )));
        }
        _ => {
            let share = before.moved(&after).map_err(Failure::failed)?;
            let (old, new) = (before.shares(), after.shares());
            output.emit(&ShareMoves::new(before.name(), &old, &new, share));
        }
    }
    Ok(())
}

/// The ring after the changes that the command line asks about.
fn next(live: &LiveRing, args: &RangesArgs) -> Result<MemberRing, Failure> {
    let mut members: BTreeMap<String, Entry> =
        live.shares.iter().map(|share| (share.address.clone(), entry(share))).collect();
    let unknown = |address: &str| {
        Failure::Failed(format!(
            "{address} is not on the ring: `ringpop ownership {}` lists the members that are",
            args.target.address
        ))
    };
    for address in &args.without {
        let address = address.to_string();
        members.remove(&address).ok_or_else(|| unknown(&address))?;
    }
    for (address, weight) in &args.weight {
        let address = address.to_string();
        members.get_mut(&address).ok_or_else(|| unknown(&address))?.2 = *weight;
    }
    for (address, weight) in &args.with {
        let address = address.to_string();
        if members.contains_key(&address) {
            return Err(Failure::Failed(format!(
                "{address} is on the ring already: change it with --weight"
            )));
        }
        members.insert(address.clone(), (address.clone(), address, *weight));
    }
    lay_out(live.placement, members.into_values())
}

#[cfg(test)]
mod tests {
    use ringpop::hashring::Ringpop;

    use super::*;

    #[test]
    fn points_at_one_place_are_found() {
        let entry = |i: u32| (format!("10.0.0.{i}:7100"), format!("worker-{i}"), 1);
        let ring = lay_out("ring:100".parse().unwrap(), (1..4).map(entry)).unwrap();
        let ring = ring.as_ring().unwrap();
        assert_eq!((ring.points().len(), collisions_of(ring)), (300, Vec::new()));

        // The points of this scheme are named by identity and number, one behind the other.
        let ring = Ring::builder().scheme(Ringpop).nodes(["a", "a1", "b"]).build().unwrap();
        let found = collisions_of(&ring);
        assert_eq!(found.len(), 10, "a10 to a19 are points of both");
        for Collision { place, members } in &found {
            let place = u64::from_str_radix(place, 16).unwrap();
            assert_eq!(ring.lookup_at(place).unwrap().id(), members[0]);
            assert!(members.len() == 2 && !members.contains(&"b".to_owned()), "{members:?}");
        }
    }
}
