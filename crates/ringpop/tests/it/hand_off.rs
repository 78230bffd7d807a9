//! Planned moves: state is handed over, and all members change the ring at one instant.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringpop::forward::Routes;
use ringpop::hand_off::{HandOff, HandOffError, Map, MoveEnd, PlannedMove};
use ringpop::swim::Config;
use ringpop::testing::Cluster;
use ringpop::tonic::codegen::Bytes;
use ringpop::{Event, MoveEvent, MoveStep, PlacementChoice, Ringpop};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes as Services;

use crate::echo::{METHOD, call, channel};

mod cut_short;
mod errors;
mod waiting;

/// The hooks of the members, by number; a member that starts again has a new one.
struct Hooks<H>(Arc<Mutex<HashMap<usize, Arc<H>>>>);

impl<H> Clone for Hooks<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: HandOff> Hooks<H> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn of(&self, i: usize) -> Arc<H> {
        Arc::clone(&self.0.lock().unwrap()[&i])
    }

    fn set(&self, i: usize, hook: H) -> Arc<H> {
        let hook = Arc::new(hook);
        self.0.lock().unwrap().insert(i, Arc::clone(&hook));
        hook
    }
}

fn key(i: usize) -> String {
    format!("key-{i}")
}

const KEYS: usize = 500;

async fn with_maps(members: usize, placement: PlacementChoice) -> (Cluster, Hooks<Map>) {
    let hooks = Hooks::new();
    let maps = hooks.clone();
    let settings = move |i, builder: ringpop::Builder| {
        // A member that a busy machine takes for dead hands nothing over.
        let builder = builder.config(Config::lan());
        builder.placement(placement).hand_off(maps.set(i, Map::new(10_000, 1 << 20)))
    };
    let cluster = Cluster::builder(members).settings(settings).start().await.unwrap();
    for i in 0..KEYS {
        let owner = cluster.member(0).lookup(key(i).as_bytes()).unwrap();
        let map = hooks.of(cluster.index_of(&owner).unwrap());
        map.put(key(i), format!("value-{i}")).unwrap();
    }
    (cluster, hooks)
}

/// Every key has its value at its owner.
fn assert_all_there(cluster: &Cluster, maps: &Hooks<Map>) {
    let member = cluster.running().next().unwrap();
    for i in 0..KEYS {
        let owner = member.lookup(key(i).as_bytes()).unwrap();
        let value = maps.of(cluster.index_of(&owner).unwrap()).get(key(i).as_bytes());
        let expected = format!("value-{i}");
        assert_eq!(value.as_deref(), Some(expected.as_bytes()), "{} at {owner}", key(i));
    }
}

#[tokio::test]
async fn entries_move_with_their_keys_when_members_leave_join_and_change_weight() {
    let placements = [PlacementChoice::Rendezvous, PlacementChoice::Ring { points: 50 }];
    for placement in placements {
        let (mut cluster, maps) = with_maps(3, placement).await;
        assert_all_there(&cluster, &maps);
        cluster.stop(1, Duration::from_secs(30)).await;
        assert_all_there(&cluster, &maps);
        cluster.restart(1).await.unwrap();
        assert_all_there(&cluster, &maps);
        assert!(!maps.of(1).is_empty());
        cluster.member(2).set_weight(4).await.unwrap();
        assert_all_there(&cluster, &maps);
        cluster.member(2).set_weight(1).await.unwrap();
        assert_all_there(&cluster, &maps);
        cluster
            .until("what moved away is dropped", |_| {
                (0..3).map(|i| maps.of(i).len()).sum::<usize>() == KEYS
            })
            .await
            .unwrap();
        let counters = cluster.member(2).counters().await;
        assert!(counters.get("moves.switched_together") >= Some(3), "its join and two weights");
    }
}

#[tokio::test]
async fn entries_move_when_a_member_is_drained_and_when_it_is_undrained() {
    let (cluster, maps) = with_maps(3, PlacementChoice::Rendezvous).await;
    let on_ring =
        |n| move |cluster: &Cluster| cluster.running().all(|member| member.view().ring.len() == n);
    assert!(cluster.member(1).drain().await.unwrap());
    cluster.until("it is off the ring", on_ring(2)).await.unwrap();
    assert_all_there(&cluster, &maps);
    assert!(!cluster.member(1).drain().await.unwrap(), "it is drained already");
    assert!(cluster.member(1).undrain().await.unwrap());
    cluster.until("it is back on the ring", on_ring(3)).await.unwrap();
    assert_all_there(&cluster, &maps);
    let counters = cluster.member(1).counters().await;
    assert_eq!(counters.get("moves.switched_together"), Some(3), "its join and both of these");
    // All at once: the last one keeps its keys, and has those of the others.
    let all = cluster.running().map(|member| async { member.drain().await.unwrap() });
    futures_util::future::join_all(all).await;
    cluster.until("one is on the ring", on_ring(1)).await.unwrap();
    assert_all_there(&cluster, &maps);
}

