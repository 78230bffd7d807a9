//! `cargo xtask sim speed`: whether the simulator is as fast as it should be.

use serde_json::json;

use super::{Failure, Peer};
use crate::Swim;
use crate::speed::node_periods_per_second;

/// Members, node-periods in a second of CPU time that are wanted, and by how
/// much more than the peer.
const BARS: [(u32, f64); 2] = [(100, 1_000_000.0), (1_000, 500_000.0)];

/// How much faster than the peer.
const RATIO: f64 = 1.5;

pub(super) fn main(as_json: bool, peer: Option<Peer>) -> Result<(), Failure> {
    let mut all_hold = true;
    for (nodes, bar) in BARS {
        let ours = node_periods_per_second::<Swim>(nodes);
        let theirs = peer.map(|peer| (peer.speed)(nodes));
        let ratio = theirs.map(|theirs| ours / theirs);
        let holds = ours >= bar && ratio.is_none_or(|ratio| ratio >= RATIO);
        all_hold &= holds;
        let case = format!("node-periods per CPU-second, N={nodes}");
        let bar = match peer {
            Some(_) => format!(">= {bar} 1/s, ratio >= {RATIO}"),
            None => format!(">= {bar} 1/s"),
        };
        if as_json {
            let name = peer.map(|peer| peer.name);
            let line = json!({"bench": "sim", "case": case, "ours": ours, "peer": name,
                "peer_value": theirs, "unit": "1/s", "ratio": ratio, "bar": bar, "holds": holds});
            println!("{line}");
        } else {
            let theirs = theirs.zip(peer).map_or_else(String::new, |(theirs, peer)| {
                format!(", {} {theirs:.0}, ratio {:.2}", peer.name, ours / theirs)
            });
            let verdict = if holds { "holds" } else { "FAILS" };
            println!("{case}: swim-core {ours:.0}{theirs} ({bar}: {verdict})");
        }
    }
    if all_hold { Ok(()) } else { Err(Failure::Violated) }
}
