//! `ping-tests.js`

use std::collections::BTreeMap;
use std::time::Duration;

use swim_core::Address;
use swim_core::Status::{Alive, Faulty, Suspect};

use super::fakes::sizes;
use super::status_changes;
use super::suite::{Sent, Suite};

#[test]
fn fair_round_robin_pings() {
    for n in [7, 10] {
        let mut suite = Suite::prepare(n);
        suite.run_for(Duration::from_secs(6));
        let targets: Vec<Address> =
            suite.take(Sent::is_ping).into_iter().map(|sent| sent.to).collect();
        assert!(targets.len().abs_diff(30) <= 1, "{} pings", targets.len());
        let mut counts: BTreeMap<&Address, usize> = BTreeMap::new();
        targets.iter().for_each(|target| *counts.entry(target).or_default() += 1);
        assert_eq!(counts.len(), n, "everybody is pinged");
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(most - least <= 1, "{counts:?}");
        let mut rounds: Vec<&[Address]> = targets.chunks_exact(n).collect();
        rounds.sort_unstable();
        assert!(rounds.windows(2).all(|pair| pair[0] != pair[1]), "each round has its own order");
        suite.finish();
    }
}

#[test]
fn ping_ringpop_from_fake_nodes() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        for from in [0, 1, 1, 1, 5, 6, 7].into_iter().filter(|from| *from < n) {
            // Gives the answer and panics when there is none.
            suite.ping(from, Vec::new());
        }
        suite.finish();
    }
}

#[test]
fn change_status_via_piggybacking() {
    status_changes::check(&[
        (Alive, Alive, [Alive, Alive, Alive]),
        (Alive, Suspect, [Alive, Suspect, Suspect]),
        (Alive, Faulty, [Alive, Faulty, Faulty]),
        (Suspect, Alive, [Suspect, Suspect, Alive]),
        (Suspect, Suspect, [Suspect, Suspect, Suspect]),
        (Suspect, Faulty, [Suspect, Faulty, Faulty]),
        (Faulty, Alive, [Faulty, Faulty, Alive]),
        (Faulty, Suspect, [Faulty, Faulty, Suspect]),
        (Faulty, Faulty, [Faulty, Faulty, Faulty]),
    ]);
}
