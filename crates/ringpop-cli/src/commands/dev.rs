//! `ringpop dev`: a cluster of real processes on this machine, a live picture of it, and keys and
//! scripts that do to it what happens to clusters.
//!
//! `plan` says which ports and processes there are, `child` runs a process, `watch` asks it for its
//! status, `cluster` folds what both report into the state of the whole, and `screen` shows that.
//! `action` is everything that can be done, `keys`, `script` and the `dashboard` ask for it, and
//! `load` sends requests meanwhile.

mod action;
mod child;
mod cluster;
mod dashboard;
mod event;
mod histogram;
mod keys;
mod load;
mod plan;
mod screen;
mod script;
mod table;
mod watch;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::crossterm::event::KeyEvent;
use ringpop::PlacementChoice;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::action::Action;
use self::child::Children;
use self::cluster::{Cluster, Update};
use self::dashboard::{Dashboard, PageRequest, Wish};
use self::event::DevEvent;
use self::keys::{HELP, Pressed};
use self::load::Load;
use self::plan::Plan;
use self::screen::Screen;
use self::script::{Script, Steps};
use self::table::Shown;
use super::node::Fault;
use crate::args::DevArgs;
use crate::failure::Failure;
use crate::keys::Keys;
use crate::limits::{
    DEV_LOAD_RATE, DEV_LOAD_RATE_MAX, DEV_NODES, DEV_POLL_INTERVAL, DEV_UPDATES_MAX,
};
use crate::stop::Stop;

pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    args.limits.check()?;
    let steps = args.script.as_deref().map(Steps::read).transpose()?;
    let nodes = args.nodes.or(steps.as_ref().and_then(|steps| steps.nodes)).unwrap_or(DEV_NODES);
    let mut options = args.limits.arguments();
    if args.placement != PlacementChoice::default() {
        options.push(format!("--placement={}", args.placement));
    }
    let plan = Plan::new(nodes, args.base_port)?.with_options(options);
    plan.check_ports()?;
    let stop = Stop::new(args.run.duration, None)?;
    let has_keys = io::stdin().is_terminal() && io::stdout().is_terminal();
    let has_keys = has_keys && !args.run.json && steps.is_none();
    let dashboard = Dashboard::start(args.dashboard_port).await?;
    let mut dev = Dev::new(plan, args.run.json, has_keys, stop, dashboard)?;
    dev.show_url(args.open);
    dev.load.set_rate(args.load);
    dev.script = steps.map(Script::new);
    let result = dev.watch().await;
    dev.screen.close();
    result
}

struct Dev {
    plan: Plan,
    cluster: Cluster,
    screen: Screen,
    dashboard: Dashboard,
    children: Children,
    load: Load,
    stop: Stop,
    updates: mpsc::Sender<Update>,
    inbox: mpsc::Receiver<Update>,
    keys: Keys,
    /// The member that keys are about.
    selected: usize,
    /// What members were told of the network last.
    fault: Option<Fault>,
    is_partitioned: bool,
    /// Members that are started again when they have ended.
    restarting: Vec<usize>,
    /// Members that are restarted one by one.
    rolling: VecDeque<usize>,
    /// Answers of members that are on their way.
    asked: usize,
    /// Why a member refused what it was asked to do.
    refused: Option<String>,
    script: Option<Script>,
    /// How the script ended, once it has.
    verdict: Option<Result<(), String>>,
}

/// How far the end of the run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    Graceful,
    Forced,
}

impl Dev {
    fn new(
        plan: Plan,
        json: bool,
        has_keys: bool,
        stop: Stop,
        dashboard: Dashboard,
    ) -> Result<Self, Failure> {
        let (updates, inbox) = mpsc::channel(DEV_UPDATES_MAX);
        let mut children = Children::new(updates.clone())?;
        let ids = (0..plan.nodes.len()).map(|index| children.start(&plan, index));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        for (index, node) in plan.nodes.iter().enumerate() {
            watch::start(&node.address, index, &updates)?;
        }
        let mut dev = Self {
            cluster: Cluster::new(&plan, &ids),
            screen: Screen::new(json, plan.nodes.len(), has_keys),
            dashboard,
            children,
            load: Load::start(),
            stop,
            updates,
            inbox,
            keys: Keys::none(),
            selected: 0,
            fault: None,
            is_partitioned: false,
            restarting: Vec::new(),
            rolling: VecDeque::new(),
            asked: 0,
            refused: None,
            script: None,
            verdict: None,
            plan,
        };
        if has_keys {
            // Without keys the cluster still runs, and a signal ends it.
            dev.keys = Keys::read().unwrap_or(Keys::none());
        }
        for event in dev.cluster.started() {
            dev.tell(&event);
        }
        Ok(dev)
    }