/// What a hook does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    Fails,
    Hangs,
}

/// A hook that does as it is told, and says what happened.
#[derive(Debug)]
struct Script {
    give: Step,
    receive: Step,
    prepare: Step,
    /// Until then, all is done: the cluster starts.
    is_armed: AtomicBool,
    began: watch::Sender<Vec<&'static str>>,
}

impl Script {
    const fn all_done() -> [Step; 3] {
        [Step::Done; 3]
    }

    fn new([give, receive, prepare]: [Step; 3]) -> Self {
        let began = watch::Sender::new(Vec::new());
        Self { give, receive, prepare, is_armed: AtomicBool::new(false), began }
    }

    async fn run(&self, step: Step, name: &'static str) -> Result<(), HandOffError> {
        if !self.is_armed.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.began.send_modify(|began| began.push(name));
        match step {
            Step::Done => Ok(()),
            Step::Fails => Err(HandOffError::failed("it fails")),
            Step::Hangs => std::future::pending().await,
        }
    }

    /// Waits until something has happened.
    async fn saw(&self, name: &'static str) {
        let mut began = self.began.subscribe();
        let seen = began.wait_for(|began| began.contains(&name));
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "no {name}: {:?}", self.began.borrow());
    }
}

#[ringpop::tonic::async_trait]
impl HandOff for Script {
    async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        self.run(self.give, "give").await?;
        let receivers: BTreeSet<String> = (0..KEYS)
            .filter_map(|i| planned.receiver(key(i).as_bytes()).map(str::to_owned))
            .collect();
        for receiver in receivers {
            planned.send(&receiver, Bytes::from_static(b"state")).await?;
        }
        Ok(())
    }

    async fn receive(&self, _: &PlannedMove, _: Bytes) -> Result<(), HandOffError> {
        self.run(self.receive, "receive").await
    }

    async fn prepare(&self, _: PlannedMove) -> Result<(), HandOffError> {
        self.run(self.prepare, "prepare").await
    }

    fn ended(&self, _: &PlannedMove, end: MoveEnd) {
        if !self.is_armed.load(Ordering::SeqCst) {
            return;
        }
        let name = if end == MoveEnd::Switched { "switched" } else { "given up" };
        self.began.send_modify(|began| began.push(name));
    }
}

/// A cluster whose hooks do as `steps` says of their member; each start of a member asks again.
async fn scripted(
    members: usize,
    limit: Duration,
    steps: impl Fn(usize) -> [Step; 3] + Send + Sync + 'static,
) -> (Cluster, Hooks<Script>) {
    let hooks = Hooks::new();
    let scripts = hooks.clone();
    let settings = move |i, builder: ringpop::Builder| {
        builder.hand_off(scripts.set(i, Script::new(steps(i)))).hand_off_limit(limit)
    };
    let cluster = Cluster::builder(members).settings(settings).start().await.unwrap();
    (0..members).for_each(|i| hooks.of(i).is_armed.store(true, Ordering::SeqCst));
    (cluster, hooks)
}

/// A limit of moves that no test waits for.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_hook_that_fails_ends_the_hand_off_and_the_ring_changes_together() {
    for broken in [0, 1, 2] {
        let steps = move |i| {
            let mut steps = Script::all_done();
            if (broken == 0) == (i == 0) {
                steps[broken] = Step::Fails;
            }
            steps
        };
        let (mut cluster, hooks) = scripted(3, LONG, steps).await;
        // Member 0 gives, the others receive and prepare.
        let leaver = cluster.member(0).clone();
        cluster.stop(0, 4 * LONG).await;
        let counters = leaver.counters().await;
        assert_eq!(counters.get("moves.switched_alone"), Some(0), "step {broken}");
        assert!(cluster.running().all(|member| member.view().ring.len() == 2));
        hooks.of(0).saw("switched").await;
        hooks.of(1).saw("switched").await;
    }
}

