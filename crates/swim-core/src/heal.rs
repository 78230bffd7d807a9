//! Bringing partitions together again.
//!
//! Two parts of a cluster that took each other for faulty no longer talk:
//! neither probes the other. From time to time a member asks discovery who
//! should be there and compares its list with that of somebody it takes for
//! gone (ringpop-go, `heal_partition.go`). Members that the other side would
//! lose by a plain merge are told first, by a suspicion, so that they refute;
//! the merge follows with the next healing.

use crate::address::Address;
use crate::core::Core;
use crate::event::{Cause, Event, Path};
use crate::limits::{CHANGES_SENT_MAX, HEALS_MAX, JOIN_PEERS_MAX};
use crate::member::{Member, Status};
use crate::message::{Change, Cursor};
use crate::mutation::{Mutation, active};
use crate::page::{Page, beginning, page, valid_cursor};
use crate::sending::Request;

/// The healings under way.
#[derive(Debug, Default)]
pub(crate) struct Heal {
    runs: Vec<(Run, Step)>,
    /// How the dial ended that ended last.
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Run {
    origin: Origin,
    /// Who has still to be asked; the next one is last.
    targets: Vec<Address>,
    contacted: Vec<Address>,
    failures: usize,
}

/// Why a healing began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Command,
    /// This member dialled somebody by itself, after so many attempts that met
    /// its partition.
    Dial {
        follow_ups: u32,
    },
}

/// How a dial ended that was answered.
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
    Collect { request: Request, list: Vec<Member> },
    /// Sends it what it should know, ping by ping.
    Tell { request: Request, told: Told },
}

#[derive(Debug)]
struct Told {
    /// The pages left to send; the next one is last.
    pages: Vec<Vec<Change>>,
    /// The other side's list.
    list: Vec<Member>,
    merges: bool,
    /// Whether the other side's list was taken over, or is not to be.
    taken: bool,
}

impl Told {
    /// Takes the other side's list over. A host that is still starting gives out
    /// its list but takes no pings, and may never become a member: a list that
    /// nobody asked for counts only once its sender has taken a page. In Ringpop
    /// it counts at once.
    fn take(&mut self, core: &mut Core, from: &Address) {
        if self.merges && !self.taken {
            let all =
                self.list.iter().map(|member| Change { member: member.clone(), source: None });
            core.apply(all.collect(), &Cause::Heal { from: from.clone() });
        }
        self.taken = true;
    }
}

impl Step {
    const fn request(&self) -> &Request {
        match self {
            Self::Collect { request, .. } | Self::Tell { request, .. } => request,
        }
    }
}

impl Heal {
    /// Starts to heal with `hosts`, one after the other; does nothing while a
    /// healing that was asked for is under way.
    pub(crate) fn start(&mut self, core: &mut Core, mut hosts: Vec<Address>) {
        if self.runs.iter().any(|(run, _)| run.origin == Origin::Command) {
            return;
        }
        core.stats.peers_dropped += hosts.len().saturating_sub(JOIN_PEERS_MAX) as u64;
        hosts.truncate(JOIN_PEERS_MAX);
        hosts.sort_unstable();
        hosts.dedup();
        core.aliases.retain(&hosts);
        let again = asked_again(core, &hosts);
        let gone = |address: &Address| !is_here(core, address) || again.as_ref() == Some(address);
        hosts.retain(|host| *host != core.local && gone(host));
        core.rng.shuffle(&mut hosts);
        let origin = Origin::Command;
        self.next(core, Run { origin, targets: hosts, contacted: Vec::new(), failures: 0 });
    }

    /// Starts to heal with one address; does nothing while it is being asked
    /// already, or enough others are.
    pub(crate) fn dial(&mut self, core: &mut Core, address: Address, follow_ups: u32) {
        let asked = self.runs.iter().any(|(_, step)| step.request().to == address);
        if asked || self.runs.len() >= HEALS_MAX {
            return;
        }
        let (origin, targets) = (Origin::Dial { follow_ups }, vec![address]);
        self.next(core, Run { origin, targets, contacted: Vec::new(), failures: 0 });
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
        let body = core.join_body(None);
        let request = core.request(target, core.config.join_timeout(), body);
        self.runs.push((run, Step::Collect { request, list: Vec::new() }));
    }

