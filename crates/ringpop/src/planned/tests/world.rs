//! Members in virtual time: their real planned moves, rings and maps, and what lies between them.

use std::collections::btree_map::Entry;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;

use swim_core::{Labels, SplitMix64};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::super::*;
use super::{Bug, LIMIT};
use crate::hand_off::Map;
use crate::limits::{
    HAND_OFF_GRACE, MOVE_END_MARGIN, NEXT_WEIGHT_LABEL, SWITCH_LEAD_MAX, VERSION_LABEL,
    WEIGHT_LABEL,
};
use crate::place::OwnPlace;
use crate::view::{OnRing, Publisher};

pub(super) const KEYS: usize = 8;
/// The longest time on the way, one way.
const DELAY_MAX_US: u64 = 3_000;
/// How long gossip takes at most to bring a change to a member that is not cut off.
pub(super) const GOSSIP_MAX: Duration = Duration::from_millis(1_200);
/// How long members are cut off at most.
pub(super) const CUT_MAX: Duration = Duration::from_millis(1_500);

/// What a history begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) bug: Bug,
    /// Members that are on the ring.
    pub(super) members: usize,
    /// Members that may join later, of another version.
    pub(super) newcomers: usize,
    /// State moves with its keys. Otherwise hooks are slow, fail and hang, and carry nothing.
    pub(super) hooks_work: bool,
    /// How long members stand by in a roll; `None`: versions mean nothing.
    pub(super) roll_wait: Option<Duration>,
}

/// What one member does, and its real parts.
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) views: Arc<Views>,
    pub(super) planner: Arc<Planner>,
    pub(super) says: Mutex<Says>,
    pub(super) cut_until: Mutex<Clock>,
    pub(super) is_there: AtomicBool,
    pub(super) is_leaving: AtomicBool,
    publisher: Mutex<Publisher>,
    pub(super) clocks: Arc<PeerClocks>,
    pub(super) map: Arc<Map>,
    zero: Clock,
    is_dead: AtomicBool,
    /// Told when the next switch may be another one.
    changed: Notify,
}

/// What a member says of itself.
#[derive(Debug, Clone)]
pub(super) struct Says {
    pub(super) weight: u32,
    /// It has no keys until its move onto the ring is done.
    pub(super) waits: bool,
    pub(super) next: Option<NextWeight>,
    pub(super) place: OwnPlace,
    pub(super) version: Option<&'static str>,
    pub(super) status: Status,
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

pub(super) struct World {
    pub(super) places: Vec<Place>,
    pub(super) setup: Setup,
    random: Mutex<SplitMix64>,
    owned: Mutex<Owned>,
    /// The parts that members have in moves, and since when.
    pub(super) parts: Mutex<Vec<(usize, PlannedMove, Clock)>>,
    /// Of what was promised.
    broken: Mutex<Vec<String>>,
    began: Clock,
    /// Each mover knew all members: nobody had to wait for gossip.
    pub(super) all_known: AtomicBool,
    follows_state: AtomicBool,
}

pub(super) fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7100")).unwrap()
}

pub(super) fn key(i: usize) -> String {
    format!("key-{i}")
}

impl Place {
    fn new(
        i: usize,
        setup: &Setup,
        random: &mut SplitMix64,
        (hook, map): (Arc<dyn HandOff>, Arc<Map>),
    ) -> Self {
        let views = Arc::new(Views::new(address(i)).unwrap());
        let hours_us = 3_600_000_000;
        let skew_us = random.next() as i64 % (24 * hours_us);
        let zero = Clock::now();
        let clocks = Arc::new(PeerClocks::new(zero).skewed(skew_us));
        let publisher = Publisher::new(Arc::clone(&views)).clocks(Arc::clone(&clocks));
        let limit = if setup.bug == Bug::HasNoDeadline { 600 * LIMIT } else { setup.limit() };
        let settings = HandOffSettings {
            hook: Some(hook),
            limit,
            roll_wait: setup.roll_wait,
            while_moving: WhileMoving::Serve,
        };
        let (listeners, _) = Listeners::new();
        let planner = Planner::new(
            address(i),
            Arc::clone(&views),
            Arc::clone(&clocks),
            Security::default(),
            settings,
            (listeners, None),
        );
        let is_new = i >= setup.members;
        let version = setup.roll_wait.map(|_| if is_new { "2" } else { "1" });
        let says = Says {
            weight: 1,
            waits: is_new,
            next: None,
            place: OwnPlace::Identity,
            version,
            status: Status::Alive,
            incarnation: 1,
        };
        Self {
            address: address(i),
            views,
            planner: Arc::new(planner),
            says: Mutex::new(says),
            cut_until: Mutex::new(zero),
            is_there: AtomicBool::new(!is_new),
            is_leaving: AtomicBool::new(false),
            publisher: Mutex::new(publisher),
            clocks,
            map,
            zero,
            is_dead: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }
}

impl Setup {
    /// Of a hand-off. Hooks that work get the time for two moves, one after the other.
    pub(super) fn limit(&self) -> Duration {
        if self.hooks_work { 4 * LIMIT } else { LIMIT }
    }
}

impl World {
    /// Members that know each other, with a hook for each that has its map.
    pub(super) fn new(
        setup: Setup,
        hook: impl Fn(usize, &Weak<Self>, &Arc<Map>) -> Arc<dyn HandOff>,
    ) -> Arc<Self> {
        let mut random = SplitMix64::new(setup.seed);
        let world = Arc::new_cyclic(|world| {
            let place = |i| {
                let map = Arc::new(Map::new(KEYS, KEYS * 100));
                Place::new(i, &setup, &mut random, (hook(i, world, &map), map))
            };
            let places = (0..setup.members + setup.newcomers).map(place).collect();
            Self {
                places,
                setup,
                random: Mutex::new(random),
                owned: Mutex::default(),
                parts: Mutex::default(),
                broken: Mutex::default(),
                began: Clock::now(),
                all_known: AtomicBool::new(true),
                follows_state: AtomicBool::new(false),
            }
        });
        for i in 0..setup.members {
            let all = (0..setup.members).map(|of| (address(of), Some(world.member(of))));
            world.publish(i, all.collect());
            tokio::spawn(Arc::clone(&world).switch(i));
        }
        for key in (0..KEYS).map(key) {
            let owner = world.places[0]
                .views
                .with(|view| view.lookup(key.as_bytes()).map(|owner| world.index(owner)));
            world.places[owner.unwrap()].map.put(key, "state").unwrap();
        }
        world.follows_state.store(setup.hooks_work, Ordering::Relaxed);
        world
    }

