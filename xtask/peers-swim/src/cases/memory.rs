//! What knowing a member costs: heap of an idle member that knows many, divided by their number.

use peers_swim::{Foca, Peer, Setup, settled};
use swim_sim::Swim;

use super::size;
use crate::measure;
use crate::report::{Bar, Row};

fn per_member<P: Peer>(members: u32) -> f64 {
    let setup = Setup::new(members, 3);
    let (peer, heap) = measure::bytes_kept(|| settled::<P>(&setup));
    let total = heap + size_of_val(&peer) as u64;
    total as f64 / f64::from(members)
}

pub(super) fn run() -> Vec<Row> {
    [1_000, 10_000]
        .into_iter()
        .map(|members| {
            let case = format!("idle memory per member, {}", size(members));
            let row = Row::new(case, "bytes", per_member::<Swim>(members))
                .peer(per_member::<Foca>(members));
            if members == 10_000 { row.bar(Bar::Value(160.0)) } else { row }
        })
        .collect()
}
