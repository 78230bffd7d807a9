//! What can be done to the members of a development cluster, by keys and by scripts.

use std::collections::VecDeque;

use ringpop::admin_client::{
    ControlGossipRequest, EvictRequest, GossipAction, LeaveRequest, ReapRequest, RejoinRequest,
    UndoEvictRequest,
};

use super::Dev;
use super::cluster::Update;
use super::event::DevEvent;
use crate::admin::{Admin, Client};
use crate::commands::node::Fault;
use crate::commands::standing::Standing;
use crate::failure::Failure;
use crate::limits::{ANSWER_TIMEOUT, CLUSTER_TIMEOUT, DEV_EVICTION, DEV_NODES_MAX};

/// Something to do. Members are named by their place, from 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill(usize),
    Stop(usize),
    Suspend(usize),
    /// Starts a process that has ended, or has one that is suspended go on.
    Revive(usize),
    ReviveAll,
    Restart(usize),
    /// Restarts all, each when all members agree again.
    RollingRestart,
    Partition(Vec<Vec<usize>>),
    Restore,
    Add,
    Leave(usize),
    Join(usize),
    StopGossip,
    StartGossip,
    TickAll,
    Reap(usize),
    /// It owns no keys for a while.
    Evict(usize),
    UndoEvict(usize),
    /// So many requests a second; 0 ends them.
    Load(u32),
}

/// An answer of a member that is on its way.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Leave,
    Join,
    Gossip(GossipAction),
    Reap,
    Evict,
    UndoEvict,
}

impl Dev {
    /// Does it, or says why not.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Kill(index) => {
                self.on_running(*index, "killing", |dev| dev.children.kill(*index))
            }
            Action::Stop(index) => {
                self.on_running(*index, "stopping", |dev| dev.children.stop(*index))
            }
            Action::Suspend(index) => {
                if !cfg!(unix) {
                    return Err("this operating system suspends no processes".to_owned());
                }
                self.on_running(*index, "suspending", |dev| {
                    dev.children.suspend(*index);
                    dev.cluster.set_suspended(*index, true);
                })
            }
            Action::Revive(index) => self.revive(*index),
            Action::ReviveAll => {
                (0..self.plan.nodes.len()).for_each(|index| drop(self.revive(index)));
                Ok(())
            }
            Action::Restart(index) => self.on_running(*index, "restarting", |dev| {
                dev.restarting.push(*index);
                dev.children.stop(*index);
            }),
            Action::RollingRestart => {
                let running = |index: &usize| self.cluster.nodes()[*index].runs();
                self.rolling = (0..self.plan.nodes.len()).filter(running).collect::<VecDeque<_>>();
                self.told("restarting the members one by one");
                Ok(())
            }
            Action::Partition(groups) => self.partition(groups),
            Action::Restore => {
                self.set_fault(Fault::Restore);
                self.told("everything passes between all members again");
                Ok(())
            }
            Action::Add => self.add().map_err(|failure| failure.to_string()),
            Action::Leave(index) => {
                self.on_running(*index, "leaving", |dev| dev.ask(*index, Ask::Leave))
            }
            Action::Join(index) => {
                self.on_running(*index, "joining", |dev| dev.ask(*index, Ask::Join))
            }
            Action::Reap(index) => {
                self.on_running(*index, "reaping from", |dev| dev.ask(*index, Ask::Reap))
            }
            Action::Evict(index) => {
                self.on_running(*index, "evicting", |dev| dev.ask(*index, Ask::Evict))
            }
            Action::UndoEvict(index) => self.on_running(*index, "ending the eviction of", |dev| {
                dev.ask(*index, Ask::UndoEvict);
            }),
            Action::StopGossip => self.ask_all(Ask::Gossip(GossipAction::Stop)),
            Action::StartGossip => self.ask_all(Ask::Gossip(GossipAction::Start)),
            Action::TickAll => self.ask_all(Ask::Gossip(GossipAction::Tick)),
            Action::Load(rate) => {
                self.load.set_rate(*rate);
                self.told(&format!("{rate} requests a second"));
                Ok(())
            }
        }
    }

    pub(super) fn told(&mut self, text: &str) {
        self.tell(&DevEvent::Action { text: text.to_owned() });
    }

    /// Does something to a member that runs, and tells it.
    fn on_running(
        &mut self,
        index: usize,
        what: &str,
        act: impl FnOnce(&mut Self),
    ) -> Result<(), String> {
        let Some(node) = self.cluster.nodes().get(index) else {
            let last = self.plan.nodes.len() - 1;
            return Err(format!("there is no member {index}: the last one is {last}"));
        };
        let address = node.address().to_owned();
        if !node.runs() {
            return Err(format!("{address} does not run"));
        }
        self.told(&format!("{what} {address}"));
        act(self);
        Ok(())
    }

    fn revive(&mut self, index: usize) -> Result<(), String> {
        let Some(node) = self.cluster.nodes().get(index) else {
            let last = self.plan.nodes.len() - 1;
            return Err(format!("there is no member {index}: the last one is {last}"));
        };
        let address = node.address().to_owned();
        if node.is_suspended() {
            self.children.resume(index);
            self.cluster.set_suspended(index, false);
            self.told(&format!("{address} goes on"));
            return Ok(());
        }
        if node.runs() {
            return Err(format!("{address} runs already"));
        }
        self.start(index).map_err(|failure| failure.to_string())
    }

    /// Starts a process for a member that has none.
    pub(super) fn start(&mut self, index: usize) -> Result<(), Failure> {
        let pid = self.children.start(&self.plan, index)?;
        let event = self.cluster.restarted(index, pid);
        self.tell(&event);
        if let Some(fault) = &self.fault {
            self.children.say(index, &line(fault));
        }
        Ok(())
    }

    fn add(&mut self) -> Result<(), Failure> {
        if self.plan.nodes.len() >= usize::from(DEV_NODES_MAX) {
            return Err(Failure::Failed(format!("at most {DEV_NODES_MAX} members are started")));
        }
        let index = self.plan.add()?;
        self.cluster.add(&self.plan, index);
        super::watch::start(&self.plan.nodes[index].address, index, &self.updates)?;
        self.start(index)
    }

    /// Cuts the ways between groups; a member in none of them reaches everybody.
    fn partition(&mut self, groups: &[Vec<usize>]) -> Result<(), String> {
        let mut seen = std::collections::BTreeSet::new();
        for index in groups.iter().flatten() {
            if *index >= self.plan.nodes.len() {
                return Err(format!("there is no member {index}"));
            }
            if !seen.insert(index) {
                return Err(format!("member {index} is on two sides"));
            }
        }
        let address = |index: &usize| self.plan.nodes[*index].address.clone();
        let groups: Vec<Vec<_>> =
            groups.iter().map(|group| group.iter().map(address).collect()).collect();
        let sides: Vec<_> = groups.iter().map(|group: &Vec<String>| group.join(" ")).collect();
        self.set_fault(Fault::Partition(groups));
        self.told(&format!("nothing passes between {}", sides.join(" | ")));
        Ok(())
    }

    /// Tells all members, and those that are started later.
    fn set_fault(&mut self, fault: Fault) {
        let line = line(&fault);
        (0..self.plan.nodes.len()).for_each(|index| self.children.say(index, &line));
        self.is_partitioned = matches!(fault, Fault::Partition(_));
        self.fault = Some(fault);
    }

    fn ask_all(&mut self, ask: Ask) -> Result<(), String> {
        for index in 0..self.plan.nodes.len() {
            if self.cluster.nodes()[index].runs() {
                self.ask(index, ask);
            }
        }
        Ok(())
    }

    /// Has a member do something, and its answer come as an update.
    fn ask(&mut self, index: usize, ask: Ask) {
        self.asked += 1;
        let address = self.plan.nodes[index].address.clone();
        let updates = self.updates.clone();
        tokio::spawn(async move {
            let answer = match Admin::new(&address, None) {
                Ok(admin) => carry_out(&admin, ask).await,
                Err(failure) => Err(failure),
            };
            let answer = answer.map_err(|failure| failure.to_string());
            let _ = updates.send(Update::Answer { index, answer }).await;
        });
    }
}

