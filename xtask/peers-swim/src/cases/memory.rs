//! What knowing a member costs: heap of an idle member that knows many, divided by their number.

use super::size;
use crate::adapter::{Foca, Ours, Peer, Setup, settled};
use crate::measure;
use crate::report::{Bar, Row};

fn per_member<P: Peer>(members: usize) -> f64 {
    let setup = Setup { members, seed: 3 };
    let (peer, heap) = measure::bytes_kept(|| settled::<P>(setup));
    let total = heap + size_of_val(&peer) as u64;
    total as f64 / members as f64
}

pub(super) fn run() -> Vec<Row> {
    [1_000, 10_000]
        .into_iter()
        .map(|members| {
            let case = format!("idle memory per member, {}", size(members));
            let row = Row::new(case, "bytes", per_member::<Ours>(members))
                .peer(per_member::<Foca>(members));
            if members == 10_000 { row.bar(Bar::Value(160.0)) } else { row }
        })
        .collect()
}
