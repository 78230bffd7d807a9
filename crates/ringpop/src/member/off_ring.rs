//! Taking members off the ring, and back onto it.

use std::sync::Arc;
use std::time::Duration;

use swim_core::{Address, CommandError};

use super::{Ringpop, evictions, health, rolls, warming};
use crate::bind_error::BindError;
use crate::clock::unix_ms;
use crate::command_error::{EvictError, SetLabelsError};
use crate::health_check::HealthCheck;
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::{EVICTION_MAX, EVICTION_MIN, EVICTIONS_MAX};
use crate::off_ring::Eviction;
use crate::planned;
use crate::slow_start::SlowStart;
use crate::state::State;

/// What the application asks of a member for its times off the ring.
#[derive(Debug, Default, Clone)]
pub(crate) struct OffRingSettings {
    pub(crate) health_check: Option<HealthCheck>,
    pub(crate) slow_start: Option<SlowStart>,
}

impl OffRingSettings {
    /// `weight` is that of the member, where one is given.
    pub(crate) fn check(&self, weight: Option<u32>) -> Result<(), BindError> {
        if let Some(check) = &self.health_check {
            check.check()?;
        }
        if let Some(slow_start) = &self.slow_start {
            slow_start.check(weight.unwrap_or(1))?;
        }
        Ok(())
    }
}

/// A member, with what keeps its standing in step with its cluster from its start to its end.
pub(crate) fn attended(inner: Inner, settings: OffRingSettings) -> Ringpop {
    let inner = Arc::new(inner);
    let OffRingSettings { health_check, slow_start } = settings;
    tokio::spawn(evictions::attend(Arc::downgrade(&inner)));
    if let Some(check) = health_check {
        tokio::spawn(health::attend(check, Arc::downgrade(&inner)));
    }
    if let (Some(wait), Some(offers)) = (inner.planner.roll_wait(), inner.planner.take_offers()) {
        tokio::spawn(rolls::attend(wait, offers, Arc::downgrade(&inner)));
    }
    if let Some(slow_start) = slow_start {
        tokio::spawn(warming::attend(slow_start, Arc::downgrade(&inner)));
    }
    Ringpop(inner)
}

