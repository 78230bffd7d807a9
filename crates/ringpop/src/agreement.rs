//! Whether the others have the view of this member.
//!
//! Views differ for a moment after each change. Those that go on to differ are a split: members
//! that were parted and do not know it, or that never heard of a change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use swim_core::{Address, Member, Status};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin::checksums::own;
use crate::inner::Inner;
use crate::limits::{
    AGREEMENT_ASKED_MAX, AGREEMENT_CHANGES_MAX, AGREEMENT_INTERVAL, CHECKSUM_ANSWER_LIMIT,
    GOSSIP_PORT_LABEL,
};
use crate::problem::{Problem, ProblemKind};
use crate::propagation::Propagation;
use crate::state::State;

/// How long a checksum of this member is remembered: others may be so far behind.
const MEMORY: Duration = Duration::from_secs(30);

/// Checksums of this member that are remembered.
const OWN_MAX: usize = 64;

/// Compares the checksum of this member with those of a few others, again and again.
pub(crate) fn watch(inner: &Arc<Inner>) {
    let member = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut ticks = interval(AGREEMENT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watching = Watching::default();
        loop {
            ticks.tick().await;
            let Some(inner) = member.upgrade() else { return };
            match inner.lifecycle.state() {
                State::Ready => round(&inner, &mut watching).await,
                state if state > State::Ready => return,
                _ => {}
            }
        }
    });
}

async fn round(inner: &Inner, watching: &mut Watching) {
    let (known, members) = inner.views.with(|view| {
        let others = view.members.iter().filter(|member| can_be_asked(inner, member));
        (others.map(|member| member.address.clone()).collect::<Vec<_>>(), view.members.len())
    });
    let asked = watching.next(&known);
    let deadline = Instant::now() + CHECKSUM_ANSWER_LIMIT;
    let ask = |address: Address| async move {
        let answer = inner.admin.comparing.ask(&address, deadline).await;
        (address, answer.ok().map(|told| told.membership_checksum))
    };
    let answers = futures_util::future::join_all(asked.into_iter().map(ask)).await;
    // After the answers: what others have by now was published here before.
    let now = Instant::now();
    watching.is_now(now, own(inner).membership_checksum);
    for (address, checksum) in answers {
        watching.answered(now, address, checksum);
    }
    watching.forget(&known);
    if watching.differ.is_empty() {
        inner.problems.end(ProblemKind::Views);
        return;
    }
    let Ok(config) = inner.handle.with(|node, _| node.config().clone()).await else { return };
    let patience = Propagation::patience(&config, members);
    match watching.split(now, patience) {
        Some(address) => {
            let address = address.clone();
            inner.problems.begin(Problem::ViewsDiffer { address });
        }
        None => inner.problems.end(ProblemKind::Views),
    }
}

/// Whether another member may live and can be asked over a connection that gossip has, or gossip
/// will have none to it. All others are asked when gossip has met them: a second connection to each
/// member would cost more than all else that an idle cluster does.
fn can_be_asked(inner: &Inner, member: &Member) -> bool {
    if member.address == inner.address {
        return false;
    }
    match member.status {
        Status::Faulty => true,
        Status::Alive | Status::Suspect => {
            member.labels.get(GOSSIP_PORT_LABEL).is_some()
                || inner.admin.comparing.is_connected(&member.address)
        }
        _ => false,
    }
}

/// The views of others, as far as they are known.
#[derive(Debug, Default)]
struct Watching {
    /// The checksums of this member, the latest last, and since when.
    own: VecDeque<(Instant, u64)>,
    /// Members with a checksum that this one never had.
    differ: BTreeMap<Address, Differs>,
    /// The members that are still to be asked in this turn.
    turn: Vec<Address>,
}

#[derive(Debug)]
struct Differs {
    since: Instant,
    checksum: u64,
}

impl Watching {
    /// The members to ask now: those that differ, and others in turn.
    fn next(&mut self, known: &[Address]) -> Vec<Address> {
        let mut asked: Vec<Address> =
            self.differ.keys().take(AGREEMENT_ASKED_MAX).cloned().collect();
        if self.turn.is_empty() {
            self.turn = known.to_vec();
            fastrand::shuffle(&mut self.turn);
        }
        let rest = self.turn.len().saturating_sub(AGREEMENT_ASKED_MAX);
        for address in self.turn.drain(rest..) {
            if !asked.contains(&address) {
                asked.push(address);
            }
        }
        asked
    }