#[tokio::test]
async fn a_hook_that_hangs_delays_the_ring_until_the_deadline_and_no_longer() {
    let limit = Duration::from_millis(400);
    let steps = |i| if i == 1 { [Step::Hangs; 3] } else { Script::all_done() };
    let (mut cluster, hooks) = scripted(3, limit, steps).await;
    let began = Instant::now();
    cluster.member(0).set_weight(3).await.unwrap();
    let took = began.elapsed();
    assert!(took >= limit, "{took:?}: it was waited for");
    hooks.of(1).saw("give").await;
    let heavy = |cluster: &Cluster| {
        cluster.running().all(|m| m.view().ring.node(cluster.address(0)).unwrap().weight() == 3)
    };
    cluster.until("all have switched", heavy).await.unwrap();
    // It hangs in the midst of its own leave.
    let began = Instant::now();
    cluster.stop(1, 4 * LONG).await;
    assert!(began.elapsed() >= limit && began.elapsed() < LONG, "{:?}", began.elapsed());
    assert!(cluster.running().all(|member| member.view().ring.len() == 2));
}

#[tokio::test]
async fn a_crash_of_the_mover_ends_the_hand_off_of_the_others() {
    let steps = |i| if i == 0 { [Step::Hangs, Step::Done, Step::Done] } else { Script::all_done() };
    let (mut cluster, hooks) = scripted(3, LONG, steps).await;
    let joiner = cluster.member(2).clone();
    let growing = tokio::spawn(async move { joiner.set_weight(5).await });
    hooks.of(0).saw("give").await;
    cluster.kill(2).await;
    growing.abort();
    hooks.of(0).saw("given up").await;
    cluster.converged().await.unwrap();
    // The next move waits for nothing.
    cluster.member(1).set_weight(0).await.unwrap();
    let alone = |cluster: &Cluster| cluster.member(0).view().ring.len() == 1;
    cluster.until("the other one has switched, too", alone).await.unwrap();
}

#[tokio::test]
async fn a_crash_of_an_old_owner_is_waited_for_until_it_is_seen() {
    let steps = |i| if i == 0 { [Step::Hangs, Step::Done, Step::Done] } else { Script::all_done() };
    let (mut cluster, hooks) = scripted(3, LONG, steps).await;
    let grower = cluster.member(2).clone();
    let growing = tokio::spawn(async move { grower.set_weight(5).await });
    hooks.of(0).saw("give").await;
    assert!(!growing.is_finished());
    cluster.kill(0).await;
    tokio::time::timeout(Duration::from_secs(60), growing).await.unwrap().unwrap().unwrap();
    cluster.converged().await.unwrap();
    assert_eq!(cluster.member(1).view().ring.node(cluster.address(2)).unwrap().weight(), 5);
}

#[tokio::test]
async fn a_crash_of_a_receiver_costs_what_it_received_and_no_more() {
    let steps = |i| if i == 1 { [Step::Done, Step::Hangs, Step::Done] } else { Script::all_done() };
    let (mut cluster, hooks) = scripted(3, LONG, steps).await;
    let leaver = cluster.member(0).clone();
    let leaving = tokio::spawn(async move { leaver.leave(4 * LONG).await });
    hooks.of(1).saw("receive").await;
    assert!(!leaving.is_finished());
    cluster.kill(1).await;
    tokio::time::timeout(Duration::from_secs(60), leaving).await.unwrap().unwrap().unwrap();
    hooks.of(0).saw("switched").await;
    let is_alone = |cluster: &Cluster| cluster.member(2).view().ring.len() == 1;
    cluster.until("both are off the ring", is_alone).await.unwrap();
}

#[tokio::test]
async fn members_without_a_hook_switch_together_and_wait_for_nobody() {
    let mut cluster = Cluster::start(4).await.unwrap();
    cluster.member(0).set_weight(7).await.unwrap();
    let weight = |member: &Ringpop| member.view().ring.node(cluster.address(0)).unwrap().weight();
    assert_eq!(weight(cluster.member(0)), 7);
    cluster.until("all know", |cluster| cluster.running().all(|m| weight(m) == 7)).await.unwrap();
    let leaver = cluster.member(3).clone();
    cluster.stop(3, LONG).await;
    for member in [cluster.member(0), &leaver] {
        let counters = member.counters().await;
        assert_eq!(counters.get("moves.switched_together"), Some(1));
        assert_eq!(counters.get("moves.switched_alone"), Some(0));
    }
}

