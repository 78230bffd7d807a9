//! Leases in virtual time: partitions, pauses and outages, over many seeds.
//!
//! Members disagree on the ring, their calls to the store are late, lost before or after they took
//! effect, or held up for longer than a lease. Two checkers look at each write:
//!
//! * one that follows its check at once has the newest token that the store has granted;
//! * of those that were held up in between, the store refuses each whose token is not the newest
//!   that it has seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use ringpop_forward::{Changed, Owner, Owners, Peer, Resolver};
use swim_core::SplitMix64;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;

/// Deliberate faults, which the checkers must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// A lease lasts from the answer of the store on, and to its whole time.
    CountsFromTheAnswer,
    /// A lease lasts until the store says otherwise.
    LooksAtNoClock,
}

const SLOTS: u32 = 3;
const MEMBERS: usize = 3;
const TTL: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_secs(12);

type Random = Rc<RefCell<SplitMix64>>;

fn draw(random: &Random, below: u64) -> u64 {
    random.borrow_mut().next() % below
}

/// The slots that a member owns, as it sees the ring.
struct View {
    owned: Mutex<Vec<u32>>,
    epoch: watch::Sender<u64>,
}

impl View {
    fn new() -> Arc<Self> {
        Arc::new(Self { owned: Mutex::default(), epoch: watch::Sender::new(1) })
    }

    fn become_owner(&self, slots: Vec<u32>) {
        *self.owned.lock().unwrap() = slots;
        self.epoch.send_modify(|epoch| *epoch += 1);
    }
}

impl Resolver for View {
    fn owners(&self, key: &[u8], _n: usize, out: &mut Owners) {
        let is_mine =
            self.owned.lock().unwrap().iter().any(|slot| routing_key(*slot).as_bytes() == key);
        out.push(if is_mine {
            Owner::Local
        } else {
            Owner::Remote(Arc::new(Peer::new("10.0.0.9:7100").unwrap()))
        });
    }

    fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    fn changed(&self, seen: u64) -> Changed {
        let mut epoch = self.epoch.subscribe();
        Box::pin(async move {
            let _ = epoch.wait_for(|epoch| *epoch != seen).await;
        })
    }
}

/// The way of one member to the store.
#[derive(Clone)]
struct Way {
    store: MemoryLeases,
    /// Seeds the troubles of this member. It is shared with nobody.
    random: Arc<Mutex<SplitMix64>>,
    /// Nothing of this member moves until then.
    paused: Arc<Mutex<Instant>>,
    /// It does not reach the store until then.
    cut: Arc<Mutex<Instant>>,
}

impl Way {
    fn new(store: &MemoryLeases, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            store: store.clone(),
            random: Arc::new(Mutex::new(SplitMix64::new(seed))),
            paused: Arc::new(Mutex::new(now)),
            cut: Arc::new(Mutex::new(now)),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.lock().unwrap().next() % below
    }

    async fn resumed(&self) {
        loop {
            let until = *self.paused.lock().unwrap();
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// A call on its way there and back.
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, LeaseError>>,
    ) -> Result<T, LeaseError> {
        self.resumed().await;
        let lost = || LeaseError::unavailable("lost on the way");
        let is_cut = || Instant::now() < *self.cut.lock().unwrap();
        sleep(Duration::from_millis(self.draw(60))).await;
        if is_cut() {
            sleep(Duration::from_millis(self.draw(500))).await;
            return Err(lost());
        }
        let answer = call.await;
        // The way back may be slow, and the answer lost.
        sleep(Duration::from_millis(self.draw(300))).await;
        self.resumed().await;
        if is_cut() || self.draw(20) == 0 { Err(lost()) } else { answer }
    }
}

impl LeaseStore for Way {
    async fn open(&self, holder: &str, ttl: Duration) -> Result<Session, LeaseError> {
        self.call(self.store.open(holder, ttl)).await
    }

    async fn renew(&self, session: &Session) -> Result<(), LeaseError> {
        self.call(self.store.renew(session)).await
    }

    async fn acquire(&self, session: &Session, slot: u32) -> Result<u64, LeaseError> {
        self.call(self.store.acquire(session, slot)).await
    }

    async fn release(&self, session: &Session, slot: u32) -> Result<(), LeaseError> {
        self.call(self.store.release(session, slot)).await
    }

