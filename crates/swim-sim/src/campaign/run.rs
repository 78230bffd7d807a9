//! Carries a plan out.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use swim_core::{Member, State};

use super::fault::Faults;
use super::plan::{Plan, Step};
use crate::check::{Checks, Sample, Violation, liveness};
use crate::machine::{Belief, Command, HostId, Machine as _, Names};
use crate::network::RuleId;
use crate::swim::Swim;
use crate::time::{Nanos, SECOND, TRUE_RATE_PPM, seconds};
use crate::trace::Trace;
use crate::watch::Watcher;
use crate::world::{Setup, Start, World};

/// How many times the bound of silence is waited for it while there are still
/// changes.
const SILENCE_PATIENCE: u64 = 3;

/// Time between two looks at all processes. It grows with the cluster, because
/// a look costs the square of its size.
fn sample_period(hosts: u32) -> Nanos {
    SECOND * (1 + Nanos::from(hosts) / 20)
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Kinds of faults that took part.
    pub faults: Faults,
    /// Hosts that began as members.
    pub members: u32,
    /// Things that happened.
    pub happenings: u64,
    /// Virtual time that passed.
    pub lasted: Nanos,
    /// How long agreement took after the last fault.
    pub agreed_after: Option<Nanos>,
    /// What went wrong, if anything did.
    pub violation: Option<Violation>,
}

/// Runs the plan of a seed without the faults in `masked`.
#[must_use]
pub fn run(seed: u64, masked: Faults) -> Report {
    run_watched(seed, masked, ()).0
}

/// Runs the plan of a seed and writes a trace of it.
///
/// # Errors
///
/// When the trace could not be written.
pub fn run_traced<O: io::Write>(seed: u64, masked: Faults, out: O) -> io::Result<(Report, O)> {
    let (report, trace) = run_watched(seed, masked, Trace::new(out));
    Ok((report, trace.finish()?))
}

fn run_watched<W: Watcher<Swim>>(seed: u64, masked: Faults, watcher: W) -> (Report, W) {
    let plan = Plan::draw(seed, masked);
    let mut run = Run::new(&plan, watcher);
    // A panic in a machine is a violation like others, and the run is over.
    let outcome = catch_unwind(AssertUnwindSafe(|| run.carry_out()));
    let violation = match outcome {
        Ok(verdict) => verdict.err(),
        Err(panic) => Some(Violation {
            at: run.world.now(),
            property: "nothing panics",
            observer: None,
            subject: None,
            text: message_of(panic.as_ref()),
        }),
    };
    let report = Report {
        seed,
        faults: plan.faults,
        members: plan.members,
        happenings: run.world.happenings(),
        lasted: run.world.now(),
        agreed_after: run.agreed_after,
        violation,
    };
    (report, run.world.watcher.1)
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

struct Run<'a, W> {
    plan: &'a Plan,
    world: World<Swim, (Checks, W)>,
    names: Arc<Names>,
    rules: BTreeMap<usize, RuleId>,
    /// Whom processes that ended took for alive.
    remembered: BTreeMap<HostId, Vec<HostId>>,
    /// Hosts that left and were not told to come back.
    left: BTreeSet<HostId>,
    agreed_after: Option<Nanos>,
}

impl<'a, W: Watcher<Swim>> Run<'a, W> {
    fn new(plan: &'a Plan, watcher: W) -> Self {
        let setup = Setup { hosts: plan.hosts, config: plan.config.clone(), seed: plan.seed };
        let names = Names::new(plan.hosts);
        let damaged = plan.faults.contains(super::Fault::Corruption);
        let mut world = World::new(setup, (Checks::new(&names, damaged), watcher));
        world.network.latency = plan.latency;
        world.network.refuses = plan.refuses;
        world.network.mtu = plan.mtu;
        Self {
            plan,
            world,
            names,
            rules: BTreeMap::new(),
            remembered: BTreeMap::new(),
            left: BTreeSet::new(),
            agreed_after: None,
        }
    }

    fn carry_out(&mut self) -> Result<(), Violation> {
        let plan = self.plan;
        self.world.discovery = (0..plan.members).collect();
        // Clocks are wrong before the first process reads them.
        let is_wall_clock = |step: &Step| matches!(step, Step::WallClock(..));
        let (clocks, later): (Vec<_>, Vec<_>) =
            plan.steps.iter().partition(|(_, step)| is_wall_clock(step));
        // The members of a settled cluster began with one wall clock.
        let warm = plan.warm && clocks.is_empty();
        for (_, step) in clocks {
            self.step(step);
        }
        if warm {
            self.world.warm(plan.members);
        } else {
            (0..plan.members).for_each(|host| self.world.start(host, Start::default()));
        }
        for (at, step) in later {
            self.run_until(*at)?;
            self.step(step);
        }
        self.run_until(self.world.now().max(plan.trouble))?;
        self.end_trouble();
        self.settle()
    }