    /// Tells people, wherever they look.
    fn tell(&mut self, event: &DevEvent) {
        self.dashboard.note(event);
        self.screen.tell(event);
    }

    /// Tells where the dashboard is, and opens it.
    fn show_url(&mut self, open: bool) {
        let url = self.dashboard.url();
        self.tell(&DevEvent::Dashboard { url: url.clone() });
        if !open {
            return;
        }
        let updates = self.updates.clone();
        tokio::spawn(async move {
            if let Err(reason) = dashboard::open(&url).await {
                let _ = updates.send(Update::NoBrowser { reason }).await;
            }
        });
    }

    /// Shows what happens until no process is left.
    async fn watch(&mut self) -> Result<(), Failure> {
        let mut ending = Ending::No;
        let mut redraw = interval(DEV_POLL_INTERVAL);
        let mut seconds = interval(Duration::from_secs(1));
        for ticks in [&mut redraw, &mut seconds] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut shown = Shown::default();
        while self.goes_on(ending) {
            tokio::select! {
                Some(update) = self.inbox.recv() => self.apply(update),
                _ = self.stop.next() => ending = self.end(ending),
                key = self.keys.next() => {
                    if self.press(key) {
                        ending = self.end(ending);
                    }
                }
                request = self.dashboard.next() => self.obey(request, ending),
                _ = seconds.tick() => shown.load = self.report_load(ending),
                _ = redraw.tick() => {
                    shown.selected = self.selected;
                    self.screen.draw(&self.cluster, &shown);
                    self.dashboard.follow(&self.cluster);
                    self.show_processes();
                }
            }
            if ending == Ending::No && self.is_to_end() {
                ending = self.end(ending);
            }
        }
        self.screen.draw(&self.cluster, &shown);
        self.result(ending)
    }

    /// Whether there are processes, or somebody who may start some again.
    fn goes_on(&self, ending: Ending) -> bool {
        let may_start = self.keys.may_come()
            || self.dashboard.is_used()
            || self.script.is_some()
            || !self.restarting.is_empty();
        self.cluster.running() > 0 || ending == Ending::No && may_start
    }

    /// Goes on with what takes several steps. Whether the run is over then.
    fn is_to_end(&mut self) -> bool {
        self.load.set_targets(self.cluster.targets());
        self.roll();
        if let Some(verdict) = self.run_script() {
            let reason = verdict.as_ref().err().cloned();
            self.tell(&DevEvent::Script { passed: verdict.is_ok(), reason });
            self.verdict = Some(verdict);
        }
        self.verdict.is_some() || !self.screen.is_read()
    }

    fn result(&mut self, ending: Ending) -> Result<(), Failure> {
        match (ending, self.verdict.take()) {
            (Ending::Forced, _) => return Err(Failure::Interrupted),
            (Ending::No, None) => {
                return Err(Failure::failed(
                    "all members have stopped by themselves: see above why each did",
                ));
            }
            (_, Some(Err(reason))) => return Err(Failure::Failed(reason)),
            (Ending::Graceful, None) if self.script.is_some() => {
                return Err(Failure::failed("the run ended before the script was over"));
            }
            (_, _) => {}
        }
        self.screen.tell(&DevEvent::Stopped);
        Ok(())
    }

    fn apply(&mut self, update: Update) {
        match &update {
            Update::Exited { index, .. } => self.children.ended(*index),
            Update::Answer { answer, .. } => {
                self.asked -= 1;
                if let Err(reason) = answer {
                    self.refused = Some(reason.clone());
                }
            }
            Update::Status { .. } | Update::Message { .. } | Update::NoBrowser { .. } => {}
        }
        let ended = match &update {
            Update::Exited { index, .. } => Some(*index),
            _ => None,
        };
        for event in self.cluster.apply(update) {
            self.tell(&event);
        }
        let Some(index) = ended.filter(|index| self.restarting.contains(index)) else { return };
        self.restarting.retain(|other| *other != index);
        if let Err(failure) = self.start(index) {
            self.refused = Some(failure.to_string());
        }
    }