impl Ringpop {
    /// Takes this member off the ring, until [`undrain`](Self::undrain). It stays ready, goes on to
    /// serve, and forwards what it gets to the owners. Gives whether it was not drained before.
    ///
    /// With a [hook](crate::Builder::hand_off) its state is handed over before, and this waits for
    /// that; it goes on when the future is dropped. The last member stays on the ring: nobody could
    /// take its keys over.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// member.drain().await?;
    /// // ... maintenance ...
    /// assert!(member.undrain().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn drain(&self) -> Result<bool, SetLabelsError> {
        let planner = &self.0.planner;
        let turn = planner.turn().await;
        let is_new = self.0.labels.lock().await.standing.draining_since.is_none();
        let settle = |own: &mut OwnLabels| {
            own.standing.draining_since.get_or_insert_with(unix_ms);
        };
        if is_new && self.hands_over() && planner.has_others_on_ring() {
            planned::change_weight(&self.0, turn, 0, planner.limit(), settle).await?;
        } else {
            let change = |own: &mut OwnLabels| {
                settle(own);
                Ok(())
            };
            self.0.update_labels(change).await?;
        }
        Ok(is_new)
    }

    /// Puts this member back on the ring after [`drain`](Self::drain), in steps where there is a
    /// [slow start](crate::Builder::slow_start), and once the state of its keys is here where there
    /// is a [hook](crate::Builder::hand_off). A drain that is under way ends first. Gives whether
    /// it was drained.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn undrain(&self) -> Result<bool, SetLabelsError> {
        let turn = self.0.planner.turn().await;
        let hands_over = self.hands_over();
        let (mut was_drained, mut weight) = (false, 1);
        let change = |own: &mut OwnLabels| {
            was_drained = own.standing.draining_since.take().is_some();
            weight = own.wanted_weight();
            // It owns nothing until its keys' state is here.
            own.waits |= was_drained && hands_over;
            Ok(())
        };
        self.0.update_labels(change).await?;
        if was_drained && hands_over {
            let limit = self.0.planner.limit();
            planned::change_weight(&self.0, turn, weight, limit, |own| own.waits = false).await?;
        }
        Ok(was_drained)
    }

    /// Keeps a member off the ring for a time, from any member: this one says so, and all follow as
    /// soon as they hear of it. The member lives on, serves and forwards. Gives when it ends, in
    /// milliseconds of the Unix epoch. Of several evictions of one member, and their
    /// [undoing](Self::undo_evict), the latest counts, whoever was asked.
    ///
    /// It outlives a restart of this member or of the evicted one, since both hold it; when both
    /// restart before either has heard of it from the other again, it is gone. The last member
    /// stays on the ring.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # use ringpop::testing::Cluster;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = Cluster::start(2).await?;
    /// # let (member, stuck) = (cluster.member(0), cluster.address(1));
    /// member.evict(stuck, Duration::from_secs(600)).await?;
    /// println!("{stuck} is off the ring: {:?}", member.view().off_ring(stuck));
    /// member.undo_evict(stuck).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When no reachable member has this address, the time is out of its range, this member holds
    /// too many evictions or has stopped.
    pub async fn evict(&self, address: &str, time: Duration) -> Result<u64, EvictError> {
        if !(EVICTION_MIN..=EVICTION_MAX).contains(&time) {
            return Err(EvictError::Time(time));
        }
        let until = unix_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        if self.state() == State::Stopped {
            return Err(EvictError::Stopped);
        }
        let target = self.evictable(address)?;
        self.hold_eviction(target, false, until).await?;
        Ok(until)
    }

    /// Ends the eviction of a member before its time, from any member.
    ///
    /// # Errors
    ///
    /// When the member is not evicted, this member holds too many evictions or has stopped.
    pub async fn undo_evict(&self, address: &str) -> Result<(), EvictError> {
        if self.state() == State::Stopped {
            return Err(EvictError::Stopped);
        }
        // Under the spelling of members, whichever it was evicted by.
        let target =
            Address::new(address).map_err(|_| EvictError::NotEvicted(address.to_owned()))?;
        let evicted = self.view().evictions.iter().find(|known| known.target == target).cloned();
        let Some(evicted) = evicted.filter(|evicted| !evicted.is_undone) else {
            return Err(EvictError::NotEvicted(address.to_owned()));
        };
        // As long as a copy of what it undoes may come back from somewhere.
        self.hold_eviction(evicted.target, true, evicted.until).await
    }

    /// Whether its keys move together with their state.
    fn hands_over(&self) -> bool {
        self.0.planner.hands_over() && self.state() == State::Ready
    }

    fn evictable(&self, address: &str) -> Result<Address, EvictError> {
        let unknown = || EvictError::Unknown(address.to_owned());
        let view = self.view();
        let address = Address::new(address).map_err(|_| unknown())?;
        let target = view.member(address.as_str()).filter(|member| member.is_reachable());
        Ok(target.ok_or_else(unknown)?.address.clone())
    }

    async fn hold_eviction(
        &self,
        target: Address,
        is_undone: bool,
        until: u64,
    ) -> Result<(), EvictError> {
        let view = self.view();
        let by = self.0.address.clone();
        let newest = view.evictions.iter().find(|known| known.target == target);
        let mut full = false;
        let change = self.update_labels(|own| {
            let held = &mut own.standing.evictions;
            // Later than what is known of it, whatever the clocks say.
            let known = held.iter().filter(|held| held.target == target).chain(newest);
            let known = known.map(|known| known.stamp).max();
            let stamp = known.map_or(0, |known| known.saturating_add(1)).max(unix_ms());
            held.retain(|held| held.target != target);
            full = held.len() >= EVICTIONS_MAX;
            if !full {
                held.push(Eviction { stamp, is_undone, until, target, by });
            }
            Ok(())
        });
        change.await?;
        if full { Err(EvictError::Full) } else { Ok(()) }
    }
}

impl From<SetLabelsError> for EvictError {
    fn from(error: SetLabelsError) -> Self {
        match error {
            SetLabelsError::Labels(CommandError::Labels(labels)) => Self::Labels(labels),
            _ => Self::Stopped,
        }
    }
}
