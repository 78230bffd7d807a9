//! Asks a member for its status again and again.
//!
//! Members are asked as any operator would, over the admin service, also after their process has
//! ended: somebody may start the member again by hand.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::Update;
use crate::admin::Admin;
use crate::failure::Failure;
use crate::limits::{DEV_POLL_INTERVAL, DEV_POLL_TIMEOUT};

/// Asks a member until nobody receives the answers.
pub(super) fn start(
    address: &str,
    index: usize,
    updates: &mpsc::Sender<Update>,
) -> Result<(), Failure> {
    let admin = Admin::new(address, None)?;
    tokio::spawn(ask(index, admin, DEV_POLL_INTERVAL, updates.clone()));
    Ok(())
}

async fn ask(index: usize, admin: Admin, period: Duration, updates: mpsc::Sender<Update>) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = admin.status_within(DEV_POLL_TIMEOUT).await.ok().map(Box::new);
        if updates.send(Update::Status { index, status }).await.is_err() {
            return;
        }
    }
}
