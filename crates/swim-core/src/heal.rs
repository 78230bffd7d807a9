//! Bringing partitions together again.
//!
//! Two parts of a cluster that took each other for faulty no longer talk:
//! neither probes the other. From time to time a member asks discovery who
//! should be there and compares its list with that of somebody it takes for
//! gone (ringpop-go, `heal_partition.go`). Members that the other side would
//! lose by a plain merge are told first, by a suspicion, so that they refute;
//! the merge follows with the next healing.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::core::Core;
use crate::event::{Cause, Event, Path};
use crate::limits::{CHANGES_SENT_MAX, JOIN_PEERS_MAX};
use crate::member::{Member, Status};
use crate::message::{Change, Cursor};
use crate::mutation::{Mutation, active};
use crate::page::{Page, beginning, page, valid_cursor};
use crate::sending::Request;

/// An address that discovery lists and that failed this often in a row is left
/// alone until discovery stops listing it, or it shows up as a member: static
/// lists name hosts that are long gone.
const FAILURES_OF_ONE_MAX: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Heal {
    run: Option<(Run, Step)>,
    /// Failures in a row of addresses that discovery lists.
    failures: BTreeMap<Address, u32>,
}

#[derive(Debug)]
struct Run {
    /// Who has still to be asked; the next one is last.
    targets: Vec<Address>,
    contacted: Vec<Address>,
    failures: usize,
}

#[derive(Debug)]
enum Step {
    /// Collects the member list of the other side.
    Collect { request: Request, list: Vec<Member> },
    /// Sends it what it should know, ping by ping; the next page is last.
    Tell { request: Request, pages: Vec<Vec<Change>>, list: Vec<Member> },
}

impl Step {
    const fn request(&self) -> &Request {
        match self {
            Self::Collect { request, .. } | Self::Tell { request, .. } => request,
        }
    }
}

impl Heal {
    /// Starts to heal with the hosts that discovery lists; does nothing while
    /// a healing is under way.
    pub(crate) fn start(&mut self, core: &mut Core, mut hosts: Vec<Address>) {
        if self.run.is_some() {
            return;
        }
        core.stats.peers_dropped += hosts.len().saturating_sub(JOIN_PEERS_MAX) as u64;
        hosts.truncate(JOIN_PEERS_MAX);
        hosts.sort_unstable();
        hosts.dedup();
        self.failures.retain(|address, _| hosts.binary_search(address).is_ok());
        core.aliases.retain(&hosts);
        let again = asked_again(core, &hosts);
        let gone = |address: &Address| !is_here(core, address) || again.as_ref() == Some(address);
        let given_up = |address: &Address| {
            self.failures.get(address).is_some_and(|n| *n >= FAILURES_OF_ONE_MAX)
        };
        hosts.retain(|host| *host != core.local && gone(host) && !given_up(host));
        core.rng.shuffle(&mut hosts);
        self.next(core, Run { targets: hosts, contacted: Vec::new(), failures: 0 });
    }

    /// Goes on with the next target, or ends.
    fn next(&mut self, core: &mut Core, mut run: Run) {
        let enough = run.failures >= core.config.heal_failures_max();
        let Some(target) = run.targets.pop().filter(|_| !enough) else {
            let Run { contacted, failures, .. } = run;
            core.event(Event::HealEnded { contacted, failures });
            return;
        };
        core.stats.heal_attempts += 1;
        let body = core.join_body(None);
        let request = core.request(target, core.config.join_timeout(), body);
        self.run = Some((run, Step::Collect { request, list: Vec::new() }));
    }