    /// Lets time pass, and looks at everybody once in a while.
    fn run_until(&mut self, end: Nanos) -> Result<(), Violation> {
        while self.world.now() < end {
            let period = sample_period(self.plan.hosts);
            let next = (self.world.now() / period + 1) * period;
            self.world.run_until(next.min(end));
            if next <= end {
                self.sample();
            }
            self.verdict()?;
        }
        Ok(())
    }

    fn verdict(&self) -> Result<(), Violation> {
        self.world.watcher.0.violation().cloned().map_or(Ok(()), Err)
    }

    fn sample(&mut self) {
        let world = &mut self.world;
        let mut checks = std::mem::take(&mut world.watcher.0);
        let mut samples: Vec<Sample<'_>> = world
            .running()
            .map(|(host, machine)| Sample::new(host, machine.node(), world.is_paused(host)))
            .collect();
        checks.sample(world.now(), &mut samples);
        world.watcher.0 = checks;
    }

    fn step(&mut self, step: &Step) {
        let world = &mut self.world;
        match step.clone() {
            Step::Loss(chance) => world.network.loss = chance,
            Step::Duplication(chance) => world.network.duplication = chance,
            Step::Reordering(chance, delay) => {
                world.network.reordering = chance;
                world.network.reordering_delay = delay;
            }
            Step::Corruption(chance) => world.network.corruption = chance,
            Step::AddRule(name, rule) => {
                world.note(&format_args!("rule {name} begins: {rule:?}"));
                self.rules.insert(name, world.network.add(rule));
            }
            Step::LiftRule(name) => {
                world.note(&format_args!("rule {name} ends"));
                if let Some(id) = self.rules.remove(&name) {
                    world.network.lift(id);
                }
            }
            Step::Crash(host) => self.crash(host),
            Step::Start { host, remembers, labels } => self.start(host, remembers, labels),
            Step::StartStranger(host) => {
                let peers = Some(vec![host]);
                world.start(host, Start { peers, stranger: true, labels: 0 });
            }
            Step::Pause(host, pause) => world.pause(host, pause),
            Step::Resume(host) => world.resume(host),
            Step::Slow(host, service) => world.slow_down(host, service),
            Step::ClockRate(host, rate) => world.set_clock_rate(host, rate),
            Step::ClockLeap(host, ahead) => world.leap_clock(host, ahead),
            Step::WallClock(host, offset) => world.set_wall_clock(host, offset),
            Step::Leave { host, evict } => self.leave(host, evict),
            Step::Rejoin(host) => self.rejoin(host),
            Step::Labels(host, version) => world.command(host, Command::SetLabels(version)),
            Step::Discovery(list) => {
                world.note(&format_args!("discovery lists {list:?}"));
                world.discovery = list;
            }
            Step::Reap(host) => world.command(host, Command::ReapFaulty),
        }
    }

    fn crash(&mut self, host: HostId) {
        if let Some(machine) = self.world.machine(host) {
            let known = |other: &HostId| {
                *other != host && matches!(machine.belief(*other), Some(Belief::Alive))
            };
            self.remembered.insert(host, (0..self.plan.hosts).filter(known).collect());
        }
        self.world.crash(host);
        self.left.remove(&host);
    }

    fn start(&mut self, host: HostId, remembers: bool, labels: u32) {
        if self.world.machine(host).is_none() {
            let remembered = self.remembered.remove(&host).filter(|_| remembers);
            let peers = remembered.filter(|known| !known.is_empty());
            self.world.start(host, Start { peers, stranger: false, labels });
        }
    }

    fn leave(&mut self, host: HostId, evict: bool) {
        let ready = self.world.machine(host).is_some_and(Swim::is_member);
        if ready && !self.world.is_paused(host) {
            self.left.insert(host);
            let command = if evict { Command::EvictSelf } else { Command::Leave };
            self.world.command(host, command);
        }
    }

    fn rejoin(&mut self, host: HostId) {
        let state = self.world.machine(host).map(|machine| machine.node().state());
        if state == Some(State::Left) && !self.world.is_paused(host) {
            self.left.remove(&host);
            self.world.command(host, Command::Join(self.world.discovery.clone()));
        }
    }

    /// From now on everything works, and discovery lists who is there.
    fn end_trouble(&mut self) {
        self.world.note(&"all faults end");
        self.world.network.calm();
        for host in 0..self.plan.hosts {
            self.world.resume(host);
            self.world.slow_down(host, 0);
            self.world.set_clock_rate(host, TRUE_RATE_PPM);
        }
        self.world.discovery = self.expected();
    }

    fn is_stranger(&self, host: HostId) -> bool {
        host >= self.plan.hosts - self.plan.strangers
    }

    /// The members that belong in every view: all that run, are ours, and stay.
    fn expected(&self) -> Vec<HostId> {
        let running = self.world.running().map(|(host, _)| host);
        running.filter(|host| !self.is_stranger(*host) && !self.left.contains(host)).collect()
    }