    pub(super) fn draw(&self, below: u64) -> u64 {
        self.random.lock().unwrap().next() % below
    }

    /// Notes what was promised and does not hold.
    pub(super) fn must(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            let since = self.began.elapsed();
            self.broken.lock().unwrap().push(format!("after {since:?}: {}", what()));
        }
    }

    /// The first promise that was broken.
    pub(super) fn broken(&self) -> Result<(), String> {
        self.broken.lock().unwrap().first().map_or(Ok(()), |first| Err(first.clone()))
    }

    pub(super) fn is_dead(&self, i: usize) -> bool {
        self.places[i].is_dead.load(Ordering::Relaxed)
    }

    pub(super) fn is_there(&self, i: usize) -> bool {
        self.places[i].is_there.load(Ordering::Relaxed)
    }

    pub(super) fn has_left(&self, i: usize) -> bool {
        self.places[i].says.lock().unwrap().status == Status::Leave
    }

    /// The members that are there, and neither dead nor gone.
    pub(super) fn alive(&self) -> Vec<usize> {
        let is_alive = |i: &usize| self.is_there(*i) && !self.is_dead(*i) && !self.has_left(*i);
        (0..self.places.len()).filter(is_alive).collect()
    }

    pub(super) fn index(&self, address: &str) -> usize {
        self.places.iter().position(|place| place.address.as_str() == address).unwrap()
    }

    /// What a member says of itself now.
    pub(super) fn member(&self, i: usize) -> Member {
        let says = self.places[i].says.lock().unwrap().clone();
        let weight = if says.waits { 0 } else { says.weight };
        let labels = [(WEIGHT_LABEL.to_owned(), weight.to_string())].into_iter();
        let next = says.next.map(|next| (NEXT_WEIGHT_LABEL.to_owned(), next.to_string()));
        let version = says.version.map(|version| (VERSION_LABEL.to_owned(), version.to_owned()));
        let labels = Labels::new(labels.chain(next).chain(version).chain(says.place.label()));
        Member::new(address(i), says.status, says.incarnation, labels.unwrap())
    }

