//! Planned moves in virtual time: hooks that are slow, fail and hang, crashes at every step,
//! members that are cut off, and clocks that are hours wrong, over many seeds.
//!
//! The moves, the parts in them, the switches and the rings are those of members. Only what lies
//! between members is simulated: announcements and clocks travel in a time that is drawn, gossip
//! brings the rest later. Checkers look at each ring that a member publishes:
//!
//! * every view has an owner for every key;
//! * two members take a key for their own at a time for no longer than their clocks are measured
//!   wrong, where all could be told; and for no longer than gossip takes, where they could not;
//! * a move ends, at the mover and at all others, within its deadline and the leads of a switch.

use std::sync::atomic::AtomicBool;

use swim_core::wire::{self, pb};
use swim_core::{Body, Change, Labels, Message, SplitMix64};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, sleep_until};

use super::mover::{Aim, plan};
use super::part::last_answer;
use super::reach::{Answers, Reach};
use super::service::read;
use super::*;
use crate::generated::{AnnounceRequest, AnnounceResponse, CompareResponse};
use crate::hand_off::{HandOffError, MoveEnd};
use crate::limits::{
    ANNOUNCE_TIMEOUT, HAND_OFF_GRACE, MOVE_END_MARGIN, NEXT_WEIGHT_LABEL, SWITCH_LEAD_MAX,
    WEIGHT_LABEL,
};
use crate::view::{OnRing, Publisher};

/// Deliberate faults, which the checkers must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// Members take the clocks of others for right.
    ComparesNoClocks,
    /// A hook may take any time.
    HasNoDeadline,
    /// The last member on the ring goes as well.
    LeavesNobody,
}

const MEMBERS: usize = 4;
const KEYS: usize = 8;
/// The limit of a hand-off.
const LIMIT: Duration = Duration::from_secs(1);
/// The longest time on the way, one way.
const DELAY_MAX_US: u64 = 3_000;
/// How long gossip takes at most to bring a change to a member that is not cut off.
const GOSSIP_MAX: Duration = Duration::from_millis(1_200);
/// How long members are cut off at most.
const CUT_MAX: Duration = Duration::from_millis(1_500);

/// What one member does, and its real parts.
struct Place {
    address: Address,
    views: Arc<Views>,
    publisher: Mutex<Publisher>,
    clocks: Arc<PeerClocks>,
    zero: Clock,
    planner: Arc<Planner>,
    says: Mutex<Says>,
    is_dead: AtomicBool,
    /// Told when the next switch may be another one.
    changed: Notify,
    cut_until: Mutex<Clock>,
}

/// What a member says of itself.
#[derive(Debug, Clone)]
struct Says {
    weight: u32,
    next: Option<NextWeight>,
    incarnation: u64,
}

/// The owners of keys, as each member itself saw them.
#[derive(Debug, Default)]
struct Owned {
    /// By member and key: since when.
    now: BTreeMap<(usize, usize), Clock>,
    /// Member, key, from and until.
    past: Vec<(usize, usize, Clock, Clock)>,
}

struct World {
    places: Vec<Place>,
    random: Mutex<SplitMix64>,
    owned: Mutex<Owned>,
    parts: Arc<Mutex<BTreeMap<usize, Clock>>>,
    late_parts: Arc<Mutex<Vec<Duration>>>,
    /// In some view, nobody owned any key.
    nobody: AtomicBool,
    bug: Bug,
}

fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7100")).unwrap()
}

/// A hook that takes its time, fails or hangs.
#[derive(Debug)]
struct Hook {
    member: usize,
    random: Mutex<SplitMix64>,
    parts: Arc<Mutex<BTreeMap<usize, Clock>>>,
    late: Arc<Mutex<Vec<Duration>>>,
}

