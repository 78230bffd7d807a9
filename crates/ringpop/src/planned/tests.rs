//! Planned moves in virtual time: hooks that are slow, fail and hang, crashes at every step,
//! members that are cut off, and clocks that are hours wrong, over many seeds. Members move one
//! after the other, two at a time, and in rolls from version to version.
//!
//! The moves, the parts in them, the switches, the rings and the maps are those of members. Only
//! what lies between members is simulated: announcements and clocks travel in a time that is drawn,
//! gossip brings the rest later. Checkers look at each ring that a member publishes:
//!
//! * every view has an owner for every key;
//! * two members take a key for their own at a time, or none does, for no longer than their clocks
//!   are measured wrong, where all could be told; and for no longer than gossip takes, where they
//!   could not;
//! * a move ends, at the mover and at all others, within its deadline and the leads of a switch;
//! * where hooks work and nothing else happens, an owner has the state of its keys;
//! * where a member leaves its place to a successor, its keys move there and no other key moves;
//! * in the end members agree, and each of them is on the ring.

mod hook;
mod moves;
mod rolls;
mod way;
mod world;

use tokio::time::sleep;

use super::*;

/// Deliberate faults, which the checkers must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// Members take the clocks of others for right.
    ComparesNoClocks,
    /// A hook may take any time.
    HasNoDeadline,
    /// The last member on the ring goes as well.
    LeavesNobody,
    /// Two members move at a time, and neither waits for the other.
    LetsNobodyGoFirst,
    /// A member that leaves tells others of its plan, and not who takes its place.
    TellsNoSuccessor,
    /// A place is its new holder's at once.
    DoesNotWaitForItsPlace,
    /// A member stands by until it is offered a place.
    StandsByForEver,
}

/// The limit of a hand-off.
const LIMIT: Duration = Duration::from_secs(1);

/// What a history had, for the test that all kinds of trouble come up.
#[derive(Debug, Default)]
struct Seen {
    troubles: usize,
    moves: usize,
    /// Places that were handed on without trouble.
    successions: usize,
    longest: Duration,
}

/// What members do in a history.
#[derive(Debug, Clone, Copy)]
enum Kind {
    OneAtATime,
    TwoAtATime,
    Roll,
}

fn run(kind: Kind, seed: u64, bug: Bug) -> Result<Seen, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        match kind {
            Kind::OneAtATime => moves::history(seed, bug, 1).await,
            Kind::TwoAtATime => moves::history(seed, bug, 2).await,
            Kind::Roll => rolls::history(seed, bug).await,
        }
    })
}

/// The histories: `RINGPOP_MOVE_SEEDS` has another number of them, or a range such as `70..80`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse().expect("RINGPOP_MOVE_SEEDS has numbers");
    match std::env::var("RINGPOP_MOVE_SEEDS") {
        Err(_) => 0..default,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

/// Runs histories, which must keep all promises; gives all that they had.
fn keep_their_promises(kind: Kind, default: u64) -> Seen {
    let mut all = Seen::default();
    let (mut in_trouble, mut calm) = (0, 0);
    let mut longest = [Duration::ZERO; 2];
    for seed in seeds(default) {
        let seen = run(kind, seed, Bug::None).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        in_trouble += usize::from(seen.troubles > 0);
        calm += usize::from(seen.troubles == 0);
        let longest = &mut longest[usize::from(seen.troubles > 0)];
        *longest = seen.longest.max(*longest);
        all.moves += seen.moves;
        all.successions += seen.successions;
    }
    let [calmly, troubled] = longest;
    let Seen { moves, successions, .. } = all;
    println!(
        "{kind:?}: {moves} moves, {successions} places handed on in calm; two members owned one \
         key, or none did, for {calmly:?} at most in {calm} histories without trouble, and for \
         {troubled:?} at most in {in_trouble} with"
    );
    assert!(in_trouble > 0 && calm > 0);
    all
}

#[test]
fn moves_keep_their_promises_in_any_trouble() {
    keep_their_promises(Kind::OneAtATime, 40);
}

#[test]
fn two_moves_at_a_time_keep_their_promises_in_any_trouble() {
    keep_their_promises(Kind::TwoAtATime, 40);
}

#[test]
fn rolls_keep_their_promises_in_any_trouble() {
    let seen = keep_their_promises(Kind::Roll, 24);
    assert!(seen.successions > 0, "{seen:?}");
}

#[test]
fn each_deliberate_fault_is_found() {
    for (kind, bug) in [
        (Kind::OneAtATime, Bug::ComparesNoClocks),
        (Kind::OneAtATime, Bug::HasNoDeadline),
        (Kind::OneAtATime, Bug::LeavesNobody),
        (Kind::TwoAtATime, Bug::LetsNobodyGoFirst),
        (Kind::Roll, Bug::TellsNoSuccessor),
        (Kind::Roll, Bug::DoesNotWaitForItsPlace),
        (Kind::Roll, Bug::StandsByForEver),
    ] {
        let found = (0..200).find_map(|seed| run(kind, seed, bug).err());
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}
