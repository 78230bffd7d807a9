//! What leases do while things happen to their store, whichever it is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ringpop::{Event, Events, Lease, LeaseSettings, LeaseStore, Leases, Ringpop};
use tokio::time::{sleep, timeout};
use tonic::service::Routes;

use crate::holder::{Holder, Said};
use crate::support::PATIENCE;

pub(crate) const SLOTS: u32 = 3;

/// A store under test, and what happens to its server.
pub(crate) trait Server: Sized {
    type Store: LeaseStore;

    /// `None`: it is not installed, which is told.
    async fn start() -> Option<Self>;

    fn store(&self) -> Self::Store;

    /// By which another process finds the store.
    fn name(&self) -> String;

    /// Kills it. Its storage stays.
    fn stop(&mut self);

    async fn start_again(&mut self);

    /// `STOP` and `CONT` make it hang and go on.
    fn signal(&self, signal: &str);

    /// Ends all sessions, as an operator may.
    async fn end_sessions(&self);
}

/// A member that sees no other one, and owns every slot therefore.
pub(crate) async fn alone() -> Ringpop {
    let builder = Ringpop::builder("rides").listen("127.0.0.1:0".parse().unwrap());
    let member = builder.bind().await.unwrap();
    member.serve(Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    member
}

/// Waits until a process holds the lease of a slot.
pub(crate) async fn granted(leases: &Leases, slot: u32) -> Lease {
    let mut keys = (0..).map(|i| format!("key-{i}"));
    let key = keys.find(|key| leases.slot(key.as_bytes()) == slot).unwrap();
    timeout(PATIENCE, leases.granted(key.as_bytes())).await.expect("the slot is granted in time")
}

/// The same, and holds it still: a busy machine may wake this task when its lease is over.
async fn held(leases: &Leases, slot: u32) -> Lease {
    let search = async {
        loop {
            let lease = granted(leases, slot).await;
            if lease.check() {
                return lease;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, search).await.expect("the slot is held in time")
}

async fn all_granted(leases: &Leases) -> Vec<Lease> {
    let mut all = Vec::new();
    for slot in 0..SLOTS {
        all.push(granted(leases, slot).await);
    }
    all
}

fn tokens(leases: &[Lease]) -> Vec<u64> {
    leases.iter().map(Lease::token).collect()
}

fn all_grew(before: &[Lease], after: &[Lease]) -> bool {
    before.iter().zip(after).all(|(before, after)| before.token() < after.token())
}

async fn all_ended(leases: &[Lease]) {
    for lease in leases {
        timeout(PATIENCE, lease.ended()).await.expect("a lease ends in time");
    }
}

/// Why leases were lost, and how many.
async fn lost(events: &mut Events) -> (String, usize) {
    let search = async {
        loop {
            if let Event::LeasesLost { reason, leases } = events.next().await.unwrap() {
                return (reason, leases);
            }
        }
    };
    timeout(PATIENCE, search).await.expect("it is told in time")
}

/// The store of the application, which keeps the largest token of each slot and refuses others.
#[derive(Debug, Default)]
struct Target {
    largest: HashMap<u32, u64>,
    taken: usize,
}

impl Target {
    fn takes(&mut self, slot: u32, token: u64) -> bool {
        let largest = self.largest.entry(slot).or_default();
        let takes = token >= *largest;
        *largest = token.max(*largest);
        self.taken += usize::from(takes);
        takes
    }
}

pub(crate) async fn granted_renewed_and_given_back<S: Server>() {
    let Some(server) = S::start().await else { return };
    let (ttl, margin) = (Duration::from_secs(4), Duration::from_millis(500));
    let settings = LeaseSettings::new(SLOTS).ttl(ttl).margin(margin);
    let members = [alone().await, alone().await];
    let leases = members[0].leases(server.store(), settings).unwrap();
    let mut former = all_granted(&leases).await;
    // Without a renewal they would be over.
    sleep(ttl).await;
    assert!(former.iter().all(Lease::check), "{former:?}");
    assert_eq!(tokens(&former), tokens(&all_granted(&leases).await));
    drop(leases);
    for member in [1, 0, 0, 1] {
        all_ended(&former).await;
        // A slot that was given back is free at once; the end of a session would take longer.
        let began = Instant::now();
        let leases = members[member].leases(server.store(), settings).unwrap();
        let now = all_granted(&leases).await;
        assert!(began.elapsed() < 2 * ttl, "{:?}", began.elapsed());
        assert!(all_grew(&former, &now), "{former:?}, then {now:?}");
        former = now;
    }
}

pub(crate) async fn sessions_that_an_operator_ends<S: Server>() {
    let Some(server) = S::start().await else { return };
    let (ttl, margin) = (Duration::from_secs(6), Duration::from_secs(1));
    let settings = LeaseSettings::new(SLOTS).ttl(ttl).margin(margin);
    let member = alone().await;
    let mut events = member.events();
    let leases = member.leases(server.store(), settings).unwrap();
    let former = all_granted(&leases).await;
    server.end_sessions().await;
    let ended = Instant::now();
    let (reason, count) = lost(&mut events).await;
    assert!(reason.contains("the session has ended at the store"), "{reason}");
    assert!(ended.elapsed() < ttl - margin, "the next renewal tells: {:?}", ended.elapsed());
    assert_eq!(count, SLOTS as usize);
    assert!(!former.iter().any(Lease::check));
    let now = all_granted(&leases).await;
    assert!(all_grew(&former, &now), "{former:?}, then {now:?}");
}

/// Has a process write to the target as long as it holds a lease: at once after each check.
async fn write_on(leases: Leases, target: Rc<RefCell<Target>>) {
    let keys: Vec<String> = (0..20).map(|i| format!("key-{i}")).collect();
    loop {
        for key in &keys {
            if let Some(lease) = leases.lease(key.as_bytes()).filter(Lease::check) {
                let (slot, token) = (lease.slot(), lease.token());
                assert!(target.borrow_mut().takes(slot, token), "a stale token: {lease:?}");
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Takes leases for a member, and writes with them until what it gives is aborted.
fn hold_and_write(
    member: &Ringpop,
    server: &impl Server,
    target: &Rc<RefCell<Target>>,
) -> (Leases, tokio::task::JoinHandle<()>) {
    let settings = LeaseSettings::new(SLOTS).ttl(Duration::from_secs(2));
    let settings = settings.margin(Duration::from_millis(500));
    let leases = member.leases(server.store(), settings).unwrap();
    let writing = tokio::task::spawn_local(write_on(leases.clone(), Rc::clone(target)));
    (leases, writing)
}

pub(crate) async fn two_members_contend<S: Server>() {
    let Some(server) = S::start().await else { return };
    let contend = async {
        let members = [alone().await, alone().await];
        let target = Rc::new(RefCell::new(Target::default()));
        let mut holding = Vec::new();
        for member in &members {
            holding.push(hold_and_write(member, &server, &target));
        }
        for round in 0..6 {
            // The writes of both go on; each slot has one holder, whichever comes first.
            let mut former = Vec::new();
            let all_held = async {
                while former.len() < SLOTS as usize {
                    sleep(Duration::from_millis(5)).await;
                    let held = holding.iter().map(|(leases, _)| held_by(leases));
                    former = held.flatten().collect::<Vec<_>>();
                    let mut slots: Vec<u32> = former.iter().map(Lease::slot).collect();
                    slots.sort_unstable();
                    assert!(
                        slots.windows(2).all(|two| two[0] < two[1]),
                        "two hold one: {former:?}"
                    );
                }
            };
            timeout(PATIENCE, all_held).await.expect("the slots are held in time");
            let written = target.borrow().taken;
            // One of them gives up and comes again: the other one has its slots.
            let (leases, writing) = holding.remove(0);
            let given: Vec<Lease> = held_by(&leases);
            writing.abort();
            assert!(writing.await.unwrap_err().is_cancelled(), "no write was stale");
            drop(leases);
            all_ended(&given).await;
            for late in &given {
                let now = held(&holding[0].0, late.slot()).await;
                let mut target = target.borrow_mut();
                assert!(now.token() > late.token(), "{now:?} after {late:?}");
                assert!(target.takes(now.slot(), now.token()), "{now:?}, {target:?}");
                assert!(!target.takes(late.slot(), late.token()), "a late write is refused");
            }
            holding.push(hold_and_write(&members[round % 2], &server, &target));
            assert!(target.borrow().taken > written);
        }
        assert!(holding.iter().all(|(_, writing)| !writing.is_finished()), "no write was stale");
    };
    tokio::task::LocalSet::new().run_until(contend).await;
}

/// The leases that a process holds now.
fn held_by(leases: &Leases) -> Vec<Lease> {
    let mut held: HashMap<u32, Lease> = HashMap::new();
    for key in (0..20).map(|i| format!("key-{i}")) {
        if let Some(lease) = leases.lease(key.as_bytes()) {
            held.insert(lease.slot(), lease);
        }
    }
    held.into_values().collect()
}

/// Leases while the server gives no answer, for longer than they last.
async fn silence<S: Server>(
    server: &mut S,
    begin: impl FnOnce(&mut S),
    end: impl AsyncFnOnce(&mut S),
) {
    let (ttl, margin) = (Duration::from_secs(2), Duration::from_millis(500));
    let settings = LeaseSettings::new(SLOTS).ttl(ttl).margin(margin);
    let member = alone().await;
    let mut events = member.events();
    let leases = member.leases(server.store(), settings).unwrap();
    let former = all_granted(&leases).await;
    begin(server);
    let (reason, count) = {
        sleep(ttl - margin).await;
        assert!(!former.iter().any(Lease::check), "nothing could be renewed: {former:?}");
        lost(&mut events).await
    };
    assert_eq!(count, SLOTS as usize, "{reason}");
    assert_eq!(leases.held(), 0);
    end(server).await;
    let back = Instant::now();
    let now = all_granted(&leases).await;
    assert!(all_grew(&former, &now), "{former:?}, then {now:?}");
    // The session before lasts for 10 s at the store, and would keep its slots.
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
}

pub(crate) async fn killed_and_back<S: Server>() {
    let Some(mut server) = S::start().await else { return };
    silence(&mut server, |server| server.stop(), async |server| server.start_again().await).await;
}

pub(crate) async fn hangs_and_goes_on<S: Server>() {
    let Some(mut server) = S::start().await else { return };
    silence(&mut server, |server| server.signal("STOP"), async |server| server.signal("CONT"))
        .await;
}

pub(crate) async fn a_short_restart<S: Server>() {
    let Some(mut server) = S::start().await else { return };
    let (ttl, margin) = (Duration::from_secs(24), Duration::from_secs(12));
    let settings = LeaseSettings::new(SLOTS).ttl(ttl).margin(margin);
    let member = alone().await;
    let leases = member.leases(server.store(), settings).unwrap();
    let former = all_granted(&leases).await;
    server.stop();
    server.start_again().await;
    // Without a renewal they would be over.
    sleep(ttl - margin).await;
    assert!(former.iter().all(Lease::check), "{former:?}");
    assert_eq!(tokens(&former), tokens(&all_granted(&leases).await));
}

pub(crate) async fn a_paused_process<S: Server>() {
    let Some(server) = S::start().await else { return };
    let mut other = Holder::start(&server.name());
    let mut target = Target::default();
    let mut seen = HashMap::new();
    while seen.len() < SLOTS as usize {
        let said = other.said().await;
        let Said::Writes { slot, token } = said else { panic!("{said:?}") };
        assert!(target.takes(slot, token));
        seen.insert(slot, token);
    }
    other.signal("STOP");
    for said in other.said_before_it_stopped().await {
        assert!(matches!(said, Said::Writes { slot, token } if target.takes(slot, token)));
    }
    let member = alone().await;
    let settings = LeaseSettings::new(SLOTS).ttl(Duration::from_secs(3));
    let leases = member.leases(server.store(), settings.margin(Duration::from_secs(1))).unwrap();
    for lease in all_granted(&leases).await {
        assert!(lease.token() > seen[&lease.slot()] && target.takes(lease.slot(), lease.token()));
    }
    other.signal("CONT");
    // A line may have been on its way when it was stopped; what it says then is of no use to it.
    let mut ended = 0;
    while ended < SLOTS {
        let (Said::Writes { slot, token } | Said::Ended { slot, token }) = {
            let said = other.said().await;
            ended += u32::from(matches!(said, Said::Ended { .. }));
            said
        };
        assert!(!target.takes(slot, token), "its late write of slot {slot} is refused");
    }
    assert!(all_granted(&leases).await.iter().all(Lease::check));
}