impl Hook {
    async fn work(&self) -> Result<(), HandOffError> {
        self.parts.lock().unwrap().insert(self.member, Clock::now());
        let (what, time) = {
            let mut random = self.random.lock().unwrap();
            (random.next() % 8, Duration::from_millis(random.next() % 900))
        };
        match what {
            0 => std::future::pending().await,
            1 => return Err(HandOffError::failed("it fails")),
            2..5 => {}
            _ => sleep(time).await,
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl HandOff for Hook {
    async fn give(&self, _: PlannedMove) -> Result<(), HandOffError> {
        self.work().await
    }

    async fn receive(&self, _: &PlannedMove, _: tonic::codegen::Bytes) -> Result<(), HandOffError> {
        Ok(())
    }

    async fn prepare(&self, _: PlannedMove) -> Result<(), HandOffError> {
        self.work().await
    }

    fn ended(&self, _: &PlannedMove, _: MoveEnd) {
        if let Some(began) = self.parts.lock().unwrap().remove(&self.member) {
            self.late.lock().unwrap().push(began.elapsed());
        }
    }
}

impl World {
    fn new(seed: u64, bug: Bug) -> Arc<Self> {
        let mut random = SplitMix64::new(seed);
        let (parts, late_parts) = (Arc::default(), Arc::default());
        let places = (0..MEMBERS)
            .map(|i| {
                let views = Arc::new(Views::new(address(i)).unwrap());
                let hours_us = 3_600_000_000;
                let skew_us = random.next() as i64 % (24 * hours_us);
                let zero = Clock::now();
                let clocks = Arc::new(PeerClocks::new(zero).skewed(skew_us));
                let publisher = Publisher::new(Arc::clone(&views)).clocks(Arc::clone(&clocks));
                let hook = Hook {
                    member: i,
                    random: Mutex::new(SplitMix64::new(random.next())),
                    parts: Arc::clone(&parts),
                    late: Arc::clone(&late_parts),
                };
                let limit = if bug == Bug::HasNoDeadline { 600 * LIMIT } else { LIMIT };
                let while_moving = WhileMoving::Serve;
                let hook: Option<Arc<dyn HandOff>> = Some(Arc::new(hook));
                let settings = HandOffSettings { hook, limit, roll_wait: None, while_moving };
                let (listeners, _) = Listeners::new();
                let planner = Planner::new(
                    address(i),
                    Arc::clone(&views),
                    Arc::clone(&clocks),
                    Security::default(),
                    settings,
                    (listeners, None),
                );
                Place {
                    address: address(i),
                    views,
                    publisher: Mutex::new(publisher),
                    clocks,
                    zero,
                    planner: Arc::new(planner),
                    says: Mutex::new(Says { weight: 1, next: None, incarnation: 1 }),
                    is_dead: AtomicBool::new(false),
                    changed: Notify::new(),
                    cut_until: Mutex::new(zero),
                }
            })
            .collect();
        let random = Mutex::new(random);
        let owned = Mutex::default();
        let nobody = AtomicBool::new(false);
        Arc::new(Self { places, random, owned, parts, late_parts, nobody, bug })
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.lock().unwrap().next() % below
    }

    fn is_dead(&self, i: usize) -> bool {
        self.places[i].is_dead.load(Ordering::Relaxed)
    }

    fn index(&self, address: &Address) -> usize {
        self.places.iter().position(|place| place.address == *address).unwrap()
    }

    /// What a member says of itself now.
    fn member(&self, i: usize) -> Member {
        let says = self.places[i].says.lock().unwrap().clone();
        let weight = (WEIGHT_LABEL, says.weight.to_string());
        let next = says.next.map(|next| (NEXT_WEIGHT_LABEL, next.to_string()));
        let labels = Labels::new([weight].into_iter().chain(next)).unwrap();
        Member::new(address(i), Status::Alive, says.incarnation, labels)
    }

    /// A member hears of another one, or of itself.
    fn hear(&self, i: usize, of: Member) {
        let place = &self.places[i];
        if self.is_dead(i) {
            return;
        }
        let is_news = place.views.with(|view| {
            view.member(of.address.as_str())
                .is_none_or(|known| (known.incarnation, known.status) < (of.incarnation, of.status))
        });
        if is_news {
            self.publish(i, vec![(of.address.clone(), Some(of))]);
        }
    }

    fn publish(&self, i: usize, changes: Vec<(Address, Option<Member>)>) {
        let place = &self.places[i];
        let mut publisher = place.publisher.lock().unwrap();
        publisher.publish(changes, Arc::default(), 1, OnRing::Reachable).unwrap();
        drop(publisher);
        place.changed.notify_one();
        self.note_owners(i);
    }

    fn note_owners(&self, i: usize) {
        let view = self.places[i].views.load();
        if view.members.len() < MEMBERS {
            return;
        }
        if view.ring.is_empty() {
            self.nobody.store(true, Ordering::Relaxed);
        }
        let mut owned = self.owned.lock().unwrap();
        for key in 0..KEYS {
            let is_its = !self.is_dead(i)
                && view.lookup(format!("key-{key}").as_bytes()) == Some(address(i).as_str());
            if is_its {
                owned.now.entry((i, key)).or_insert_with(Clock::now);
            } else if let Some(from) = owned.now.remove(&(i, key)) {
                owned.past.push((i, key, from, Clock::now()));
            }
        }
    }

    /// Waits for a time on the way; `false` when nothing comes through.
    async fn travel(&self, from: usize, to: usize) -> bool {
        sleep(Duration::from_micros(100 + self.draw(DELAY_MAX_US - 100))).await;
        let is_cut = |i: usize| *self.places[i].cut_until.lock().unwrap() > Clock::now();
        !(self.is_dead(from) || self.is_dead(to) || is_cut(from) || is_cut(to))
    }

    /// Changes what a member says, which gossip takes to the others.
    fn change(self: &Arc<Self>, i: usize, change: impl FnOnce(&mut Says)) -> Member {
        {
            let mut says = self.places[i].says.lock().unwrap();
            change(&mut says);
            says.incarnation += 1;
        }
        let member = self.member(i);
        self.hear(i, member.clone());
        for other in (0..MEMBERS).filter(|other| *other != i) {
            self.gossip(i, other, member.clone());
        }
        member
    }

    fn gossip(self: &Arc<Self>, from: usize, to: usize, member: Member) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let time = world.draw(GOSSIP_MAX.as_millis() as u64 - 50);
            sleep(Duration::from_millis(time)).await;
            while !world.travel(from, to).await {
                if world.is_dead(from) || world.is_dead(to) {
                    return;
                }
                sleep(Duration::from_millis(40)).await;
            }
            world.hear(to, member);
        });
    }

