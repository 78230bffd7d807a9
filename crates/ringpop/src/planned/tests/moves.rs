//! Changes of weights, one or two at a time.

use super::hook::begin;
use super::world::{CUT_MAX, GOSSIP_MAX, Setup, World};
use super::*;

const MEMBERS: usize = 4;
/// Moves, or pairs of moves, in a history.
const ROUNDS: usize = 4;

/// Some moves, one after the other or two at a time, in whatever trouble.
pub(super) async fn history(seed: u64, bug: Bug, at_a_time: usize) -> Result<Seen, String> {
    // Every second history has no trouble but that of hooks, and every fourth one not even that.
    let is_calm = seed.is_multiple_of(2);
    let (members, newcomers, roll_wait) = (MEMBERS, 0, None);
    let hooks_work = seed.is_multiple_of(4) && bug != Bug::HasNoDeadline;
    let world = begin(Setup { seed, bug, members, newcomers, hooks_work, roll_wait });
    let mut seen = Seen::default();
    for _ in 0..ROUNDS {
        let moves = draw_moves(&world, at_a_time);
        let trouble = if is_calm { None } else { draw_trouble(&world, &moves) };
        seen.troubles += usize::from(trouble.is_some());
        let under_way: Vec<_> = moves
            .iter()
            .enumerate()
            .map(|(n, (mover, weight))| {
                let (world, mover, weight) = (Arc::clone(&world), *mover, *weight);
                // Many begin at nearly the same time.
                let wait =
                    if n == 0 { 0 } else { world.draw([10, 100, 1_300][world.draw(3) as usize]) };
                tokio::spawn(async move {
                    sleep(Duration::from_millis(wait)).await;
                    world.change_weight(mover, weight).await;
                })
            })
            .collect();
        sleep(Duration::from_millis(world.draw(1_300))).await;
        match trouble {
            Some(Trouble::Crash(who)) => world.kill(who),
            Some(Trouble::Cut(who)) => world.cut(who),
            None => {}
        }
        seen.moves += under_way.len();
        for moving in under_way {
            moving.await.unwrap();
        }
        // Gossip brings what was missed, and old parts end.
        sleep(GOSSIP_MAX + CUT_MAX + Duration::from_secs(2)).await;
    }
    seen.longest = world.check_the_end(seen.troubles == 0).await?;
    Ok(seen)
}

fn weight_of(world: &World, i: usize) -> u32 {
    world.places[i].says.lock().unwrap().weight
}

/// The weight that all but some keep, whichever moves come to pass.
fn weight_kept(world: &World, moves: &[(usize, u32)], but: Option<usize>) -> u32 {
    let kept = |i: &usize| {
        let to = moves.iter().find(|(mover, _)| mover == i).map(|(_, weight)| *weight);
        to.unwrap_or(u32::MAX).min(weight_of(world, *i))
    };
    world.alive().iter().filter(|i| Some(**i) != but).map(kept).sum()
}

/// Movers and their new weights, which leave somebody on the ring.
fn draw_moves(world: &World, at_a_time: usize) -> Vec<(usize, u32)> {
    let mut moves = Vec::new();
    let mut left = world.alive();
    for _ in 0..at_a_time.min(left.len()) {
        let mover = left.remove(world.draw(left.len() as u64) as usize);
        let weight = match world.draw(4) as u32 {
            _ if world.setup.bug == Bug::LeavesNobody => 0,
            weight => weight,
        };
        moves.push((mover, weight));
        if world.setup.bug != Bug::LeavesNobody && weight_kept(world, &moves, None) == 0 {
            let last = moves.len() - 1;
            // It may be the only one on the ring, or come onto it first.
            moves[last].1 = weight.max(1);
            if weight_kept(world, &moves, None) == 0 {
                moves.pop();
            }
        }
    }
    moves
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Crash(usize),
    Cut(usize),
}

fn draw_trouble(world: &World, moves: &[(usize, u32)]) -> Option<Trouble> {
    let alive = world.alive();
    let other = alive[world.draw(alive.len() as u64) as usize];
    let mover = moves.first().map_or(other, |(mover, _)| *mover);
    let (kind, who) =
        [(0, other), (0, mover), (1, other), (1, mover), (2, 0), (2, 0)][world.draw(6) as usize];
    match kind {
        // A crash of the only owner leaves a ring of nobody.
        0 if alive.len() > 2 && weight_kept(world, moves, Some(who)) > 0 => {
            Some(Trouble::Crash(who))
        }
        1 => Some(Trouble::Cut(who)),
        _ => None,
    }
}
