//! Rolls from version to version: members that come take the places of those that leave.

use super::super::mover::Aim;
use super::super::succession::{answer, hand_place_on};
use super::hook::begin;
use super::world::{CUT_MAX, GOSSIP_MAX, KEYS, Setup, World, key};
use super::*;
use crate::limits::{PLACE_LOST_PATIENCE, ROLL_LOOK_INTERVAL};
use crate::place::OwnPlace;
use crate::rolls::{self, Search, Step};

const MEMBERS: usize = 5;
/// As many as leave.
const NEWCOMERS: usize = 4;
/// How long members stand by.
const ROLL_WAIT: Duration = Duration::from_secs(40);

/// A roll of all members but one, one or two at a time, in whatever trouble.
pub(super) async fn history(seed: u64, bug: Bug) -> Result<Seen, String> {
    let is_calm = seed.is_multiple_of(2);
    let (members, newcomers, roll_wait) = (MEMBERS, NEWCOMERS, Some(ROLL_WAIT));
    let hooks_work = seed.is_multiple_of(4);
    let world = begin(Setup { seed, bug, members, newcomers, hooks_work, roll_wait });
    for i in 0..MEMBERS {
        tokio::spawn(attend(Arc::clone(&world), i));
    }
    let mut seen = Seen::default();
    let mut coming: Vec<usize> = (MEMBERS..MEMBERS + NEWCOMERS).rev().collect();
    while !coming.is_empty() {
        let count = if world.draw(3) == 0 { 2 } else { 1 };
        let mut old: Vec<usize> = world.alive().into_iter().filter(|i| *i < MEMBERS).collect();
        if old.len() <= count {
            break;
        }
        let new = coming.split_off(coming.len().saturating_sub(count));
        for newcomer in &new {
            let alive = world.alive();
            world.join(*newcomer, alive[world.draw(alive.len() as u64) as usize]);
            tokio::spawn(come(Arc::clone(&world), *newcomer));
        }
        // The next member may leave before all have heard of the new one.
        sleep(Duration::from_millis(world.draw(2_500))).await;
        let before = owners(&world);
        let mut leavers = Vec::new();
        let mut leaving = Vec::new();
        for _ in 0..count {
            let leaver = old.remove(world.draw(old.len() as u64) as usize);
            leavers.push(leaver);
            leaving.push(tokio::spawn(leave(Arc::clone(&world), leaver)));
            sleep(Duration::from_millis(world.draw(1_300))).await;
        }
        seen.troubles += usize::from(!is_calm && trouble(&world, &leavers, &new));
        let mut moved = Vec::new();
        for (leaving, leaver) in leaving.into_iter().zip(leavers) {
            moved.push((leaver, leaving.await.unwrap()));
        }
        seen.moves += moved.len();
        sleep(GOSSIP_MAX + CUT_MAX + Duration::from_secs(2)).await;
        if is_calm {
            seen.successions += check_moved(&world, &before, &moved);
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

/// The keys of members that left are their successors', and no other key moved. Gives how many had
/// a successor.
fn check_moved(world: &World, before: &[usize], moved: &[(usize, Option<Address>)]) -> usize {
    let successor = |of: usize| moved.iter().find(|(leaver, _)| *leaver == of);
    if moved.iter().any(|(_, successor)| successor.is_none()) {
        // The keys of a member without a successor go to all.
        return 0;
    }
    for (k, (before, now)) in before.iter().zip(owners(world)).enumerate() {
        let successor = successor(*before).and_then(|(_, successor)| successor.as_ref());
        let expected = successor.map_or(*before, |successor| world.index(successor.as_str()));
        world.must(now == expected, || format!("{now} has key {k} in place of {expected}"));
    }
    moved.len()
}

/// Whether something happened.
fn trouble(world: &Arc<World>, leavers: &[usize], new: &[usize]) -> bool {
    let alive = world.alive();
    let other = alive[world.draw(alive.len() as u64) as usize];
    let one_of = |some: &[usize]| some[world.draw(some.len() as u64) as usize];
    let who = [one_of(leavers), one_of(new), other][world.draw(3) as usize];
    let stays = |i: &&usize| !new.contains(i) && !leavers.contains(i) && **i != who;
    match world.draw(3) {
        0 if alive.iter().filter(stays).count() > 0 => world.kill(who),
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