    /// Whether a request with this number is open. A member list may come from
    /// a member that advertises another address than the one that was asked.
    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.runs.iter().any(|(_, step)| match step {
            Step::Collect { request, .. } => request.seq == seq,
            Step::Tell { request, .. } => request.is(from, seq),
        })
    }

    /// Whether an answer is from a member that advertises another address than
    /// the one that was asked.
    pub(crate) fn is_by_another_name(&self, from: &Address, seq: u64) -> bool {
        let mut requests = self.runs.iter().map(|(_, step)| step.request());
        requests.any(|request| request.seq == seq && request.to != *from)
    }

    /// A request came back to this process: the target is this member by another
    /// name. `false` when the number is none of these.
    pub(crate) fn on_own_request(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some((run, step)) = self.take(core, seq, |_| true) else { return false };
        core.aliases.learn(&step.request().to, &core.local);
        self.next(core, run);
        true
    }

    /// How the dial ended that was answered last.
    pub(crate) const fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// Takes the run whose request this is, if `wanted` holds for its step.
    fn take(
        &mut self,
        core: &mut Core,
        seq: u64,
        wanted: impl Fn(&Step) -> bool,
    ) -> Option<(Run, Step)> {
        let open = |(_, step): &(Run, Step)| step.request().seq == seq && wanted(step);
        let i = self.runs.iter().position(open)?;
        let (run, step) = self.runs.swap_remove(i);
        core.disarm(step.request());
        Some((run, step))
    }

    /// A page of the other side's list arrived.
    pub(crate) fn on_join_ack(
        &mut self,
        core: &mut Core,
        (from, seq): (&Address, u64),
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let collects = |step: &Step| matches!(step, Step::Collect { .. });
        let Some((run, Step::Collect { request, mut list })) = self.take(core, seq, collects)
        else {
            return;
        };
        core.aliases.learn(&request.to, from);
        if *from != request.to && is_here(core, from) {
            // Another name of a member of this side.
            self.next(core, run);
            return;
        }
        let endless = next.as_ref().is_some_and(|next| changes.is_empty() || !valid_cursor(next));
        list.extend(changes.into_iter().map(|change| change.member));
        if endless || list.len() > core.config.members_max() {
            self.failed(core, run);
        } else if let Some(cursor) = next {
            let body = core.join_body(Some(cursor));
            let request = core.request(from.clone(), core.config.join_timeout(), body);
            self.runs.push((run, Step::Collect { request, list }));
        } else {
            let (pages, merges) = compare(core, from, &list);
            let mut told = Told { pages, list, merges, taken: false };
            if run.origin == Origin::Command {
                told.take(core, from);
            }
            self.tell(core, run, from.clone(), told);
        }
    }

    /// The other side answered a ping. `false` when the number is none of
    /// these.
    pub(crate) fn on_ack(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        let tells = |step: &Step| matches!(step, Step::Tell { request, .. } if request.to == *from);
        let Some((run, Step::Tell { request, mut told })) = self.take(core, seq, tells) else {
            return false;
        };
        told.take(core, &request.to);
        self.tell(core, run, request.to, told);
        true
    }

    /// A request got no answer. `false` when the number is none of these.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some((run, _)) = self.take(core, seq, |_| true) else { return false };
        self.failed(core, run);
        true
    }

    fn failed(&mut self, core: &mut Core, mut run: Run) {
        core.stats.heal_failures += 1;
        run.failures += 1;
        self.next(core, run);
    }

    /// Sends the next page, or goes on with the next target after the last.
    fn tell(&mut self, core: &mut Core, mut run: Run, target: Address, mut told: Told) {
        if let Some(changes) = told.pages.pop() {
            let timeout = core.config.join_timeout();
            let request = core.ping_with(Path::First, target, timeout, changes);
            self.runs.push((run, Step::Tell { request, told }));
            return;
        }
        // Whoever this one can reach belongs to the same partition.
        let reachable = told.list.iter().filter(|member| member.is_reachable());
        let mut reached: Vec<&Address> = reachable.map(|member| &member.address).collect();
        reached.sort_unstable();
        run.targets.retain(|address| reached.binary_search(&address).is_err());
        if let Origin::Dial { follow_ups } = run.origin {
            self.outcome =
                Some(Outcome { target: target.clone(), merged: told.merges, follow_ups });
        }
        run.contacted.push(target);
        self.next(core, run);
    }

    /// Ends all healings without a result.
    pub(crate) fn abort(&mut self, core: &mut Core) {
        for (_, step) in self.runs.drain(..) {
            core.disarm(step.request());
        }
        self.outcome = None;
    }

    pub(crate) fn check(&self) {
        assert!(self.runs.len() <= HEALS_MAX + 1, "healings are bounded");
    }
}

/// Whether an address leads to a member that is reachable here.
pub(crate) fn is_here(core: &Core, address: &Address) -> bool {
    let address = core.aliases.member(address).unwrap_or(address);
    core.members.get(address).is_some_and(Member::is_reachable)
}

/// A name may lead elsewhere by now, to another side of a partition for instance
/// when many members answer to it. Of those that led to a member that is here,
/// one is asked again.
pub(crate) fn asked_again(core: &mut Core, hosts: &[Address]) -> Option<Address> {
    let is_alias = |host: &&Address| {
        !host.is_ip() && core.aliases.member(host).is_some() && is_here(core, host)
    };
    let names: Vec<&Address> = hosts.iter().filter(is_alias).collect();
    let chosen = if names.is_empty() { 0 } else { core.rng.below(names.len()) };
    names.get(chosen).map(|name| (*name).clone())
}

/// Applies what this side should know and gives what the other should be told,
/// in pages, the first one last, and whether the lists may be merged: neither
/// side loses anybody by it.
fn compare(core: &mut Core, target: &Address, list: &[Member]) -> (Vec<Vec<Change>>, bool) {
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
        return (own_list(core), true);
    }
    core.apply(for_us, &cause);
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