    /// Whether a request with this number is open. A member list may come from
    /// a member that advertises another address than the one that was asked.
    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.run.as_ref().is_some_and(|(_, step)| match step {
            Step::Collect { request, .. } => request.seq == seq,
            Step::Tell { request, .. } => request.is(from, seq),
        })
    }

    /// Whether an answer is from a member that advertises another address than
    /// the one that was asked.
    pub(crate) fn is_by_another_name(&self, from: &Address, seq: u64) -> bool {
        let request = self.run.as_ref().map(|(_, step)| step.request());
        request.is_some_and(|request| request.seq == seq && request.to != *from)
    }

    /// A request came back to this process: the target is this member by another
    /// name. `false` when the number is none of these.
    pub(crate) fn on_own_request(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some((run, step)) = self.run.take_if(|(_, step)| step.request().seq == seq) else {
            return false;
        };
        core.disarm(step.request());
        core.aliases.learn(&step.request().to, &core.local);
        self.failures.remove(&step.request().to);
        self.next(core, run);
        true
    }

    /// A page of the other side's list arrived.
    pub(crate) fn on_join_ack(
        &mut self,
        core: &mut Core,
        from: &Address,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some((run, step)) = self.run.take() else { return };
        let Step::Collect { request, mut list } = step else {
            self.run = Some((run, step));
            return;
        };
        core.disarm(&request);
        core.aliases.learn(&request.to, from);
        if *from != request.to && is_here(core, from) {
            // Another name of a member of this side.
            self.failures.remove(&request.to);
            self.next(core, run);
            return;
        }
        let endless = next.as_ref().is_some_and(|next| changes.is_empty() || !valid_cursor(next));
        list.extend(changes.into_iter().map(|change| change.member));
        if endless || list.len() > core.config.members_max() {
            self.failed(core, run, request.to);
        } else if let Some(cursor) = next {
            let body = core.join_body(Some(cursor));
            let request = core.request(from.clone(), core.config.join_timeout(), body);
            self.run = Some((run, Step::Collect { request, list }));
        } else {
            self.failures.remove(&request.to);
            let pages = compare(core, from, &list);
            self.tell(core, run, from.clone(), pages, list);
        }
    }

    /// The other side answered a ping. `false` when the number is none of
    /// these.
    pub(crate) fn on_ack(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        if !self.is_open(from, seq) {
            return false;
        }
        match self.run.take() {
            Some((run, Step::Tell { request, pages, list })) => {
                core.disarm(&request);
                self.tell(core, run, request.to, pages, list);
                true
            }
            other => {
                self.run = other;
                false
            }
        }
    }

    /// A request got no answer. `false` when the number is none of these.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        match self.run.take() {
            Some((run, step)) if step.request().seq == seq => {
                let request = step.request().clone();
                core.disarm(&request);
                self.failed(core, run, request.to);
                true
            }
            other => {
                self.run = other;
                false
            }
        }
    }

    fn failed(&mut self, core: &mut Core, mut run: Run, target: Address) {
        core.stats.heal_failures += 1;
        *self.failures.entry(target).or_default() += 1;
        run.failures += 1;
        self.next(core, run);
    }

    /// Sends the next page, or goes on with the next target after the last.
    fn tell(
        &mut self,
        core: &mut Core,
        mut run: Run,
        target: Address,
        mut pages: Vec<Vec<Change>>,
        list: Vec<Member>,
    ) {
        if let Some(changes) = pages.pop() {
            let timeout = core.config.join_timeout();
            let request = core.ping_with(Path::First, target, timeout, changes);
            self.run = Some((run, Step::Tell { request, pages, list }));
            return;
        }
        // Whoever this one can reach belongs to the same partition.
        let mut reached: Vec<&Address> =
            list.iter().filter(|member| member.is_reachable()).map(|m| &m.address).collect();
        reached.sort_unstable();
        run.targets.retain(|address| reached.binary_search(&address).is_err());
        self.failures.remove(&target);
        run.contacted.push(target);
        self.next(core, run);
    }

    /// Ends a healing without a result.
    pub(crate) fn abort(&mut self, core: &mut Core) {
        if let Some((_, step)) = self.run.take() {
            core.disarm(step.request());
        }
    }
}

/// Whether an address leads to a member that is reachable here.
fn is_here(core: &Core, address: &Address) -> bool {
    let address = core.aliases.member(address).unwrap_or(address);
    core.members.get(address).is_some_and(Member::is_reachable)
}

/// A name may lead elsewhere by now, to another side of a partition for instance
/// when many members answer to it. Of those that led to a member that is here,
/// one is asked again.
fn asked_again(core: &mut Core, hosts: &[Address]) -> Option<Address> {
    let is_alias = |host: &&Address| {
        !host.is_ip() && core.aliases.member(host).is_some() && is_here(core, host)
    };
    let names: Vec<&Address> = hosts.iter().filter(is_alias).collect();
    let chosen = if names.is_empty() { 0 } else { core.rng.below(names.len()) };
    names.get(chosen).map(|name| (*name).clone())
}

/// Applies what this side should know and gives what the other should be told,
/// in pages, the first one last.
fn compare(core: &mut Core, target: &Address, list: &[Member]) -> Vec<Vec<Change>> {
    let cause = Cause::Heal { from: target.clone() };
    let (mut for_us, mut for_them) = (Vec::new(), Vec::new());
    // Without a source, so that the receiver does not leave it out as known to
    // its source.
    // The labels are those of the incarnation, so that they stay right when
    // nobody is left to refute.
    let suspect = |newer: &Member, older: &Member| {
        let labels = if active(Mutation::MixedLabels) { &older.labels } else { &newer.labels };
        let (status, labels) = (Status::Suspect, labels.clone());
        Change { member: Member { status, labels, ..newer.clone() }, source: None }
    };
    for theirs in list {
        let known = core.members.get(&theirs.address);
        let Some(ours) = known.filter(|ours| ours.status != Status::Tombstone) else {
            // Forgotten here, it would stay so: nothing that they say of it is
            // newer until it refutes.
            let forgotten_at = core.forgotten_at(&theirs.address);
            if theirs.is_reachable() && forgotten_at == Some(theirs.incarnation) {
                for_them.push(suspect(theirs, theirs));
            }
            continue;
        };
        if theirs.is_reachable() && !ours.is_reachable() && ours.rank() > theirs.rank() {
            for_them.push(suspect(ours, theirs));
        } else if ours.is_reachable() && !theirs.is_reachable() && theirs.rank() > ours.rank() {
            // A tombstone has lost its labels. Suspected as we know it, the
            // member refutes just as well.
            let told = if theirs.status == Status::Tombstone { ours } else { theirs };
            for_us.push(suspect(told, ours));
        }
    }
    if for_us.is_empty() && for_them.is_empty() {
        let all = list.iter().map(|member| Change { member: member.clone(), source: None });
        core.apply(all.collect(), &cause);
        return own_list(core);
    }
    core.apply(for_us, &cause);
    let mut pages = split(for_them, core.config.message_bytes_max());
    pages.reverse();
    pages
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