fn line(fault: &Fault) -> String {
    serde_json::to_string(fault).expect("a fault has lists and texts")
}

async fn carry_out(admin: &Admin, ask: Ask) -> Result<String, Failure> {
    Ok(match ask {
        Ask::Leave => {
            let call = |mut client: Client, request| async move { client.leave(request).await };
            let answer = admin.ask(CLUSTER_TIMEOUT, LeaveRequest {}, call).await?;
            format!("has left, {} members confirmed it", answer.told)
        }
        Ask::Join => {
            let call = |mut client: Client, request| async move { client.rejoin(request).await };
            let answer = admin.ask(CLUSTER_TIMEOUT, RejoinRequest {}, call).await?;
            format!("is back and knows {} members", answer.members)
        }
        Ask::Gossip(action) => {
            let call =
                |mut client: Client, request| async move { client.control_gossip(request).await };
            let request = ControlGossipRequest { action: action.into() };
            admin.ask(ANSWER_TIMEOUT, request, call).await?;
            match action {
                GossipAction::Stop => "probes nobody".to_owned(),
                GossipAction::Start => "probes again".to_owned(),
                _ => "has probed one member".to_owned(),
            }
        }
        Ask::Reap => {
            let call = |mut client: Client, request| async move { client.reap(request).await };
            let answer = admin.ask(ANSWER_TIMEOUT, ReapRequest::default(), call).await?;
            format!("has {} members forgotten", answer.reaped)
        }
        // Any member may be asked, the one that it is about as well.
        Ask::Evict => {
            let call = |mut client: Client, request| async move { client.evict(request).await };
            let time_ms = DEV_EVICTION.as_millis().try_into().unwrap_or(u64::MAX);
            let request = EvictRequest { address: admin.address().to_owned(), time_ms };
            admin.ask(CLUSTER_TIMEOUT, request, call).await?;
            let (standing, time) = (Standing::of_asked(admin).await?, DEV_EVICTION.as_secs());
            match standing.owns_keys() {
                true => format!("is evicted for {time} s, but {}", standing.kept()),
                false => format!("owns no keys for {time} s"),
            }
        }
        Ask::UndoEvict => {
            let call =
                |mut client: Client, request| async move { client.undo_evict(request).await };
            let request = UndoEvictRequest { address: admin.address().to_owned() };
            admin.ask(CLUSTER_TIMEOUT, request, call).await?;
            let standing = Standing::of_asked(admin).await?;
            match standing.is_on_ring() {
                true => "owns keys again".to_owned(),
                false => format!("is not evicted any more; {}", standing.remaining()),
            }
        }
    })
}
