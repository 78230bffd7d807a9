//! A client that spreads sessions over backends by itself: discovery changes, a backend fails and
//! recovers.
//!
//! `cargo run -p hashring --example client_side_selection`
//!
//! The clock is made up, so that ten seconds of quarantine take no time to show.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hashring::{
    BackendRecord, HealthConfig, Outcome, Picker, Selector, diff,
    token::{compose, first_non_blank},
};

const SESSIONS: usize = 6_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let health = HealthConfig::default()
        .with_threshold(3)
        .with_back_off(Duration::from_secs(10), Duration::from_secs(60))
        .with_jitter(0.2, 42);
    let selector = Selector::builder().health(health).build(start)?;
    let mut picker = selector.picker();

    println!("Discovery lists three backends, one of them twice as large, and one that is sick.");
    let replaced =
        selector.replace_backends(discovered(&[("eu-1", 1), ("eu-2", 1), ("eu-3", 2)]))?;
    println!("  {replaced:?}");
    let before = show(&mut picker, start)?;

    println!("The same list in another order is no change, and no ring is built.");
    let replaced =
        selector.replace_backends(discovered(&[("eu-3", 2), ("eu-1", 1), ("eu-2", 1)]))?;
    println!("  {replaced:?}");

    println!(
        "eu-2 fails three times in a row. Its sessions go to the others, and nobody else's move."
    );
    for _ in 0..3 {
        if let Some(window) = selector.report("eu-2", Outcome::Failure, start) {
            println!("  eu-2 is left alone for {window:?}");
        }
    }
    let during = show(&mut picker, start)?;
    let moved = before.iter().filter(|(session, backend)| during[*session] != **backend).count();
    let homeless = before.values().filter(|backend| *backend == "eu-2").count();
    println!("  {moved} sessions moved; {homeless} were at eu-2");

    let later = start + Duration::from_secs(11);
    println!("Eleven seconds later the quarantine is over, and they are all back.");
    let after = show(&mut picker, later)?;
    println!("  same placement as before: {}", before == after);
    selector.report("eu-2", Outcome::Success, later);

    println!("A fourth backend comes. What moves, moves to it.");
    let old = selector.ring();
    selector.replace_backends(discovered(&[("eu-1", 1), ("eu-2", 1), ("eu-3", 2), ("eu-4", 1)]))?;
    let new = selector.ring();
    let movement = diff(&old, &new)?;
    let to_newcomer = movement.iter().all(|range| range.to.is_some_and(|node| node.id() == "eu-4"));
    println!(
        "  {:.1} % of the circle in {} ranges, all to eu-4: {to_newcomer}",
        movement.fraction() * 100.0,
        movement.len()
    );
    show(&mut picker, later)?;

    for node in selector.ring().nodes() {
        let backend = node.data();
        println!(
            "{} at {}: picked {} times, passed over {} times",
            node.id(),
            backend.address(),
            backend.picks(),
            backend.skips()
        );
    }
    Ok(())
}

/// What a discovery would answer: these backends, and one that its own health check has taken out.
fn discovered(backends: &[(&str, u32)]) -> Vec<BackendRecord> {
    let healthy = backends.iter().map(|(id, weight)| {
        BackendRecord::new(*id, format!("{id}.example:8080"))
            .with_weight(*weight)
            .with_label("region", "eu")
    });
    healthy
        .chain([BackendRecord::new("eu-sick", "eu-sick.example:8080").with_healthy(false)])
        .collect()
}

/// Where each session goes now, with a line of counts.
fn show(
    picker: &mut Picker<hashring::Xxh3>,
    now: Instant,
) -> Result<BTreeMap<usize, String>, Box<dyn std::error::Error>> {
    let mut placement = BTreeMap::new();
    let mut token = Vec::new();
    for session in 0..SESSIONS {
        // Requests without a session are kept together by tenant. The service name keeps two
        // services apart that share a session.
        let id = if session % 10 == 0 { String::new() } else { format!("session-{session}") };
        let tenant = format!("tenant-{}", session % 97);
        let affinity = first_non_blank([Some(id.as_str()), Some(tenant.as_str())])
            .ok_or("a request without a tenant")?;
        compose(["carts", affinity], &mut token);
        let node = picker.pick(&token, now)?;
        placement.insert(session, node.id().to_owned());
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for backend in placement.values() {
        *counts.entry(backend).or_default() += 1;
    }
    println!("  sessions: {counts:?}");
    Ok(placement)
}
