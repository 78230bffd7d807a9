//! Each checker is proven to bite: bugs are put into the machine, one at a
//! time, and each is found within a thousand seeds, by the checker that is
//! there for it.

use swim_core::mutation::{Mutation, activate};
use swim_sim::campaign::{Faults, run};

/// Seeds within which a bug must be found.
const SEEDS: u64 = 1_000;

/// Looks for the first seed at which a bug violates a property.
fn find(mutation: Mutation, wanted: &str) {
    activate(Some(mutation));
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        match run(seed, Faults::default()).violation {
            Some(violation) if violation.property == wanted => {
                println!("{mutation:?}: seed {seed}: {violation}");
                activate(None);
                return;
            }
            Some(violation) => others.push((seed, violation.property)),
            None => {}
        }
    }
    panic!("{mutation:?} is not found by `{wanted}` but by {others:?}");
}

macro_rules! bites {
    ($($name:ident: $mutation:ident => $property:literal;)*) => {
        $(#[test] fn $name() {
            find(Mutation::$mutation, $property);
        })*
    };
}

bites! {
    an_alive_that_wins: AliveWins => "transitions are legal";
    no_refutation: NoRefutation => "all come to one view";
    a_member_that_believes_its_end: BelievesItsEnd => "nobody takes itself for faulty";
    a_wall_clock_that_falls: WallClockOnly => "incarnations never fall";
    an_endless_suspicion: EndlessSuspicion => "a suspicion ends in its time";
    a_hasty_suspicion: HastySuspicion => "a suspicion ends in its time";
    a_sync_that_resurrects: ResurrectingSync => "nobody comes back without newer evidence";
    a_piggyback_that_leaks: LeakingPiggyback => "gossip ends";
    a_page_without_bound: UnboundedPage => "everything is bounded";
    an_event_that_is_lost: LostEvent => "the ring has the reachable members";
    an_event_that_is_repeated: RepeatedEvent => "no event is lost";
    a_refutation_for_another: RefutesForOthers => "nobody refutes for another";
    a_checksum_that_is_blind: BlindChecksum => "equal checksums mean equal views";
}

/// The seeds before the first that shows it take as long as those of all other bugs together.
#[test]
fn labels_of_another_incarnation() {
    if crate::runs_all("the search for labels of another incarnation") {
        find(Mutation::MixedLabels, "labels belong to their incarnation");
    }
}