    /// Restarts the next member of a rolling restart, once all members agree.
    fn roll(&mut self) {
        let is_settled =
            self.restarting.is_empty() && self.cluster.missing_agreement(None).is_none();
        if is_settled && let Some(index) = self.rolling.pop_front() {
            // One that was killed meanwhile is left alone.
            let _ = self.act(&Action::Restart(index));
        }
    }

    fn report_load(&mut self, ending: Ending) -> Option<event::LoadReport> {
        if self.load.rate() == 0 || ending != Ending::No {
            return None;
        }
        let report = self.load.last_second();
        self.tell(&DevEvent::Load(report.clone()));
        Some(report)
    }

    /// Does what the dashboard asks for. A script alone acts on its cluster.
    fn obey(&mut self, request: PageRequest, ending: Ending) {
        let done = match request.wish(&self.cluster) {
            Err(reason) => Err(reason),
            Ok(Wish::Ask(address)) => {
                self.dashboard.ask(&address);
                Ok(())
            }
            Ok(Wish::Act(_)) if ending != Ending::No => Err("the cluster stops".to_owned()),
            Ok(Wish::Act(_)) if self.script.is_some() => {
                Err("a script runs, and it alone acts on the cluster".to_owned())
            }
            Ok(Wish::Act(actions)) => actions.iter().try_for_each(|action| self.act(action)),
        };
        self.show_processes();
        request.end(done);
    }

    /// Shows the processes on the dashboard.
    fn show_processes(&self) {
        self.dashboard.show(&self.cluster, self.load.rate(), self.is_partitioned);
    }

    /// Does what a key stands for. Whether the run is to end.
    fn press(&mut self, key: KeyEvent) -> bool {
        let last = self.plan.nodes.len() - 1;
        let rate = self.load.rate();
        let done = match keys::meaning(key, self.selected) {
            None => Ok(()),
            Some(Pressed::Quit) => return true,
            Some(Pressed::Do(action)) => self.act(&action),
            Some(Pressed::Up) => {
                self.selected = self.selected.saturating_sub(1);
                Ok(())
            }
            Some(Pressed::Down) => {
                self.selected = (self.selected + 1).min(last);
                Ok(())
            }
            Some(Pressed::MoreLoad) => {
                let more = if rate == 0 { DEV_LOAD_RATE } else { rate.saturating_mul(2) };
                self.act(&Action::Load(more.min(DEV_LOAD_RATE_MAX)))
            }
            Some(Pressed::LessLoad) => {
                let less = if rate <= DEV_LOAD_RATE { 0 } else { rate / 2 };
                self.act(&Action::Load(less))
            }
            Some(Pressed::TogglePartition) if self.is_partitioned => self.act(&Action::Restore),
            Some(Pressed::TogglePartition) => {
                let half = self.plan.nodes.len() / 2;
                let sides = vec![(0..half).collect(), (half..=last).collect()];
                self.act(&Action::Partition(sides))
            }
            Some(Pressed::Views) => self.text(self.cluster.views()),
            Some(Pressed::Statistics) => self.text(self.cluster.statistics()),
            Some(Pressed::Help) => self.text(HELP.join("\n")),
            Some(Pressed::Clear) => {
                self.screen.clear();
                Ok(())
            }
        };
        if let Err(reason) = done {
            self.told(&reason);
        }
        false
    }

    fn text(&mut self, text: String) -> Result<(), String> {
        self.tell(&DevEvent::Text { text });
        Ok(())
    }

    /// Tells the processes to stop; a second request does not wait for them.
    fn end(&mut self, ending: Ending) -> Ending {
        self.load.set_rate(0);
        self.restarting.clear();
        self.rolling.clear();
        match ending {
            Ending::No => {
                let event = self.cluster.stop();
                self.tell(&event);
                // Those that are cut off would tell nobody that they leave.
                if self.is_partitioned {
                    let _ = self.act(&Action::Restore);
                }
                self.children.stop_all();
                Ending::Graceful
            }
            Ending::Graceful | Ending::Forced => {
                self.children.kill_all();
                Ending::Forced
            }
        }
    }
}

#[cfg(test)]
/// Whether a key means something to `dev`.
pub(crate) fn is_key(key: KeyEvent) -> bool {
    keys::meaning(key, 0).is_some()
}
