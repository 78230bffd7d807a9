//! Healing of partitions.
//!
//! Two parts of a cluster that took each other for faulty no longer talk: neither
//! probes the other. From time to time a member compares its list with that of a
//! host that is listed by discovery and gone here (ringpop-go,
//! `heal_partition.go`). A plain merge would lose members that one side takes for
//! faulty. These are declared suspect first and refute; the merge follows with the
//! next healing.

use crate::address::Address;
use crate::core::{Core, Trust};
use crate::event::{Cause, Event};
use crate::limits::{CHANGES_SENT_MAX, HEALS_MAX, JOIN_PEERS_MAX};
use crate::member::{Member, Status};
use crate::message::{Change, Cursor};
use crate::mutation::{Mutation, active};
use crate::page::{Page, beginning, page, valid_cursor};
use crate::requests::Purpose;

/// The healings under way.
#[derive(Debug, Default)]
pub(crate) struct Heal {
    open: Vec<Open>,
    /// The result of the last dial.
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Run {
    origin: Origin,
    /// The addresses that are still to be dialled; the next one is last.
    targets: Vec<Address>,
    contacted: Vec<Address>,
    failures: usize,
}

impl Run {
    const fn new(origin: Origin, targets: Vec<Address>) -> Self {
        Self { origin, targets, contacted: Vec::new(), failures: 0 }
    }
}

/// A healing with its request under way.
#[derive(Debug)]
struct Open {
    run: Run,
    seq: u64,
    /// The receiver of the request.
    target: Address,
    step: Step,
}

/// Why a healing began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Command,
    /// This member dialled an address by itself, after so many attempts that reached
    /// its partition.
    Dial {
        follow_ups: u32,
    },
}

/// The result of a dial that was answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) target: Address,
    /// Whether the lists were merged. Otherwise members have to refute first.
    pub(crate) merged: bool,
    pub(crate) follow_ups: u32,
}

#[derive(Debug)]
enum Step {
    /// Collects the member list of the other side.
    Collect(Vec<Member>),
    /// Sends it the changes that it should know, ping by ping.
    Deliver(Delivery),
}

#[derive(Debug)]
struct Delivery {
    /// The pages left to send; the next one is last.
    pages: Vec<Vec<Change>>,
    /// The other side's list.
    list: Vec<Member>,
    merges: bool,
    /// Whether the other side's list was applied, or is not to be.
    taken: bool,
}

impl Delivery {
    /// Applies the other side's list. A host that is still starting gives out its
    /// list but refuses pings, and may never become a member: the list of a dial
    /// counts only once its sender has acknowledged a page. In Ringpop it counts at
    /// once.
    fn take(&mut self, core: &mut Core, from: &Address) {
        if self.merges && !self.taken {
            let all =
                self.list.iter().map(|member| Change { member: member.clone(), source: None });
            core.apply(all.collect(), &Cause::Heal { from: from.clone() }, Trust::Listed);
        }
        self.taken = true;
    }
}

impl Heal {
    /// Starts to heal with `hosts`, one after the other; does nothing while a
    /// healing that was asked for is under way.
    pub(crate) fn start(&mut self, core: &mut Core, mut hosts: Vec<Address>) {
        if self.open.iter().any(|open| open.run.origin == Origin::Command) {
            return;
        }
        core.stats.peers_dropped += hosts.len().saturating_sub(JOIN_PEERS_MAX) as u64;
        hosts.truncate(JOIN_PEERS_MAX);
        hosts.sort_unstable();
        hosts.dedup();
        core.aliases.retain(&hosts);
        let again = alias_to_retry(core, &hosts);
        let gone = |address: &Address| {
            !is_reachable_here(core, address) || again.as_ref() == Some(address)
        };
        hosts.retain(|host| *host != core.local && gone(host));
        core.rng.shuffle(&mut hosts);
        self.next(core, Run::new(Origin::Command, hosts));
    }

    /// Starts to heal with one address; does nothing while it is being asked
    /// already, or enough others are.
    pub(crate) fn dial(&mut self, core: &mut Core, address: Address, follow_ups: u32) {
        let asked = self.open.iter().any(|open| open.target == address);
        if asked || self.open.len() >= HEALS_MAX {
            return;
        }
        self.next(core, Run::new(Origin::Dial { follow_ups }, vec![address]));
    }

