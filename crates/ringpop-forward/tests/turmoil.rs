//! Whole clusters in simulated time, with crashes, partitions, slow links and members that leave,
//! while calls are under way: what must not run twice does not, and what may run twice succeeds
//! while an owner is alive.
//!
//! Each seed is another history. `RINGPOP_TURMOIL_SEEDS=1000` runs a thousand of them,
//! `RINGPOP_TURMOIL_FIRST=7` begins with seed 7.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod common;
#[path = "../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_util::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::Connected;
use tonic::{Request, Status};
use tower::Service;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use common::cluster::routes;
use common::service::{Ask, Handler, ONCE, TestClient, TestServer, UNARY};
use ringpop_forward::{
    Changed, Connector, Dialing, Forwarder, H2Config, H2Transport, Io, Owner, Owners, Peer, Policy,
    Resolver, server,
};

const MEMBERS: usize = 4;
/// Where calls begin. It owns nothing and never dies, so it can tell how they ended.
const EDGE: &str = "edge";
const PORT: u16 = 7100;
const CALLS: u64 = 300;
const CALL_EVERY: Duration = Duration::from_millis(20);
const FAULTS: usize = 4;
/// As many as fit into the time of an ordinary test run, and of a run of all tests.
const SEEDS_DEFAULT: u64 = 8;
const SEEDS_ALL: u64 = 60;

fn name(member: usize) -> String {
    format!("m{member}")
}

fn address(member: usize) -> String {
    format!("m{member}:{PORT}")
}

/// Who is on the ring, as one process sees it.
#[derive(Clone)]
struct View {
    me: Option<usize>,
    members: watch::Sender<[bool; MEMBERS]>,
}

impl View {
    fn new(me: Option<usize>) -> Self {
        Self { me, members: watch::Sender::new([true; MEMBERS]) }
    }

    fn set(&self, member: usize, present: bool) {
        self.members.send_modify(|members| members[member] = present);
    }

    fn epoch_of(members: &[bool; MEMBERS]) -> u64 {
        members.iter().fold(1, |epoch, &present| epoch << 1 | u64::from(present))
    }
}

impl Resolver for View {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        let members = *self.members.borrow();
        let score = |member: usize| {
            let mut hasher = DefaultHasher::new();
            (member, key).hash(&mut hasher);
            hasher.finish()
        };
        let mut owners: Vec<_> = (0..MEMBERS).filter(|&member| members[member]).collect();
        owners.sort_by_key(|&member| std::cmp::Reverse(score(member)));
        out.extend(owners.into_iter().take(n).map(|member| {
            if Some(member) == self.me {
                Owner::Local
            } else {
                Owner::Remote(Arc::new(Peer::new(&address(member)).unwrap()))
            }
        }));
    }

    fn epoch(&self) -> u64 {
        Self::epoch_of(&self.members.borrow())
    }

    fn changed(&self, seen: u64) -> Changed {
        let mut members = self.members.subscribe();
        Box::pin(async move {
            if members.wait_for(|members| Self::epoch_of(members) != seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Dials within the simulation.
struct Simulated;

impl Connector for Simulated {
    fn connect(&self, peer: &Peer) -> Dialing {
        let address = peer.address().to_owned();
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Io>) })
    }
}

/// An accepted connection, as tonic wants it.
struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// How often each call was executed, by its number.
type Executions = Arc<Mutex<HashMap<u64, u32>>>;

/// The test service, which notes what it executes and takes a while for it.
#[derive(Clone)]
struct Noting {
    inner: TestServer,
    executions: Executions,
}

impl NamedService for Noting {
    const NAME: &'static str = TestServer::NAME;
}

impl Service<http::Request<Body>> for Noting {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let number = request.headers()["x-number"].to_str().unwrap().parse().unwrap();
        *self.executions.lock().unwrap().entry(number).or_default() += 1;
        let handling = self.inner.call(request);
        Box::pin(async move {
            sleep(Duration::from_millis(fastrand::u64(0..40))).await;
            handling.await
        })
    }
}

fn forwarder(me: &str, view: View, policy: Policy) -> Forwarder {
    let config = H2Config::default()
        .connect_timeout(Duration::from_millis(300))
        .keepalive_interval(Duration::from_millis(300))
        .keepalive_timeout(Duration::from_millis(300));
    Forwarder::builder(view)
        .transport(H2Transport::with_connector(config, Simulated).unwrap())
        .name(me)
        .policy(policy)
        .routes(routes())
        .trust_hop_headers(|_| true)
        .build()
        .unwrap()
}

/// A member of the cluster, from its start to its end.
async fn member(index: usize, view: View, executions: Executions) -> turmoil::Result {
    let forwarder = forwarder(&address(index), view, Policy::default());
    let inner = TestServer(Handler::new(&name(index)));
    let service = Noting { inner, executions };
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let incoming = stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    });
    server().layer(forwarder.layer()).add_service(service).serve_with_incoming(incoming).await?;
    Ok(())
}

/// How the calls of one history ended.
type Ends = Arc<Mutex<BTreeMap<u64, Result<(), Status>>>>;

/// Makes calls all the time; every other one must not run twice.
async fn edge(view: View, policy: Policy, ends: Ends) -> turmoil::Result {
    let forwarder = forwarder(EDGE, view, policy);
    let local = TestServer(Handler::new(EDGE));
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let mut client = TestClient::new(forwarder.client(local.clone()));
        let ends = Arc::clone(&ends);
        calls.spawn(async move {
            let mut request = Request::new(Ask::new(&number.to_string(), ""));
            request.metadata_mut().insert("x-number", number.into());
            request.set_timeout(Duration::from_secs(15));
            let method = if number % 2 == 0 { UNARY } else { ONCE };
            let end = client.unary_at(method, request).await.map(|_| ());
            ends.lock().unwrap().insert(number, end);
        });
        sleep(CALL_EVERY).await;
    }
    while let Some(call) = calls.join_next().await {
        call?;
    }
    Ok(())
}