    fn is_now(&mut self, now: Instant, checksum: u64) {
        if self.own.back().is_none_or(|(_, latest)| *latest != checksum) {
            self.own.push_back((now, checksum));
        }
        let is_old = |(at, _): &(Instant, u64)| now - *at > MEMORY;
        while self.own.len() > OWN_MAX
            || (self.own.len() > 1 && self.own.front().is_some_and(is_old))
        {
            self.own.pop_front();
        }
    }

    fn had(&self, checksum: u64) -> bool {
        self.own.iter().any(|(_, own)| *own == checksum)
    }

    /// A member has this checksum, or gave no answer.
    fn answered(&mut self, now: Instant, address: Address, checksum: Option<u64>) {
        match checksum {
            Some(checksum) if !self.had(checksum) => {
                let differs = self.differ.entry(address);
                differs.or_insert(Differs { since: now, checksum }).checksum = checksum;
            }
            _ => {
                self.differ.remove(&address);
            }
        }
    }

    fn forget(&mut self, known: &[Address]) {
        self.differ.retain(|address, _| known.binary_search(address).is_ok());
    }

    /// A member whose view has differed for longer than a change takes. While this member sees
    /// change after change, nobody can tell.
    fn split(&mut self, now: Instant, patience: Duration) -> Option<&Address> {
        let own = &self.own;
        // It was ahead of this member.
        self.differ.retain(|_, differs| own.iter().all(|(_, own)| *own != differs.checksum));
        let recent = own.iter().filter(|(at, _)| now - *at < patience).count();
        if recent > AGREEMENT_CHANGES_MAX {
            return None;
        }
        let mut differ = self.differ.iter();
        differ.find(|(_, it)| now - it.since >= patience).map(|(address, _)| address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::AGREEMENT_PATIENCE_MIN;

    fn other(port: u16) -> Address {
        Address::new(&format!("10.0.0.1:{port}")).unwrap()
    }

    /// Asks member 1 once a second and gives when a split was seen first, in seconds.
    fn seen(own: impl Fn(u64) -> u64, theirs: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let (mut watching, start) = (Watching::default(), Instant::now());
        (0..30).find(|second| {
            let now = start + Duration::from_secs(*second);
            watching.is_now(now, own(*second));
            watching.answered(now, other(1), theirs(*second));
            watching.split(now, AGREEMENT_PATIENCE_MIN).is_some()
        })
    }

    #[test]
    fn a_view_that_goes_on_to_differ_is_a_split_within_five_seconds() {
        let seconds = seen(|_| 7, |_| Some(9)).unwrap();
        assert!(AGREEMENT_INTERVAL * seconds as u32 + AGREEMENT_INTERVAL <= Duration::from_secs(5));
        // Both sides go on to change, slowly.
        assert!(seen(|second| second / 4, |second| Some(100 + second / 4)).is_some());
    }

    #[test]
    fn a_view_that_is_ahead_or_behind_is_none() {
        assert_eq!(seen(|_| 7, |_| Some(7)), None);
        // It hears of everything two seconds later, or earlier.
        assert_eq!(seen(|second| second / 3, |second| Some(second.saturating_sub(2) / 3)), None);
        assert_eq!(seen(|second| second / 3, |second| Some(second.div_ceil(3))), None);
    }

    #[test]
    fn a_member_that_is_silent_or_agrees_again_is_no_split() {
        assert_eq!(seen(|_| 7, |second| (second < 2).then_some(9)), None);
        assert_eq!(seen(|_| 7, |second| Some(if second % 3 == 2 { 7 } else { 9 })), None);
    }

    #[test]
    fn nobody_can_tell_while_everything_changes() {
        let changes = |second: u64, salt: u64| (0..9).map(move |i| salt + 10 * second + i);
        let (mut watching, start) = (Watching::default(), Instant::now());
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            changes(second, 0).for_each(|own| watching.is_now(now, own));
            watching.answered(now, other(1), changes(second, 100_000).next());
            assert_eq!(watching.split(now, AGREEMENT_PATIENCE_MIN), None, "{second}");
        }
    }

    #[test]
    fn those_that_differ_are_asked_again_and_all_others_in_turn() {
        let mut watching = Watching::default();
        let known: Vec<Address> = (1..=9).map(other).collect();
        let now = Instant::now();
        watching.answered(now, other(5), Some(1));
        let mut asked = BTreeMap::<Address, usize>::new();
        for _ in 0..known.len().div_ceil(AGREEMENT_ASKED_MAX) {
            let next = watching.next(&known);
            assert!(next.contains(&other(5)) && next.len() <= 2 * AGREEMENT_ASKED_MAX);
            next.into_iter().for_each(|address| *asked.entry(address).or_default() += 1);
        }
        assert_eq!(asked.len(), known.len());
        watching.forget(&[]);
        assert!(watching.differ.is_empty());
    }
}