    /// Goes on with the next target, or ends.
    fn next(&mut self, core: &mut Core, mut run: Run) {
        let enough = run.failures >= core.config.heal_failures_max();
        let Some(target) = run.targets.pop().filter(|_| !enough) else {
            if run.origin == Origin::Command {
                let Run { contacted, failures, .. } = run;
                core.event(Event::HealEnded { contacted, failures });
            }
            return;
        };
        core.stats.heal_attempts += 1;
        self.ask(core, run, target, None, Vec::new());
    }

    /// Asks for the next page of the other side's list.
    fn ask(
        &mut self,
        core: &mut Core,
        run: Run,
        target: Address,
        cursor: Option<Cursor>,
        list: Vec<Member>,
    ) {
        let (body, timeout) = (core.join_body(cursor), core.config.join_timeout());
        let seq = core.request(Purpose::HealList, target.clone(), timeout, body);
        self.open.push(Open { run, seq, target, step: Step::Collect(list) });
    }

    /// A request came back to this process: the target is this member by another
    /// name.
    pub(crate) fn on_own_request(&mut self, core: &mut Core, seq: u64) {
        let Some(Open { run, target, .. }) = self.take(core, seq) else { return };
        core.aliases.learn(&target, &core.local);
        self.next(core, run);
    }

    /// Takes the result of the last dial that was answered.
    pub(crate) const fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Takes the healing whose request this is.
    fn take(&mut self, core: &mut Core, seq: u64) -> Option<Open> {
        let i = self.open.iter().position(|open| open.seq == seq)?;
        core.close(seq);
        Some(self.open.swap_remove(i))
    }

    /// A page of the other side's list arrived.
    pub(crate) fn on_page(
        &mut self,
        core: &mut Core,
        (from, seq): (&Address, u64),
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some(Open { run, target, step: Step::Collect(mut list), .. }) = self.take(core, seq)
        else {
            return;
        };
        core.aliases.learn(&target, from);
        if *from != target && is_reachable_here(core, from) {
            // Another name of a member of this side.
            self.next(core, run);
            return;
        }
        let endless = next.as_ref().is_some_and(|next| changes.is_empty() || !valid_cursor(next));
        list.extend(changes.into_iter().map(|change| change.member));
        if endless || list.len() > core.config.members_max() {
            self.failed(core, run);
        } else if let Some(cursor) = next {
            self.ask(core, run, from.clone(), Some(cursor), list);
        } else {
            let (pages, merges) = compare(core, from, &list);
            let mut delivery = Delivery { pages, list, merges, taken: false };
            if run.origin == Origin::Command {
                delivery.take(core, from);
            }
            self.deliver(core, run, from.clone(), delivery);
        }
    }

    /// The other side answered a ping.
    pub(crate) fn on_ack(&mut self, core: &mut Core, seq: u64) {
        let Some(Open { run, target, step: Step::Deliver(mut delivery), .. }) =
            self.take(core, seq)
        else {
            return;
        };
        delivery.take(core, &target);
        self.deliver(core, run, target, delivery);
    }

    /// A request got no answer.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) {
        if let Some(open) = self.take(core, seq) {
            self.failed(core, open.run);
        }
    }

    fn failed(&mut self, core: &mut Core, mut run: Run) {
        core.stats.heal_failures += 1;
        run.failures += 1;
        self.next(core, run);
    }

    /// Sends the next page, or goes on with the next target after the last.
    fn deliver(&mut self, core: &mut Core, mut run: Run, target: Address, mut delivery: Delivery) {
        if let Some(changes) = delivery.pages.pop() {
            let timeout = core.config.join_timeout();
            let seq = core.ping_with(Purpose::HealPing, target.clone(), timeout, changes);
            self.open.push(Open { run, seq, target, step: Step::Deliver(delivery) });
            return;
        }
        // The members that it can reach belong to the same partition.
        let reachable = delivery.list.iter().filter(|member| member.is_reachable());
        let mut reached: Vec<&Address> = reachable.map(|member| &member.address).collect();
        reached.sort_unstable();
        run.targets.retain(|address| reached.binary_search(&address).is_err());
        if let Origin::Dial { follow_ups } = run.origin {
            self.outcome =
                Some(Outcome { target: target.clone(), merged: delivery.merges, follow_ups });
        }
        run.contacted.push(target);
        self.next(core, run);
    }

    /// Ends all healings without a result.
    pub(crate) fn abort(&mut self, core: &mut Core) {
        for open in self.open.drain(..) {
            core.close(open.seq);
        }
        self.outcome = None;
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.open.len() <= HEALS_MAX + 1, "healings are bounded");
        let heals = |purpose| matches!(purpose, Purpose::HealList | Purpose::HealPing);
        assert_eq!(core.requests.count(heals), self.open.len(), "one request for each healing");
    }
}