#[tokio::test]
async fn a_member_that_is_cut_off_during_a_switch_follows_when_it_is_back() {
    let cluster = Cluster::start(4).await.unwrap();
    let lost = cluster.address(3);
    cluster.network().isolate(lost);
    // The others may not have missed it yet.
    cluster.member(0).set_weight(7).await.unwrap();
    let weight = |member: &Ringpop| {
        member.view().ring.node(cluster.address(0)).map_or(0, |node| node.weight())
    };
    let switched = |cluster: &Cluster| (0..3).all(|i| weight(cluster.member(i)) == 7);
    cluster.until("those in touch have switched", switched).await.unwrap();
    assert_ne!(weight(cluster.member(3)), 7, "it cannot know");
    cluster.network().restore();
    cluster.converged().await.unwrap();
    assert_eq!(weight(cluster.member(3)), 7);
}

/// When each member saw the ring change next, after `change`.
async fn switch_times<T>(cluster: &Cluster, change: impl Future<Output = T>) -> Vec<Instant> {
    let members: Vec<Ringpop> = cluster.running().cloned().collect();
    let watching = members.into_iter().map(|member| {
        let mut events = member.events();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if matches!(event, Event::RingChanged(_)) {
                    break;
                }
            }
            Instant::now()
        })
    });
    let watching: Vec<_> = watching.collect();
    change.await;
    let mut times = Vec::new();
    for watch in watching {
        times.push(tokio::time::timeout(Duration::from_secs(60), watch).await.unwrap().unwrap());
    }
    times
}

fn spread(times: &[Instant]) -> Duration {
    *times.iter().max().unwrap() - *times.iter().min().unwrap()
}

/// Clocks that are hours wrong move no switch: each member has the instant by its own clock.
#[tokio::test]
async fn members_with_wrong_clocks_switch_at_the_same_instant() {
    let hour_ms = 60 * 60 * 1000;
    let skew = move |i: usize| [0, -hour_ms, hour_ms, 37 * hour_ms][i];
    let cluster = Cluster::builder(4).clock_skew_ms(skew).start().await.unwrap();
    let mut spreads = Vec::new();
    for (i, weight) in [(0, 3), (1, 4), (2, 5), (3, 6)] {
        let member = cluster.member(i);
        let times =
            switch_times(&cluster, async { member.set_weight(weight).await.unwrap() }).await;
        spreads.push(spread(&times));
    }
    spreads.sort_unstable();
    println!("with clocks up to 38 hours apart, members switch within {spreads:?}");
    // By an unmeasured clock a member would wait for the longest lead, two seconds, or not at all
    // and be ahead by the lead. A busy machine may be late once.
    assert!(spreads[1] < Duration::from_millis(250), "{spreads:?}");
}

/// Asks for one key all the time, at each member in turn, and notes who handles it.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<(Instant, usize)>>>);

#[derive(Clone)]
struct Handler {
    member: usize,
    handled: Handled,
}

service!(Handler, "test.v1.Echo");

impl Handler {
    async fn answer(self, _: http::Request<Body>) -> http::Response<Body> {
        self.handled.0.lock().unwrap().push((Instant::now(), self.member));
        Status::ok("").into_http()
    }
}

/// How long an old owner still handled requests after a new one had begun to.
fn overlap(handled: &[(Instant, usize)]) -> Duration {
    let Some((_, first)) = handled.first() else { return Duration::ZERO };
    let new = handled.iter().find(|(_, member)| member != first).map(|(at, _)| *at);
    let old = handled.iter().rev().find(|(_, member)| member == first).map(|(at, _)| *at);
    new.zip(old).map_or(Duration::ZERO, |(new, old)| old.saturating_duration_since(new))
}