    /// Kills a member, which the others find out.
    fn kill(self: &Arc<Self>, i: usize) {
        self.places[i].is_dead.store(true, Ordering::Relaxed);
        self.note_owners(i);
        let dead = self.member(i);
        let dead = Member::new(dead.address, Status::Faulty, dead.incarnation, dead.labels);
        for other in (0..MEMBERS).filter(|other| *other != i) {
            let (world, dead) = (Arc::clone(self), dead.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(500 + world.draw(1_000))).await;
                world.hear(other, dead);
            });
        }
    }

    /// Publishes the rings of a member at the instants of its switches.
    async fn switch(self: Arc<Self>, i: usize) {
        loop {
            let place = &self.places[i];
            let next = place.publisher.lock().unwrap().next_switch();
            let next = next.map(|next| place.zero + next.since_start());
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.publish(i, Vec::new()),
                () = place.changed.notified() => {}
            }
        }
    }

    /// The longest time for which two members owned one key.
    fn longest_overlap(&self) -> Duration {
        let owned = self.owned.lock().unwrap();
        let now = Clock::now();
        let open = owned.now.iter().map(|((i, key), from)| (*i, *key, *from, now));
        let all: Vec<_> = owned.past.iter().copied().chain(open).collect();
        let mut longest = Duration::ZERO;
        for (n, (i, key, from, until)) in all.iter().enumerate() {
            for (other, of, since, end) in &all[n + 1..] {
                if i != other && key == of {
                    let both = (*until.min(end)).saturating_duration_since(*from.max(since));
                    longest = longest.max(both);
                }
            }
        }
        longest
    }
}

/// One member's way to the others.
struct Way {
    world: Arc<World>,
    i: usize,
}

struct Coming(mpsc::Receiver<AnnounceResponse>);

impl Answers for Coming {
    async fn next(&mut self) -> Option<AnnounceResponse> {
        self.0.recv().await
    }
}

impl Reach for Way {
    type Answers = Coming;