/// Whether an address leads to a member that is reachable here.
pub(crate) fn is_reachable_here(core: &Core, address: &Address) -> bool {
    let address = core.aliases.member(address).unwrap_or(address);
    core.members.get(address).is_some_and(Member::is_reachable)
}

/// Picks one of the aliases in `hosts` to be asked again: it led to a member that is
/// reachable here, but may lead to the other side of a partition by now.
pub(crate) fn alias_to_retry(core: &mut Core, hosts: &[Address]) -> Option<Address> {
    let is_alias = |host: &&Address| {
        !host.is_ip() && core.aliases.member(host).is_some() && is_reachable_here(core, host)
    };
    let names: Vec<&Address> = hosts.iter().filter(is_alias).collect();
    let chosen = if names.is_empty() { 0 } else { core.rng.below(names.len()) };
    names.get(chosen).map(|name| (*name).clone())
}

/// Compares the list of the other side with this one's. Applies the changes for this
/// side and returns those for the other, in pages, the first one last, and whether
/// the lists may be merged: neither side loses a member by it.
fn compare(core: &mut Core, target: &Address, list: &[Member]) -> (Vec<Vec<Change>>, bool) {
    let cause = Cause::Heal { from: target.clone() };
    let (mut for_us, mut for_them) = (Vec::new(), Vec::new());
    // Without a source, because a change is not gossiped to its source. The labels
    // are those of the incarnation: they stay right when no member refutes.
    let suspect = |newer: &Member, older: &Member| {
        let labels = if active(Mutation::MixedLabels) { &older.labels } else { &newer.labels };
        let (status, labels) = (Status::Suspect, labels.clone());
        Change { member: Member { status, labels, ..newer.clone() }, source: None }
    };
    for theirs in list {
        let known = core.members.get(&theirs.address);
        let Some(ours) = known.filter(|ours| ours.status != Status::Tombstone) else {
            // Removed here, it would stay so: no change of theirs is newer until it
            // refutes.
            let tombstone_at = core.tombstone_at(&theirs.address);
            if theirs.is_reachable() && tombstone_at == Some(theirs.incarnation) {
                for_them.push(suspect(theirs, theirs));
            }
            continue;
        };
        if theirs.is_reachable() && !ours.is_reachable() && ours.rank() > theirs.rank() {
            for_them.push(suspect(ours, theirs));
        } else if ours.is_reachable() && !theirs.is_reachable() && theirs.rank() > ours.rank() {
            // A tombstone has lost its labels. Suspected as we know it, the
            // member refutes just as well.
            let newer = if theirs.status == Status::Tombstone { ours } else { theirs };
            for_us.push(suspect(newer, ours));
        }
    }
    if for_us.is_empty() && for_them.is_empty() {
        return (own_list(core), true);
    }
    core.apply(for_us, &cause, Trust::Listed);
    let mut pages = split(for_them, core.config.message_bytes_max());
    pages.reverse();
    (pages, false)
}

/// This member's whole list in pages, the first one last.
fn own_list(core: &Core) -> Vec<Vec<Change>> {
    let buckets = u16::try_from(core.members.suitable_buckets()).unwrap_or(1);
    let mut pages = Vec::new();
    let mut cursor = Some(beginning(buckets));
    while let Some(at) = cursor {
        let Page { changes, next } = page(core, None, at);
        pages.push(changes);
        cursor = next;
    }
    pages.reverse();
    pages
}

fn split(changes: Vec<Change>, bytes_max: usize) -> Vec<Vec<Change>> {
    let mut pages: Vec<Vec<Change>> = Vec::new();
    let mut bytes = 0;
    for change in changes {
        bytes += change.encoded_len();
        match pages.last_mut() {
            Some(page) if bytes <= bytes_max && page.len() < CHANGES_SENT_MAX => page.push(change),
            _ => {
                bytes = change.encoded_len();
                pages.push(vec![change]);
            }
        }
    }
    pages
}
