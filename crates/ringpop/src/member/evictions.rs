//! The evictions that this member holds: those that it was asked for and those about itself, until
//! their end.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use swim_core::Address;
use tokio::time::{Instant, sleep_until};

use super::Ringpop;
use crate::clock::unix_ms;
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::{EVICTION_MAX, EVICTIONS_LOOK_INTERVAL, EVICTIONS_MAX};
use crate::off_ring::Eviction;
use crate::state::State;

/// When the entries that this member holds end, by the clock that no one sets. One that the wall
/// clock would keep longer than an eviction may last ends all the same.
type Ends = HashMap<Eviction, Instant>;

/// Keeps what this member holds in step with what all hold, until it stops.
pub(super) async fn attend(member: Weak<Inner>) {
    let Some(mut changed) = member.upgrade().map(|inner| inner.views.evictions_changed()) else {
        return;
    };
    let mut ends = Ends::new();
    loop {
        let Some(inner) = member.upgrade() else { return };
        if inner.lifecycle.state() == State::Stopped {
            return;
        }
        let member = Ringpop(inner);
        look(&member, &mut ends).await;
        drop(member);
        let now = Instant::now();
        let next = ends.values().filter(|end| **end > now).min().copied();
        let next = next.unwrap_or_else(|| now + EVICTIONS_LOOK_INTERVAL);
        tokio::select! {
            () = sleep_until(next) => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}

async fn look(member: &Ringpop, ends: &mut Ends) {
    let local = member.0.address.clone();
    let newest = Arc::clone(&member.view().evictions);
    let held = member.0.labels.lock().await.standing.evictions.clone();
    let now = Instant::now();
    let wanted = wanted(&local, &held, &newest, |eviction| {
        let end = ends.entry(eviction.clone());
        now < *end.or_insert_with(|| instant_of(eviction.until, EVICTION_MAX))
    });
    // The end of an entry is remembered for as long as anybody holds it: it is not adopted again.
    ends.retain(|eviction, end| {
        wanted.contains(eviction) || (newest.contains(eviction) && now >= *end)
    });
    if wanted == held {
        return;
    }
    let change = |own: &mut OwnLabels| {
        // What an operator asked for meanwhile stays, and is looked at next.
        if own.standing.evictions == held {
            own.standing.evictions = wanted;
        }
        Ok(())
    };
    if let Err(error) = member.update_labels(change).await {
        tracing::warn!(member = %local, %error, "evictions cannot be held");
    }
}

/// When a time of the wall clock comes, at the latest after `most`.
fn instant_of(unix_ms_then: u64, most: Duration) -> Instant {
    Instant::now() + Duration::from_millis(unix_ms_then.saturating_sub(unix_ms())).min(most)
}

/// The entries that a member has to hold: the newest about itself, and those that it was asked for
/// and of which none is newer. What it does not hold any more, as after a restart, it has from the
/// other holder. `lasts` tells whether an entry has not ended.
fn wanted(
    local: &Address,
    held: &[Eviction],
    newest: &[Eviction],
    mut lasts: impl FnMut(&Eviction) -> bool,
) -> Vec<Eviction> {
    let mut wanted: Vec<Eviction> = Vec::new();
    for known in held.iter().chain(newest) {
        let concerns = known.target == *local || known.by == *local;
        match wanted.iter_mut().find(|wanted| wanted.target == known.target) {
            Some(older) if *older < *known => *older = known.clone(),
            None if concerns => wanted.push(known.clone()),
            Some(_) | None => {}
        }
    }
    // One that another member was asked for meanwhile is held there.
    wanted.retain(|known| known.target == *local || known.by == *local);
    wanted.retain(|known| lasts(known));
    wanted.truncate(EVICTIONS_MAX);
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(i: u32) -> Address {
        Address::new(&format!("10.0.0.{i}:7100")).unwrap()
    }

    fn eviction(target: u32, by: u32, stamp: u64) -> Eviction {
        let (target, by) = (address(target), address(by));
        Eviction { stamp, is_undone: false, until: stamp + 1000, target, by }
    }

    #[test]
    fn a_target_holds_the_newest_about_itself_and_others_what_nobody_overrode() {
        let [old, new, other] = [eviction(1, 2, 5), eviction(1, 3, 6), eviction(4, 1, 5)];
        let always = |_: &Eviction| true;
        for (held, newest, expected) in [
            (vec![], vec![new.clone()], vec![new.clone()]),
            (vec![old.clone()], vec![new.clone()], vec![new.clone()]),
            // A copy is newer than what the others hold now.
            (vec![new.clone()], vec![old.clone()], vec![new.clone()]),
            (vec![other.clone()], vec![], vec![other.clone()]),
            (vec![other.clone()], vec![eviction(4, 9, 6)], vec![]),
            (vec![other.clone()], vec![other.clone()], vec![other.clone()]),
            // After a restart of the asked member; and one that concerns others.
            (vec![], vec![other.clone()], vec![other.clone()]),
            (vec![], vec![eviction(4, 9, 6)], vec![]),
        ] {
            assert_eq!(wanted(&address(1), &held, &newest, always), expected, "{held:?}");
        }
        assert_eq!(wanted(&address(1), &[new.clone(), other], &[new], |_| false), []);
    }
}