    async fn close(&self, session: &Session) -> Result<(), LeaseError> {
        self.call(self.store.close(session)).await
    }
}

/// What happened in a run.
#[derive(Debug, Default)]
struct Seen {
    writes: u64,
    /// Writes that were held up after their check, and came when another token was newer.
    refused: u64,
    /// Writes with a token that was not the newest, although they followed their check at once.
    stale: u64,
    /// Writes that the store took although it had seen a newer token.
    taken_stale: u64,
    lost: u64,
}

/// A store that keeps the largest token of each slot. One that does not fence takes everything.
struct Target {
    fences: bool,
    largest: HashMap<u32, u64>,
}

impl Target {
    /// Whether the write was taken.
    fn write(&mut self, slot: u32, token: u64, seen: &mut Seen) {
        let largest = self.largest.entry(slot).or_default();
        seen.writes += 1;
        if token < *largest {
            if self.fences {
                seen.refused += 1;
            } else {
                seen.taken_stale += 1;
            }
            return;
        }
        *largest = token;
    }
}

/// One member's writes: some follow their check at once, others are held up in between.
async fn write_on(
    leases: Rc<Leases>,
    way: Way,
    leases_store: MemoryLeases,
    target: Rc<RefCell<Target>>,
    seen: Rc<RefCell<Seen>>,
) {
    loop {
        sleep(Duration::from_millis(5 + way.draw(40))).await;
        way.resumed().await;
        let slot = u32::try_from(way.draw(u64::from(SLOTS))).unwrap();
        let Some(lease) = leases.table.get(slot) else { continue };
        let is_held_up = way.draw(8) == 0;
        if is_held_up {
            sleep(Duration::from_millis(way.draw(3_000))).await;
            way.resumed().await;
        } else if lease.check() && lease.token() != leases_store.token(slot) {
            seen.borrow_mut().stale += 1;
        }
        target.borrow_mut().write(slot, lease.token(), &mut seen.borrow_mut());
    }
}

/// Troubles of one member: other views, pauses longer than a lease, cuts.
async fn trouble(views: Vec<Arc<View>>, ways: Vec<Way>, random: Random) {
    loop {
        sleep(Duration::from_millis(50 + draw(&random, 500))).await;
        let member = draw(&random, MEMBERS as u64) as usize;
        match draw(&random, 5) {
            0 => {
                let pause = Duration::from_millis(draw(&random, 2_500));
                *ways[member].paused.lock().unwrap() = Instant::now() + pause;
            }
            1 => {
                let cut = Duration::from_millis(draw(&random, 2_500));
                *ways[member].cut.lock().unwrap() = Instant::now() + cut;
            }
            // The store is down for all.
            2 if draw(&random, 4) == 0 => {
                let cut = Instant::now() + Duration::from_millis(draw(&random, 2_000));
                ways.iter().for_each(|way| *way.cut.lock().unwrap() = cut);
            }
            // Members see different rings: several think that a slot is theirs, or nobody does.
            _ => {
                let owned = (0..SLOTS).filter(|_| draw(&random, 2) == 0).collect();
                views[member].become_owner(owned);
            }
        }
    }
}

/// Runs one history.
fn history(seed: u64, bug: Bug, fences: bool) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    let seen = Rc::new(RefCell::new(Seen::default()));
    let told = Rc::clone(&seen);
    local.block_on(&runtime, async move {
        let random: Random = Rc::new(RefCell::new(SplitMix64::new(seed)));
        let store = MemoryLeases::new();
        let target = Rc::new(RefCell::new(Target { fences, largest: HashMap::new() }));
        let (mut views, mut ways, mut stats) = (Vec::new(), Vec::new(), Vec::new());
        for member in 0..MEMBERS {
            let (view, way) = (View::new(), Way::new(&store, seed ^ ((member as u64 + 1) << 32)));
            let mut settings = LeaseSettings::new(SLOTS).ttl(TTL).margin(TTL / 10);
            settings.bug = bug;
            let counted = Arc::<LeaseStats>::default();
            let leases = start(
                way.clone(),
                Arc::clone(&view) as _,
                format!("member-{member}"),
                settings,
                Arc::clone(&counted),
                Teller(None),
            );
            let writes = write_on(
                Rc::new(leases),
                way.clone(),
                store.clone(),
                Rc::clone(&target),
                Rc::clone(&told),
            );
            tokio::task::spawn_local(writes);
            views.push(view);
            ways.push(way);
            stats.push(counted);
        }
        tokio::task::spawn_local(trouble(views, ways, random));
        sleep(RUN).await;
        told.borrow_mut().lost = stats.iter().map(|stats| stats.counters()[2].1).sum();
    });
    drop(local);
    drop(runtime);
    std::mem::take(&mut *seen.borrow_mut())
}