/// Something that happens to one member, at a time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Crash,
    Restart,
    Cut,
    Mend,
    Hold,
    Release,
    /// A process hears that the member is gone, or back.
    Hears {
        process: usize,
        present: bool,
    },
}

/// What happens when, in order. `process` counts the members and then the edge.
fn history(rng: &mut fastrand::Rng) -> Vec<(u64, usize, Event)> {
    let mut events = Vec::new();
    let mut at = rng.u64(200..800);
    for _ in 0..FAULTS {
        let member = rng.usize(0..MEMBERS);
        let back = at + rng.u64(500..2000);
        let (begins, ends) = match rng.u8(0..4) {
            0 => (Some(Event::Crash), Some(Event::Restart)),
            1 => (Some(Event::Cut), Some(Event::Mend)),
            2 => (Some(Event::Hold), Some(Event::Release)),
            // It leaves the ring and comes back, and lives all the time.
            _ => (None, None),
        };
        events.extend(begins.map(|event| (at, member, event)));
        events.extend(ends.map(|event| (back, member, event)));
        for process in 0..=MEMBERS {
            let gone = Event::Hears { process, present: false };
            let here = Event::Hears { process, present: true };
            events.push((at + rng.u64(0..800), member, gone));
            events.push((back + rng.u64(0..800), member, here));
        }
        at = back + rng.u64(100..600);
    }
    events.sort_by_key(|&(at, ..)| at);
    events
}

fn apply(sim: &mut Sim<'_>, views: &[View], member: usize, event: Event) {
    let others = (0..MEMBERS).filter(|&other| other != member).map(name).chain([EDGE.to_owned()]);
    let me = name(member);
    match event {
        Event::Crash => sim.crash(me),
        Event::Restart => sim.bounce(me),
        Event::Cut => others.for_each(|other| sim.partition(me.as_str(), other)),
        Event::Mend => others.for_each(|other| sim.repair(me.as_str(), other)),
        Event::Hold => others.for_each(|other| sim.hold(me.as_str(), other)),
        Event::Release => others.for_each(|other| sim.release(me.as_str(), other)),
        Event::Hears { process, present } => views[process].set(member, present),
    }
}

/// Runs one history and returns the faults that it found.
fn run(seed: u64) -> Result<(), String> {
    fastrand::seed(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(8))
        .tcp_capacity(4096)
        .simulation_duration(Duration::from_secs(60))
        .build();
    let (executions, ends) = (Executions::default(), Ends::default());
    let views: Vec<_> = (0..MEMBERS).map(Some).chain([None]).map(View::new).collect();
    for (index, view) in views[..MEMBERS].iter().enumerate() {
        let (view, executions) = (view.clone(), Arc::clone(&executions));
        sim.host(name(index), move || member(index, view.clone(), Arc::clone(&executions)));
    }
    // In every other history the calls that may run twice are hedged.
    let policy = match seed % 2 {
        0 => Policy::default().hedge_after(Duration::from_millis(20)),
        _ => Policy::default(),
    };
    sim.client(EDGE, edge(views[MEMBERS].clone(), policy, Arc::clone(&ends)));
    let history = history(&mut rng);
    let mut next = history.iter().peekable();
    loop {
        while let Some(&(_, member, event)) =
            next.next_if(|(at, ..)| u128::from(*at) <= sim.elapsed().as_millis())
        {
            apply(&mut sim, &views, member, event);
        }
        if sim.step().map_err(|error| format!("{error}; history: {history:?}"))? {
            break;
        }
    }
    let (executions, ends) = (executions.lock().unwrap(), ends.lock().unwrap());
    judge(&executions, &ends).map_err(|wrong| format!("{wrong}; history: {history:?}"))
}

fn judge(
    executions: &HashMap<u64, u32>,
    ends: &BTreeMap<u64, Result<(), Status>>,
) -> Result<(), String> {
    if ends.len() as u64 != CALLS {
        return Err(format!("{} of {CALLS} calls have an end", ends.len()));
    }
    for (&number, end) in ends {
        let executed = executions.get(&number).copied().unwrap_or_default();
        let may_run_twice = number % 2 == 0;
        if executed > 1 && !may_run_twice {
            return Err(format!("call {number} must not run twice and ran {executed} times"));
        }
        match end {
            Ok(()) if executed == 0 => return Err(format!("call {number} was answered by nobody")),
            Err(status) if may_run_twice => return Err(format!("call {number} failed: {status}")),
            // It may have run, and nobody can tell: the only failure that is left to a live
            // cluster.
            Err(status) if !status.message().contains("may have been executed") => {
                return Err(format!("call {number} failed for no reason: {status}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_call_is_lost_and_none_runs_twice_that_must_not() {
    let first = from_env("RINGPOP_TURMOIL_FIRST", 1);
    let skipped = format!("{} of {SEEDS_ALL} histories", SEEDS_ALL - SEEDS_DEFAULT);
    let default = if runs_all::runs_all(&skipped) { SEEDS_ALL } else { SEEDS_DEFAULT };
    let seeds = from_env("RINGPOP_TURMOIL_SEEDS", default);
    let next = AtomicU64::new(first);
    let work = || {
        let mut wrong = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return wrong;
            }
            if let Err(error) = run(seed) {
                println!("seed {seed}: {error}");
                wrong.push(seed);
            }
        }
    };
    let wrong: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {seeds} seeds went wrong: {wrong:?}", wrong.len());
}