    /// A member hears of another one, or of itself.
    pub(super) fn hear(&self, i: usize, of: Member) {
        let place = &self.places[i];
        if self.is_dead(i) || !self.is_there(i) {
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
        self.must(!view.ring.is_empty(), || format!("nobody owned any key in the view of {i}"));
        let mut owned = self.owned.lock().unwrap();
        for k in 0..KEYS {
            let is_its = !self.is_dead(i)
                && view.lookup(key(k).as_bytes()) == Some(self.places[i].address.as_str());
            if !is_its {
                if let Some(from) = owned.now.remove(&(i, k)) {
                    owned.past.push((i, k, from, Clock::now()));
                }
            } else if let Entry::Vacant(free) = owned.now.entry((i, k)) {
                free.insert(Clock::now());
                let has_state = self.places[i].map.get(key(k).as_bytes()).is_some();
                let follows = self.follows_state.load(Ordering::Relaxed) && self.all_together();
                self.must(has_state || !follows, || format!("{i} owns key {k} without its state"));
            }
        }
    }

    /// Whether all moves by now took effect at one instant for all.
    pub(super) fn all_together(&self) -> bool {
        let alone = |place: &Place| place.planner.counts.switched_alone.load(Ordering::Relaxed);
        self.places.iter().all(|place| alone(place) == 0)
    }

    /// Waits for a time on the way; `false` when nothing comes through.
    pub(super) async fn travel(&self, from: usize, to: usize) -> bool {
        sleep(Duration::from_micros(100 + self.draw(DELAY_MAX_US - 100))).await;
        let is_cut = |i: usize| *self.places[i].cut_until.lock().unwrap() > Clock::now();
        let is_reached = |i: usize| self.is_there(i) && !self.is_dead(i) && !is_cut(i);
        is_reached(from) && is_reached(to)
    }

    /// Changes what a member says, which gossip takes to the others.
    pub(super) fn change(self: &Arc<Self>, i: usize, change: impl FnOnce(&mut Says)) -> Member {
        {
            let mut says = self.places[i].says.lock().unwrap();
            change(&mut says);
            says.incarnation += 1;
        }
        let member = self.member(i);
        self.hear(i, member.clone());
        for other in (0..self.places.len()).filter(|other| *other != i && self.is_there(*other)) {
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

    /// A newcomer joins by way of another member, and knows what that one does.
    pub(super) fn join(self: &Arc<Self>, i: usize, via: usize) {
        self.places[i].is_there.store(true, Ordering::Relaxed);
        let view = self.places[via].views.load();
        let known = view.members.iter().cloned().chain([self.member(i)]);
        self.publish(i, known.map(|member| (member.address.clone(), Some(member))).collect());
        tokio::spawn(Arc::clone(self).switch(i));
        for other in self.alive().into_iter().filter(|other| *other != i) {
            self.gossip(i, other, self.member(i));
            self.gossip(other, i, self.member(other));
        }
    }

    /// Kills a member, which the others find out.
    pub(super) fn kill(self: &Arc<Self>, i: usize) {
        self.places[i].is_dead.store(true, Ordering::Relaxed);
        self.note_owners(i);
        let dead = self.member(i);
        let dead = Member::new(dead.address, Status::Faulty, dead.incarnation, dead.labels);
        for other in (0..self.places.len()).filter(|other| *other != i) {
            let (world, dead) = (Arc::clone(self), dead.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(500 + world.draw(1_000))).await;
                world.hear(other, dead);
            });
        }
    }

    /// Cuts a member off for a while.
    pub(super) fn cut(&self, i: usize) {
        let time = Duration::from_millis(self.draw(CUT_MAX.as_millis() as u64));
        *self.places[i].cut_until.lock().unwrap() = Clock::now() + time;
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

    /// The time of a part in a move, from its beginning to the end of its hook.
    pub(super) fn parts_end(&self) -> Duration {
        self.setup.limit() + SWITCH_LEAD_MAX + MOVE_END_MARGIN + HAND_OFF_GRACE
    }

    /// What must hold when all moves are over. Gives the longest time for which two members owned
    /// one key, or none did.
    pub(super) async fn check_the_end(&self, is_calm: bool) -> Result<Duration, String> {
        sleep(self.parts_end()).await;
        let alive = self.alive();
        let ring = |i: usize| self.places[i].views.load().ring_checksum;
        self.must(alive.iter().all(|i| ring(*i) == ring(alive[0])), || {
            "members disagree in the end".to_owned()
        });
        let open = self.parts.lock().unwrap().iter().filter(|(i, ..)| !self.is_dead(*i)).count();
        self.must(open == 0, || format!("{open} parts in moves never ended"));
        // Half of the round trip, and the millisecond to which labels are exact.
        let told = Duration::from_micros(DELAY_MAX_US) + Duration::from_millis(2);
        let gossip = GOSSIP_MAX + CUT_MAX + SWITCH_LEAD_MAX;
        let all_told = self.all_together() && self.all_known.load(Ordering::Relaxed);
        let most = if is_calm && all_told { told } else { gossip };
        let (both, none) = (self.longest_overlap(), self.longest_gap());
        self.must(both <= most, || format!("two members owned a key for {both:?} of {most:?}"));
        self.must(none <= most, || format!("nobody owned a key for {none:?} of {most:?}"));
        self.broken()?;
        Ok(both.max(none))
    }

    /// When each member took each key for its own.
    fn owned(&self) -> Vec<(usize, usize, Clock, Clock)> {
        let owned = self.owned.lock().unwrap();
        let open = owned.now.iter().map(|((i, key), from)| (*i, *key, *from, Clock::now()));
        owned.past.iter().copied().chain(open).collect()
    }

    /// The longest time for which two members owned one key.
    fn longest_overlap(&self) -> Duration {
        let all = self.owned();
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

    /// The longest time for which no member took a key for its own.
    fn longest_gap(&self) -> Duration {
        let mut all = self.owned();
        all.sort_unstable_by_key(|(_, key, from, _)| (*key, *from));
        let mut longest = Duration::ZERO;
        for key in 0..KEYS {
            let mut covered = self.began;
            for (_, _, from, until) in all.iter().filter(|(_, of, ..)| *of == key) {
                longest = longest.max(from.saturating_duration_since(covered));
                covered = covered.max(*until);
            }
            longest = longest.max(covered.elapsed());
        }
        longest
    }
}