/// `RINGPOP_LEASE_SEEDS` says how many, for a campaign.
fn seeds() -> std::ops::Range<u64> {
    let wanted = std::env::var("RINGPOP_LEASE_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let is_whole = std::env::var_os("RINGPOP_TEST_ALL").is_some_and(|value| value == "1");
    0..wanted.unwrap_or(if is_whole { 1_000 } else { 60 })
}

#[test]
fn with_a_lease_no_stale_write_reaches_the_store() {
    let mut all = Seen::default();
    for seed in seeds() {
        let seen = history(seed, Bug::None, true);
        assert_eq!((seen.stale, seen.taken_stale), (0, 0), "seed {seed}: {seen:?}");
        all.writes += seen.writes;
        all.refused += seen.refused;
        all.lost += seen.lost;
    }
    println!("{} histories: {all:?}", seeds().end);
    assert!(all.refused > 0, "some writes were held up for longer than their lease: {all:?}");
    assert!(all.lost > 0 && all.writes > 1_000, "{all:?}");
}

/// The checkers bite.
#[test]
fn each_deliberate_fault_is_found() {
    for bug in [Bug::CountsFromTheAnswer, Bug::LooksAtNoClock] {
        assert!((0..300).any(|seed| history(seed, bug, true).stale > 0), "{bug:?} was not found");
    }
    let is_found = (0..300).any(|seed| history(seed, Bug::None, false).taken_stale > 0);
    assert!(is_found, "a store that does not fence takes what it should refuse");
}

fn alone(store: impl LeaseStore, view: &Arc<View>) -> (Leases, Arc<LeaseStats>) {
    let settings = LeaseSettings::new(SLOTS).ttl(TTL).margin(TTL / 10);
    let stats = Arc::<LeaseStats>::default();
    let view = Arc::clone(view) as _;
    let name = "member".to_owned();
    (start(store, view, name, settings, Arc::clone(&stats), Teller(None)), stats)
}

async fn granted(leases: &Leases, slot: u32) -> Lease {
    let mut changed = leases.table.changed();
    loop {
        match leases.table.get(slot) {
            Some(lease) => return lease,
            None => changed.changed().await.unwrap(),
        }
    }
}

/// A lease that cannot be renewed ends by itself, before the store gives it away by the margin.
#[tokio::test(start_paused = true)]
async fn an_outage_ends_leases_before_the_store_does() {
    let (store, view) = (MemoryLeases::new(), View::new());
    let way = Way::new(&store, 7);
    view.become_owner(vec![1]);
    let (leases, stats) = alone(way.clone(), &view);
    let lease = granted(&leases, 1).await;
    *way.cut.lock().unwrap() = Instant::now() + Duration::from_secs(3600);
    let began = Instant::now();
    lease.ended().await;
    assert!(began.elapsed() <= TTL - TTL / 10 && !lease.check(), "{:?}", began.elapsed());
    sleep(Duration::from_millis(1)).await;
    assert_eq!((leases.held(), stats.counters()[2]), (0, ("lost", 1)));
    // It comes back with a larger token.
    *way.cut.lock().unwrap() = Instant::now();
    assert!(granted(&leases, 1).await.token() > lease.token());
}

/// A store whose sessions last longer than they have to, as those of Consul do.
struct Lasting(Way);

impl LeaseStore for Lasting {
    async fn open(&self, holder: &str, ttl: Duration) -> Result<Session, LeaseError> {
        self.0.open(holder, ttl * 100).await
    }

    async fn renew(&self, session: &Session) -> Result<(), LeaseError> {
        self.0.renew(session).await
    }

    async fn acquire(&self, session: &Session, slot: u32) -> Result<u64, LeaseError> {
        self.0.acquire(session, slot).await
    }

    async fn release(&self, session: &Session, slot: u32) -> Result<(), LeaseError> {
        self.0.release(session, slot).await
    }

    async fn close(&self, session: &Session) -> Result<(), LeaseError> {
        self.0.close(session).await
    }
}

/// A member does not wait for its own former session.
#[tokio::test(start_paused = true)]
async fn after_an_outage_leases_are_granted_again_although_the_former_session_lasts() {
    let (store, view) = (MemoryLeases::new(), View::new());
    let way = Way::new(&store, 7);
    view.become_owner(vec![1]);
    let (leases, _) = alone(Lasting(way.clone()), &view);
    let lease = granted(&leases, 1).await;
    *way.cut.lock().unwrap() = Instant::now() + TTL * 2;
    lease.ended().await;
    let began = Instant::now();
    assert!(granted(&leases, 1).await.token() > lease.token());
    assert!(began.elapsed() < TTL * 5, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_moves_is_given_back_and_the_last_handle_gives_all_back() {
    let (store, view, other) = (MemoryLeases::new(), View::new(), View::new());
    view.become_owner(vec![0, 2]);
    let (leases, _) = alone(store.clone(), &view);
    let (first, kept) = (granted(&leases, 0).await, granted(&leases, 2).await);
    other.become_owner(vec![0]);
    let (others, stats) = alone(store.clone(), &other);
    sleep(TTL * 3).await;
    assert!(others.table.get(0).is_none() && stats.counters()[3].1 > 0, "it is refused meanwhile");
    view.become_owner(vec![2]);
    first.ended().await;
    let second = granted(&others, 0).await;
    assert!(second.token() > first.token() && kept.check());
    drop(leases);
    kept.ended().await;
    other.become_owner(vec![0, 2]);
    let began = Instant::now();
    assert!(granted(&others, 2).await.token() > kept.token());
    assert!(began.elapsed() < TTL / 2, "it was told, and did not wait for the end");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let settings = LeaseSettings::new(64);
    assert!(settings.check().is_ok());
    for (settings, part) in [
        (LeaseSettings::new(0), "0 slots"),
        (LeaseSettings::new(4_097), "1 to 4096"),
        (settings.ttl(Duration::from_millis(999)), "from 1s"),
        (settings.margin(Duration::from_millis(149)), "from 150ms"),
        (settings.margin(Duration::from_secs(8)), "to 7.5s"),
    ] {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