#[tokio::test]
async fn no_two_owners_handle_a_key_while_it_moves() {
    let all = crate::runs_all::runs_all("100 planned moves of 10 members");
    let (members, moves) = if all { (10, 100) } else { (5, 8) };
    let handled = Handled::default();
    let noted = handled.clone();
    let cluster = Cluster::builder(members)
        .settings(|_, builder| builder.routes(Routes::new().header(METHOD).unary()))
        .services(move |member, _| Services::new(Handler { member, handled: noted.clone() }))
        .start()
        .await
        .unwrap();
    let asking = (0..members).map(|i| {
        let member = cluster.member(i).clone();
        tokio::spawn(async move {
            let mut channel = channel(&member).await;
            loop {
                call(&mut channel, "key-0").await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    let (mut overlaps, mut spreads, mut moved) = (Vec::new(), Vec::new(), 0);
    let mut off_ring = None;
    for _ in 0..moves {
        // The owner of the key goes off the ring, and comes back with the next move.
        let (member, weight) = match off_ring.take() {
            Some(member) => (member, 1),
            None => {
                let owner = cluster.member(0).lookup(b"key-0").unwrap();
                (*off_ring.insert(cluster.index_of(&owner).unwrap()), 0)
            }
        };
        handled.0.lock().unwrap().clear();
        let member = cluster.member(member);
        let change = async { member.set_weight(weight).await.unwrap() };
        spreads.push(spread(&switch_times(&cluster, change).await));
        let has_moved = |handled: &[(Instant, usize)]| {
            handled.first().map(|first| first.1) != handled.last().map(|last| last.1)
        };
        cluster
            .until("the new owner handles the key", |_| has_moved(&noted_now(&handled)))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let handled = handled.0.lock().unwrap().clone();
        moved += usize::from(has_moved(&handled));
        overlaps.push(overlap(&handled));
    }
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    overlaps.sort_unstable();
    spreads.sort_unstable();
    let (middle, last) = (moves / 2, moves - 1);
    println!(
        "{moves} planned moves of {members} members, {moved} of which moved the key: two owners handled it for \
         {:?} at the median and {:?} at most; members switched within {:?} at the median and {:?} at most",
        overlaps[middle], overlaps[last], spreads[middle], spreads[last],
    );
    assert_eq!(moved, moves);
    // One after the other, members would learn of it over some periods of gossip.
    assert!(overlaps[middle] < Duration::from_millis(50), "{overlaps:?}");
}

fn noted_now(handled: &Handled) -> Vec<(Instant, usize)> {
    handled.0.lock().unwrap().clone()
}

/// The steps of moves that a listener was told so far, by mover.
struct Told(ringpop::Events, Vec<(String, u32, MoveStep)>);

impl Told {
    async fn until(&mut self, mover: &str, wanted: impl Fn(&MoveStep) -> bool) {
        let is_there = |told: &[(String, u32, MoveStep)]| {
            told.iter().any(|(of, _, step)| of == mover && wanted(step))
        };
        while !is_there(&self.1) {
            let next = tokio::time::timeout(Duration::from_secs(60), self.0.next()).await;
            let event = next.unwrap_or_else(|_| panic!("no such step: {:?}", self.1));
            if let Some(Event::PlannedMove(MoveEvent { mover, weight, step, .. })) = event {
                self.1.push((mover.to_string(), weight, step));
            }
        }
    }
}

#[tokio::test]
async fn listeners_are_told_of_each_step_of_a_move_and_of_its_end() {
    let steps = |i| if i == 1 { [Step::Fails, Step::Done, Step::Done] } else { Script::all_done() };
    let (cluster, _hooks) = scripted(3, LONG, steps).await;
    let mut told = Told(cluster.member(0).events(), Vec::new());
    let mut at_failing = Told(cluster.member(1).events(), Vec::new());
    let mover = cluster.address(2).to_owned();
    cluster.member(2).set_weight(3).await.unwrap();
    told.until(&mover, |step| *step == MoveStep::Switched).await;
    let expected = [MoveStep::Announced, MoveStep::HandedOff, MoveStep::Switched];
    let expected: Vec<_> = expected.into_iter().map(|step| (mover.clone(), 3, step)).collect();
    assert_eq!(told.1, expected);
    at_failing
        .until(&mover, |step| matches!(step, MoveStep::HandOffFailed { reason } if reason.contains("it fails")))
        .await;
    at_failing.until(&mover, |step| *step == MoveStep::Switched).await;
    // A crash in the midst of a move: member 0 hangs while it gives.
    let (mut hanging, hooks_2) = scripted(3, LONG, |i| {
        if i == 0 { [Step::Hangs, Step::Done, Step::Done] } else { Script::all_done() }
    })
    .await;
    let mut told = Told(hanging.member(1).events(), Vec::new());
    let (mover, grower) = (hanging.address(2).to_owned(), hanging.member(2).clone());
    let growing = tokio::spawn(async move { grower.set_weight(5).await });
    hooks_2.of(0).saw("give").await;
    hanging.kill(2).await;
    growing.abort();
    told.until(
        &mover,
        |step| matches!(step, MoveStep::GivenUp { reason } if reason.contains("gone")),
    )
    .await;
}