    /// Waits for one view and for silence.
    fn settle(&mut self) -> Result<(), Violation> {
        let calm = self.world.now();
        self.come_to_one_view(calm)?;
        self.agreed_after = Some(self.world.now() - calm);
        // A probe that began among faults may still fail.
        let aftermath = liveness::aftermath(&self.plan.config);
        if self.world.now() < calm + aftermath {
            self.run_until(calm + aftermath)?;
            self.come_to_one_view(calm)?;
        }
        self.fall_silent()?;
        self.run_until(self.world.now() + 5 * SECOND)?;
        self.still_agreed()
    }

    fn come_to_one_view(&mut self, calm: Nanos) -> Result<(), Violation> {
        let bound = liveness::agreement_bound(&self.plan.config, self.plan.hosts);
        while let Err((subject, text)) = self.agreement() {
            self.verdict()?;
            if self.world.now() - calm > bound {
                let text = format!("{text}, {:.0} s after the last fault", seconds(bound));
                return Err(self.violation("all come to one view", subject, text));
            }
            self.run_until(self.world.now() + SECOND)?;
        }
        Ok(())
    }

    /// Waits until nobody has changes to spread. Records of members that are gone may still end
    /// meanwhile, which is a change as well.
    fn fall_silent(&mut self) -> Result<(), Violation> {
        let (agreed, memory) = (self.world.now(), liveness::memory_bound(&self.plan.config));
        while let Some((host, backlog)) = self.somebody_with_news() {
            let bound = liveness::silence_bound(&self.plan.config, self.most_known());
            let last_change = agreed.max(self.world.watcher.0.last_change());
            let limit = (last_change + bound).min(agreed + SILENCE_PATIENCE * bound + memory);
            if self.world.now() > limit {
                let text = format!("host {host} still spreads {backlog} changes");
                return Err(self.violation("gossip ends", Some(host), text));
            }
            self.run_until(self.world.now() + SECOND)?;
            self.still_agreed()?;
        }
        Ok(())
    }

    /// Members that the process that knows most knows, those included that
    /// damaged messages made up.
    fn most_known(&self) -> u32 {
        let known = self.world.running().map(|(_, machine)| machine.node().len() as u32);
        known.max().unwrap_or(0).max(self.plan.hosts)
    }

    /// Nobody takes anybody for suspect or failed that is well.
    fn still_agreed(&self) -> Result<(), Violation> {
        let expected = self.expected();
        for host in &expected {
            let Some(machine) = self.world.machine(*host) else { continue };
            for other in &expected {
                let belief = machine.belief(*other);
                if belief != Some(Belief::Alive) {
                    let text = format!("without any fault host {host} takes it for {belief:?}");
                    return Err(self.violation("agreement lasts", Some(*other), text));
                }
            }
        }
        Ok(())
    }

    fn violation(
        &self,
        property: &'static str,
        subject: Option<HostId>,
        text: String,
    ) -> Violation {
        let subject = subject.map(|host| self.names.address(host).clone());
        Violation { at: self.world.now(), property, observer: None, subject, text }
    }

    /// Whether all that should be are ready, see each other alive and nobody
    /// else reachable, and have one checksum.
    fn agreement(&self) -> Result<(), (Option<HostId>, String)> {
        let expected = self.expected();
        for host in &expected {
            let Some(machine) = self.world.machine(*host) else { continue };
            if !machine.is_member() {
                return Err((Some(*host), format!("host {host} is {:?}", machine.node().state())));
            }
            let not_alive = |other: &&HostId| machine.belief(**other) != Some(Belief::Alive);
            if let Some(other) = expected.iter().find(not_alive) {
                let belief = machine.belief(*other);
                return Err((Some(*other), format!("host {host} takes it for {belief:?}")));
            }
            let reachable = |member: &&Member| {
                member.is_reachable()
                    && self
                        .names
                        .host(&member.address)
                        .is_none_or(|other| expected.binary_search(&other).is_err())
            };
            if let Some(ghost) = machine.node().members().find(reachable) {
                let text = format!("host {host} takes {} for {}", ghost.address, ghost.status);
                return Err((None, text));
            }
        }
        let nodes = expected.iter().filter_map(|host| self.world.machine(*host));
        let checksums: BTreeSet<u64> = nodes.map(|machine| machine.node().checksum()).collect();
        if checksums.len() > 1 {
            return Err((None, format!("there are {} checksums", checksums.len())));
        }
        Ok(())
    }

    /// Somebody who still spreads something. Where there are only two, one may
    /// keep what the other is the source of, because it never tells it so.
    fn somebody_with_news(&self) -> Option<(HostId, usize)> {
        if self.expected().len() < 3 {
            return None;
        }
        let backlogs = self
            .expected()
            .into_iter()
            .filter_map(|host| self.world.machine(host).map(|machine| (host, machine.backlog())));
        backlogs.into_iter().find(|(_, backlog)| *backlog > 0)
    }
}
