//! Members on a network in memory.

use std::sync::{Arc, Mutex};

use swim_driver::memory::Network;
use swim_driver::swim_core::{Address, Config, Event, Node, Status};
use swim_driver::{Driver, Handle, Hooks, Start, Transport, queue};
use tokio::task::JoinHandle;

/// The wall clock of all tests.
pub(crate) const UNIX_MS: u64 = 1_700_000_000_000;

/// The address of a member by its number.
pub(crate) fn address(i: u64) -> Address {
    Address::new(&format!("10.0.0.{i}:7946")).unwrap()
}

/// A machine that has the address and the seed of its number.
pub(crate) fn node(i: u64) -> Node {
    Node::new(Config::lan(), Start::fixed(i, UNIX_MS).init("rides", address(i))).unwrap()
}

/// Runs a machine.
pub(crate) fn run(
    node: Node,
    transport: impl Transport,
    hooks: impl Hooks,
) -> (Handle, JoinHandle<()>) {
    let (handle, queue) = queue();
    let task = tokio::spawn(Driver::new(queue, node, transport, hooks).run());
    (handle, task)
}

/// A running member and the events that it told, as text.
pub(crate) struct Member {
    pub(crate) handle: Handle,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
}

impl Member {
    /// Starts a member on a network. It joins nobody yet.
    pub(crate) fn start(network: &Network, i: u64) -> Self {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&log);
        let hook = move |_: &Node, event: &Event| {
            lines.lock().unwrap().push(format!("{event:?}"));
        };
        let node = node(i);
        let endpoint = network.endpoint(&node).unwrap();
        let (handle, _) = run(node, endpoint, hook);
        Self { handle, log }
    }

    /// Starts a member that joins the first one.
    pub(crate) async fn join(network: &Network, i: u64) -> Self {
        let member = Self::start(network, i);
        member.handle.join_discovered(&vec![address(1)]).await.unwrap();
        member
    }

    /// What the member knows of another one.
    pub(crate) async fn status(&self, i: u64) -> Option<Status> {
        let known = move |node: &mut Node, _| node.member(&address(i)).map(|member| member.status);
        self.handle.with(known).await.unwrap()
    }

    /// How many it takes for reachable.
    pub(crate) async fn reachable(&self) -> usize {
        let count = |node: &mut Node, _| node.count(Status::Alive) + node.count(Status::Suspect);
        self.handle.with(count).await.unwrap()
    }
}

/// Starts `members` members, which have all joined the first.
pub(crate) async fn cluster(network: &Network, members: u64) -> Vec<Member> {
    let mut all = Vec::new();
    for i in 1..=members {
        all.push(Member::join(network, i).await);
    }
    all
}