    async fn say(&self, plan: Option<NextWeight>, _: Option<&Address>) -> Option<pb::Message> {
        if self.world.is_dead(self.i) {
            return None;
        }
        let member = self.world.change(self.i, |says| says.next = plan);
        let (from, from_incarnation) = (member.address.clone(), member.incarnation);
        let changes = vec![Change { member, source: None }];
        let body = Body::Ping { checksum: 0, changes };
        let app = "sim".into();
        Some(wire::to_proto(Message { app, from, from_incarnation, seq: 1, body }))
    }

    async fn compare(&self, other: &Address) -> Option<CompareResponse> {
        let to = self.world.index(other);
        if !self.world.travel(self.i, to).await {
            std::future::pending::<()>().await;
        }
        let now_us = self.world.places[to].clocks.now_us();
        if !self.world.travel(to, self.i).await {
            return None;
        }
        Some(CompareResponse { received_us: now_us, answered_us: now_us })
    }

    async fn announce(&self, other: &Address, request: AnnounceRequest) -> Option<Coming> {
        let to = self.world.index(other);
        if !self.world.travel(self.i, to).await {
            std::future::pending::<()>().await;
        }
        let (message, plan) = read(request.ping).unwrap();
        let (world, place) = (Arc::clone(&self.world), &self.world.places[to]);
        if world.bug != Bug::ComparesNoClocks {
            place.clocks.compare(&message.from, request.mover_ahead_us);
        }
        let mover = message.from.clone();
        world.hear(to, message.body.changes().iter().next().unwrap().member.clone());
        let limit = Duration::from_millis(request.limit_ms);
        let (first, ready) = place.planner.take_part(&mover, plan, limit);
        let (tell, answers) = mpsc::channel(2);
        let from = self.i;
        tokio::spawn(async move {
            if !world.travel(to, from).await || tell.send(first).await.is_err() {
                return;
            }
            let Some(ready) = ready else { return };
            let last = tokio::select! {
                last = last_answer(ready) => last,
                () = tell.closed() => return,
            };
            if world.travel(to, from).await {
                let _ = tell.send(last).await;
            }
        });
        Some(Coming(answers))
    }
}

/// What a history had, for the test that all kinds of trouble come up.
#[derive(Debug, Default)]
struct Seen {
    troubles: usize,
    moves: usize,
    longest: Duration,
}

fn holds(holds: bool, what: String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what) }
}

/// Some moves, one after the other or two at a time, in whatever trouble.
async fn history(seed: u64, bug: Bug) -> Result<Seen, String> {
    // Every second history has nothing but slow, failing and hanging hooks.
    let is_calm = seed.is_multiple_of(2);
    let world = World::new(seed, bug);
    for i in 0..MEMBERS {
        let all = (0..MEMBERS).map(|of| (address(of), Some(world.member(of)))).collect();
        world.publish(i, all);
        tokio::spawn(Arc::clone(&world).switch(i));
    }
    let mut seen = Seen::default();
    for _ in 0..4 {
        let alive: Vec<usize> = (0..MEMBERS).filter(|i| !world.is_dead(*i)).collect();
        let mover = alive[world.draw(alive.len() as u64) as usize];
        let weights: u32 = alive.iter().map(|i| world.places[*i].says.lock().unwrap().weight).sum();
        let own = world.places[mover].says.lock().unwrap().weight;
        let least = u32::from(weights == own);
        let weight = match (world.draw(4) as u32).max(least) {
            _ if bug == Bug::LeavesNobody => 0,
            weight => weight,
        };
        let trouble = if is_calm { 9 } else { world.draw(6) };
        let when = Duration::from_millis(world.draw(1_300));
        let troubled = Arc::clone(&world);
        let other = alive[world.draw(alive.len() as u64) as usize];
        // A crash of the only owner leaves a ring of nobody: one with a weight stays.
        let dies = if trouble == 1 { mover } else { other };
        let stays = weights > world.places[dies].says.lock().unwrap().weight && weight > 0;
        seen.troubles += usize::from(trouble < 4);
        let trouble = tokio::spawn(async move {
            sleep(when).await;
            let until =
                Clock::now() + Duration::from_millis(troubled.draw(CUT_MAX.as_millis() as u64));
            match trouble {
                0 if alive.len() > 2 && stays => troubled.kill(other),
                1 if alive.len() > 2 && stays => troubled.kill(mover),
                2 => *troubled.places[other].cut_until.lock().unwrap() = until,
                3 => *troubled.places[mover].cut_until.lock().unwrap() = until,
                _ => {}
            }
        });
        let began = Clock::now();
        let way = Arc::new(Way { world: Arc::clone(&world), i: mover });
        let aim = Aim { weight, successor: None };
        plan(&way, &world.places[mover].planner, &aim, 600 * LIMIT).await;
        let took = began.elapsed();
        let most = LIMIT + 2 * ANNOUNCE_TIMEOUT + SWITCH_LEAD_MAX;
        holds(took <= most, format!("a move took {took:?} of {most:?}"))?;
        if !world.is_dead(mover) {
            world.change(mover, |says| {
                says.next = None;
                says.weight = weight;
            });
        }
        trouble.await.unwrap();
        // Gossip brings what was missed, and old parts end.
        sleep(GOSSIP_MAX + CUT_MAX + Duration::from_secs(2)).await;
        seen.moves += 1;
    }
    checked_at_the_end(&world, seen).await
}

