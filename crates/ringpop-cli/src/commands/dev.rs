//! `ringpop dev`: a cluster of real processes on this machine, and a live picture of it.
//!
//! `plan` says which ports and processes there are, `child` runs a process, `watch` asks it for its
//! status, `cluster` folds what both report into the state of the whole, and `screen` shows that.

mod child;
mod cluster;
mod event;
mod plan;
mod screen;
mod table;
mod watch;

use ringpop::PlacementChoice;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::child::Children;
use self::cluster::{Cluster, Update};
use self::event::DevEvent;
use self::plan::Plan;
use self::screen::Screen;
use crate::args::DevArgs;
use crate::failure::Failure;
use crate::limits::{DEV_POLL_INTERVAL, DEV_UPDATES_MAX};
use crate::stop::Stop;

pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    args.limits.check()?;
    let mut options = args.limits.arguments();
    if args.placement != PlacementChoice::default() {
        options.push(format!("--placement={}", args.placement));
    }
    let plan = Plan::new(args.nodes, args.base_port)?.with_options(options);
    plan.check_ports()?;
    let stop = Stop::new(args.run.duration, false)?;
    let (updates, inbox) = mpsc::channel(DEV_UPDATES_MAX);
    let children = Children::start(&plan, &updates)?;
    watch::start(&plan, &updates)?;
    let mut dev = Dev {
        cluster: Cluster::new(&plan, children.ids()),
        screen: Screen::new(args.run.json, plan.nodes.len()),
        children,
        stop,
        inbox,
    };
    dev.announce();
    let result = dev.watch().await;
    dev.screen.close();
    result
}

struct Dev {
    cluster: Cluster,
    screen: Screen,
    children: Children,
    stop: Stop,
    inbox: mpsc::Receiver<Update>,
}

/// How far the end of the run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    Graceful,
    Forced,
}

impl Dev {
    fn announce(&mut self) {
        for event in self.cluster.started() {
            self.screen.tell(&event);
        }
    }

    /// Shows what happens until no process is left.
    async fn watch(&mut self) -> Result<(), Failure> {
        let mut ending = Ending::No;
        let mut redraw = interval(DEV_POLL_INTERVAL);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.cluster.running() > 0 {
            tokio::select! {
                Some(update) = self.inbox.recv() => {
                    for event in self.cluster.apply(update) {
                        self.screen.tell(&event);
                    }
                }
                _ = self.stop.next() => ending = self.end(ending),
                _ = redraw.tick() => self.screen.draw(&self.cluster),
            }
        }
        self.screen.draw(&self.cluster);
        match ending {
            Ending::No => Err(Failure::failed(
                "all members have stopped by themselves: see above why each did",
            )),
            Ending::Graceful => {
                self.screen.tell(&DevEvent::Stopped);
                Ok(())
            }
            Ending::Forced => Err(Failure::Interrupted),
        }
    }

    /// Tells the processes to stop; a second request does not wait for them.
    fn end(&mut self, ending: Ending) -> Ending {
        match ending {
            Ending::No => {
                self.screen.tell(&self.cluster.stop());
                self.children.stop();
                Ending::Graceful
            }
            Ending::Graceful | Ending::Forced => {
                self.children.kill();
                Ending::Forced
            }
        }
    }
}
