//! Members over calls that have an answer, as with gRPC or HTTP: what differs
//! from datagrams is how a reply finds its request.
//!
//! Three members in one process, with channels in place of a network, on a
//! clock that jumps: it takes no time.
//!
//! ```sh
//! cargo run -p swim-core --example calls
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use swim_core::{Address, Config, Event, Init, Instant, Labels, Message, Node, Output};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, sleep, sleep_until, timeout};

/// A request and where its answer goes.
type Call = (Message, oneshot::Sender<Message>);

/// Calls that wait for a member; more are refused.
const INBOX_MAX: usize = 64;

/// Requests of others that this member has not answered yet; more are refused.
const UNANSWERED_MAX: usize = 1024;

/// Longer than the machine waits for any answer: it decides when one is late, and this only ends
/// calls that nobody waits for.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

struct Driver {
    node: Node,
    start: Clock,
    network: Arc<HashMap<Address, mpsc::Sender<Call>>>,
    /// What others ask this member.
    inbox: mpsc::Receiver<Call>,
    /// Who waits for the reply to which request of which peer.
    unanswered: HashMap<(Address, u64), oneshot::Sender<Message>>,
    /// What this member asks others: the number and the answer, if any.
    calls: JoinSet<(u64, Option<Message>)>,
}

impl Driver {
    async fn run(mut self) {
        loop {
            self.node.handle_timeout(self.now());
            self.carry_out();
            let due = self.node.poll_timeout().map(|at| self.start + at.since_start());
            tokio::select! {
                Some(call) = self.inbox.recv() => self.asked(call),
                Some(Ok((seq, answer))) = self.calls.join_next() => match answer {
                    Some(reply) => self.node.handle_message(self.now(), reply),
                    None => self.node.handle_undelivered(self.now(), seq),
                },
                () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => {}
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    /// The reply that the machine emits for the same peer and number is the
    /// answer; for a ping-req it comes later.
    fn asked(&mut self, (request, answer): Call) {
        // A caller that hung up makes room.
        self.unanswered.retain(|_, answer| !answer.is_closed());
        if request.is_reply() || self.unanswered.len() == UNANSWERED_MAX {
            return;
        }
        self.unanswered.insert((request.from.clone(), request.seq), answer);
        self.node.handle_message(self.now(), request);
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(reply) if reply.message.is_reply() => {
                    let request = (reply.to, reply.message.seq);
                    if let Some(answer) = self.unanswered.remove(&request) {
                        // A caller that hung up in the meantime asks again.
                        let _ = answer.send(reply.message);
                    }
                }
                Output::Transmit(request) => self.call(&request.to, request.message),
                Output::Event(event) => report(&self.node, &event),
            }
        }
    }

    fn call(&mut self, to: &Address, request: Message) {
        let peer = self.network.get(to).cloned();
        self.calls.spawn(async move {
            let seq = request.seq;
            let (sender, answer) = oneshot::channel();
            let sent = peer.is_some_and(|peer| peer.try_send((request, sender)).is_ok());
            let answer = if sent { timeout(CALL_TIMEOUT, answer).await.ok() } else { None };
            (seq, answer.and_then(Result::ok))
        });
    }
}

fn report(node: &Node, event: &Event) {
    if let Event::MemberChanged { after: Some(member), .. } = event {
        println!("{}: {} is {}", node.local().address, member.address, member.status);
    }
}

/// Starts a member that joins all others.
fn start(
    address: &Address,
    network: &Arc<HashMap<Address, mpsc::Sender<Call>>>,
    inbox: mpsc::Receiver<Call>,
) -> Result<Driver> {
    let init = Init {
        app: "calls".into(),
        address: address.clone(),
        identity: None,
        labels: Labels::default(),
        seed: getrandom::u64()?,
        now: Instant::ZERO,
        unix_ms: std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64,
    };
    let mut node = Node::new(Config::lan(), init)?;
    node.join(Instant::ZERO, network.keys().cloned().collect())?;
    Ok(Driver {
        node,
        start: Clock::now(),
        network: network.clone(),
        inbox,
        unanswered: HashMap::new(),
        calls: JoinSet::new(),
    })
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let (mut network, mut inboxes) = (HashMap::new(), Vec::new());
    for name in ["a", "b", "c"] {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        network.insert(Address::new(name)?, sender);
        inboxes.push((Address::new(name)?, inbox));
    }
    let network = Arc::new(network);
    let mut running = Vec::new();
    for (address, inbox) in inboxes {
        running.push(tokio::spawn(start(&address, &network, inbox)?.run()));
    }
    sleep(Duration::from_secs(10)).await;
    println!("c ends without a word");
    running[2].abort();
    sleep(Duration::from_secs(60)).await;
    Ok(())
}