/// What must hold when all moves are over.
async fn checked_at_the_end(world: &World, mut seen: Seen) -> Result<Seen, String> {
    sleep(LIMIT + SWITCH_LEAD_MAX + MOVE_END_MARGIN + HAND_OFF_GRACE).await;
    let rings: Vec<u64> = (0..MEMBERS)
        .filter(|i| !world.is_dead(*i))
        .map(|i| world.places[i].views.load().ring_checksum)
        .collect();
    holds(rings.iter().all(|ring| *ring == rings[0]), "members disagree in the end".to_owned())?;
    holds(!world.nobody.load(Ordering::Relaxed), "nobody owned any key".to_owned())?;
    let parts_end = LIMIT + SWITCH_LEAD_MAX + MOVE_END_MARGIN + HAND_OFF_GRACE;
    for took in world.late_parts.lock().unwrap().iter() {
        holds(*took <= parts_end, format!("a part in a move took {took:?} of {parts_end:?}"))?;
    }
    let all_ended = world.parts.lock().unwrap().keys().all(|i| world.is_dead(*i));
    holds(all_ended, "a part in a move never ended".to_owned())?;
    seen.longest = world.longest_overlap();
    // Half of the round trip, and the millisecond to which labels are exact.
    let told = Duration::from_micros(DELAY_MAX_US) + Duration::from_millis(2);
    let gossip = GOSSIP_MAX + CUT_MAX + SWITCH_LEAD_MAX;
    let most = if seen.troubles == 0 { told } else { gossip };
    let longest = seen.longest;
    holds(longest <= most, format!("two members owned a key for {longest:?} of {most:?}"))?;
    Ok(seen)
}

fn run(seed: u64, bug: Bug) -> Result<Seen, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history(seed, bug))
}

/// The histories: `RINGPOP_MOVE_SEEDS` has another number of them, or a range such as `70..80`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse().expect("RINGPOP_MOVE_SEEDS has numbers");
    match std::env::var("RINGPOP_MOVE_SEEDS") {
        Err(_) => 0..default,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

#[test]
fn moves_keep_their_promises_in_any_trouble() {
    let (mut in_trouble, mut calm) = (0, 0);
    let mut longest = [Duration::ZERO; 2];
    for seed in seeds(60) {
        let seen = run(seed, Bug::None).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        assert_eq!(seen.moves, 4);
        in_trouble += usize::from(seen.troubles > 0);
        calm += usize::from(seen.troubles == 0);
        let longest = &mut longest[usize::from(seen.troubles > 0)];
        *longest = seen.longest.max(*longest);
    }
    let [calmly, troubled] = longest;
    println!(
        "two members owned one key for {calmly:?} at most in {calm} histories without trouble, and \
         for {troubled:?} at most in {in_trouble} with"
    );
    assert!(in_trouble > 0 && calm > 0);
}

#[test]
fn each_deliberate_fault_is_found() {
    for bug in [Bug::ComparesNoClocks, Bug::HasNoDeadline, Bug::LeavesNobody] {
        let found = (0..200).find_map(|seed| run(seed, bug).err());
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}
