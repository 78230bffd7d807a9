//! Rolls from version to version: members that come take the places of those that leave.

use super::super::mover::Aim;
use super::super::succession::{answer, hand_place_on};
use super::hook::begin;
use super::world::{CUT_MAX, GOSSIP_MAX, KEYS, Setup, World, key};
use super::*;
use crate::limits::{PLACE_LOST_PATIENCE, ROLL_LOOK_INTERVAL};
use crate::place::OwnPlace;
use crate::rolls::{self, Search, Step};

const MEMBERS: usize = 4;
/// As many as leave, one after the other.
const NEWCOMERS: usize = 3;
/// How long members stand by.
const ROLL_WAIT: Duration = Duration::from_secs(12);

/// A roll of all members but one, in whatever trouble.
pub(super) async fn history(seed: u64, bug: Bug) -> Result<Seen, String> {
    let is_calm = seed.is_multiple_of(2);
    let (members, newcomers, roll_wait) = (MEMBERS, NEWCOMERS, Some(ROLL_WAIT));
    let hooks_work = seed.is_multiple_of(4);
    let world = begin(Setup { seed, bug, members, newcomers, hooks_work, roll_wait });
    for i in 0..MEMBERS {
        tokio::spawn(attend(Arc::clone(&world), i));
    }
    let mut seen = Seen::default();
    for newcomer in MEMBERS..MEMBERS + NEWCOMERS {
        let alive = world.alive();
        world.join(newcomer, alive[world.draw(alive.len() as u64) as usize]);
        tokio::spawn(come(Arc::clone(&world), newcomer));
        // The next member may leave before all have heard of the new one.
        sleep(Duration::from_millis(world.draw(2_500))).await;
        let old: Vec<usize> = alive.into_iter().filter(|i| *i < MEMBERS).collect();
        if old.len() < 2 {
            break;
        }
        let leaver = old[world.draw(old.len() as u64) as usize];
        let before = owners(&world);
        let leaving = tokio::spawn(leave(Arc::clone(&world), leaver));
        sleep(Duration::from_millis(world.draw(1_300))).await;
        let has_trouble = !is_calm && trouble(&world, leaver, newcomer);
        seen.troubles += usize::from(has_trouble);
        let successor = leaving.await.unwrap();
        seen.moves += 1;
        sleep(GOSSIP_MAX + CUT_MAX + Duration::from_secs(2)).await;
        if let Some(successor) = successor.filter(|_| is_calm) {
            seen.successions += 1;
            check_moved(&world, &before, leaver, world.index(successor.as_str()));
        }
    }
    // Those that still stand by or have lost their place find one.
    sleep(ROLL_WAIT + PLACE_LOST_PATIENCE + Duration::from_secs(5)).await;
    for i in world.alive() {
        let place = &world.places[i];
        let is_on = place.views.with(|view| view.ring.node(place.address.as_str()).is_some());
        world.must(is_on, || format!("{i} is on no ring in the end"));
    }
    seen.longest = world.check_the_end(seen.troubles == 0).await?;
    Ok(seen)
}

/// The owners of the keys, as the first member that is alive sees them.
fn owners(world: &World) -> Vec<usize> {
    let view = world.places[world.alive()[0]].views.load();
    let owner = |k| world.index(view.lookup(key(k).as_bytes()).unwrap());
    (0..KEYS).map(owner).collect()
}

/// The keys of the member that left are its successor's, and no other key moved.
fn check_moved(world: &World, before: &[usize], leaver: usize, successor: usize) {
    for (k, (before, now)) in before.iter().zip(owners(world)).enumerate() {
        let expected = if *before == leaver { successor } else { *before };
        world.must(now == expected, || format!("{now} has key {k} in place of {expected}"));
    }
}

/// Whether something happened.
fn trouble(world: &Arc<World>, leaver: usize, newcomer: usize) -> bool {
    let alive = world.alive();
    let other = alive[world.draw(alive.len() as u64) as usize];
    let who = [leaver, newcomer, other][world.draw(3) as usize];
    let on_ring = alive.iter().filter(|i| **i != newcomer && **i != leaver && **i != who);
    match world.draw(3) {
        0 if on_ring.count() > 1 => world.kill(who),
        1 => world.cut(who),
        _ => return false,
    }
    true
}

/// What a newcomer does when it has joined, and from then on.
async fn come(world: Arc<World>, i: usize) {
    let place = &world.places[i];
    if place.views.with(|view| rolls::is_rolling(view, &place.address)) {
        world.change(i, |says| says.place = OwnPlace::StandsBy);
    } else {
        take_keys(&world, i).await;
    }
    attend(world, i).await;
}

async fn take_keys(world: &Arc<World>, i: usize) {
    choose_place(world, i);
    world.change_weight(i, 1).await;
}

fn choose_place(world: &Arc<World>, i: usize) {
    let place = &world.places[i];
    let now_ms = place.planner.clocks.now_ms();
    let free = place.views.with(|view| rolls::free_place(view, &place.address, now_ms));
    world.change(i, |says| says.place = free.map_or(OwnPlace::Identity, OwnPlace::Taken));
}

/// What `member::rolls` does.
async fn attend(world: Arc<World>, i: usize) {
    let (place, way) = (&world.places[i], world.way(i));
    let mut offers = place.planner.take_offers().unwrap();
    let mut published = place.views.published();
    let mut search = Search::default();
    loop {
        if world.is_dead(i) || place.is_leaving.load(Ordering::Relaxed) {
            return;
        }
        let stands_by = place.says.lock().unwrap().place == OwnPlace::StandsBy;
        let wait = if world.setup.bug == Bug::StandsByForEver { Duration::MAX } else { ROLL_WAIT };
        match search.next(&place.views.load(), &place.address, stands_by, wait) {
            Some(Step::TakeKeys) => take_keys(&world, i).await,
            Some(Step::ChoosePlace) => choose_place(&world, i),
            None => {}
        }
        tokio::select! {
            offer = offers.recv() => answer(&*way, &place.planner, offer.unwrap()).await,
            _ = published.changed() => {}
            () = sleep(ROLL_LOOK_INTERVAL) => {}
        }
    }
}

/// What a member does that leaves in order; gives its successor.
async fn leave(world: Arc<World>, i: usize) -> Option<Address> {
    let planner = &world.places[i].planner;
    world.places[i].is_leaving.store(true, Ordering::Relaxed);
    let _one_at_a_time = planner.own.lock().await;
    let (began, limit) = (Clock::now(), world.setup.limit());
    let successor = hand_place_on(&*world.way(i), planner, limit).await;
    let took = began.elapsed();
    world.must(took <= limit / 4, || format!("a place was offered for {took:?}"));
    world.plan(i, &Aim { weight: 0, successor: successor.clone() }).await;
    if !world.is_dead(i) {
        world.change(i, |says| says.status = Status::Leave);
    }
    successor
}
