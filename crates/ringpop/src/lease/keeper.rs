//! The task that opens a session, renews it, and takes and gives back the leases of slots.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use ringpop_forward::{Owner, Owners, Resolver, with_causes};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::held::{Table, Term};
use super::settings::LeaseSettings;
use super::store::{LeaseError, LeaseStore, Session};
use super::{LeaseStats, Teller, routing_key};
use crate::limits::{LEASE_CALLS_MAX, LEASE_PAUSE_MIN};

/// What keeps the leases of a process.
pub(super) struct Keeper<S> {
    pub(super) store: S,
    /// Names the owner of each slot.
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) holder: String,
    pub(super) settings: LeaseSettings,
    pub(super) table: Arc<Table>,
    pub(super) stats: Arc<LeaseStats>,
    pub(super) teller: Teller,
}

impl<S: LeaseStore> Keeper<S> {
    /// Keeps leases until `kept` is closed, then gives all back.
    pub(super) async fn run(self, mut kept: watch::Receiver<()>) {
        let closed = async move { while kept.changed().await.is_ok() {} };
        let mut closed = std::pin::pin!(closed);
        let mut pause = LEASE_PAUSE_MIN;
        let mut former = None;
        loop {
            let opened = tokio::select! {
                () = &mut closed => return self.close(former.as_ref()).await,
                opened = self.open(&mut former) => opened,
            };
            let (session, term) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    self.teller.begin(&with_causes(&error));
                    tokio::select! {
                        () = &mut closed => return self.close(former.as_ref()).await,
                        () = sleep(pause) => {}
                    }
                    pause = (pause * 2).min(self.settings.ttl);
                    continue;
                }
            };
            pause = LEASE_PAUSE_MIN;
            self.teller.end();
            let reason = tokio::select! {
                () = &mut closed => return self.close(Some(&session)).await,
                reason = self.renew(&session, &term) => reason,
                reason = self.follow(&session, &term) => reason,
            };
            let lost = self.table.end(&self.table.slots());
            self.stats.lost(lost);
            self.teller.lost(&with_causes(&reason), lost);
            former = Some(session);
        }
    }

    async fn close(&self, session: Option<&Session>) {
        self.table.end(&self.table.slots());
        let Some(session) = session else { return };
        // The store ends it by itself when it cannot be told.
        let _ = timeout(self.settings.call_limit(), self.store.close(session)).await;
    }

    /// A session, and how long it lasts by the clock of this process: from before it was asked for.
    ///
    /// The former one is closed first: it may last at the store for much longer than here, and
    /// nobody else could take its slots meanwhile, the new session included.
    async fn open(&self, former: &mut Option<Session>) -> Result<(Session, Arc<Term>), LeaseError> {
        if let Some(session) = &*former {
            let closed = limited(self.settings.call_limit(), self.store.close(session)).await;
            match closed {
                Ok(()) | Err(LeaseError::Ended) => *former = None,
                Err(error) => return Err(error),
            }
        }
        let sent = Instant::now();
        let opened = self.store.open(&self.holder, self.settings.ttl);
        let session = limited(self.settings.call_limit(), opened).await?;
        Ok((session, Arc::new(Term::until(self.settings.end_of(sent)))))
    }

    /// Renews the session until that fails for so long that it may end.
    async fn renew(&self, session: &Session, term: &Term) -> LeaseError {
        let mut next = Instant::now() + self.settings.renew_interval();
        loop {
            // A process that was paused finds out before it asks.
            sleep_until(next.min(term.end())).await;
            let sent = Instant::now();
            if sent >= term.end() {
                return unavailable("it gave no answer for too long");
            }
            let limit = term.end().min(sent + self.settings.call_limit());
            match timeout_at(limit, self.store.renew(session)).await {
                Ok(Ok(())) => {
                    term.extend(self.settings.end_of(sent));
                    self.table.tell();
                    next = sent + self.settings.renew_interval();
                }
                Ok(Err(LeaseError::Ended)) => return LeaseError::Ended,
                Ok(Err(_)) | Err(_) => {
                    self.stats.renewal_failed();
                    next = Instant::now() + self.settings.retry_interval();
                }
            }
        }
    }

    /// Takes the slots that this process owns, and gives back those that it does not own any more.
    async fn follow(&self, session: &Session, term: &Arc<Term>) -> LeaseError {
        loop {
            let epoch = self.resolver.epoch();
            let owned = self.owned();
            let held = self.table.slots();
            let moved: Vec<u32> =
                held.iter().copied().filter(|slot| owned.binary_search(slot).is_err()).collect();
            if !moved.is_empty() {
                self.table.end(&moved);
                self.each(&moved, |slot| Box::pin(self.store.release(session, slot))).await;
            }
            let missing: Vec<u32> =
                owned.into_iter().filter(|slot| held.binary_search(slot).is_err()).collect();
            let taken =
                self.each(&missing, |slot| Box::pin(self.store.acquire(session, slot))).await;
            let mut all_taken = true;
            for (slot, outcome) in taken {
                match outcome {
                    Ok(token) => {
                        self.stats.granted();
                        self.table.grant(term, slot, token);
                    }
                    Err(LeaseError::Ended) => return LeaseError::Ended,
                    Err(_) => {
                        self.stats.refused();
                        all_taken = false;
                    }
                }
            }
            tokio::select! {
                () = self.resolver.changed(epoch) => {}
                () = sleep(self.settings.retry_interval()), if !all_taken => {}
            }
        }
    }

    /// The slots whose routing key this process owns, ascending.
    fn owned(&self) -> Vec<u32> {
        let is_owned = |slot: &u32| {
            let mut owners = Owners::new();
            self.resolver.owners(routing_key(*slot).as_bytes(), 1, &mut owners);
            owners.first() == Some(&Owner::Local)
        };
        (0..self.settings.slots).filter(is_owned).collect()
    }

    /// Calls for each slot, some at a time.
    async fn each<'a, T: Send + 'a>(
        &self,
        slots: &[u32],
        call: impl Fn(u32) -> Call<'a, T>,
    ) -> Vec<(u32, Result<T, LeaseError>)> {
        let limit = self.settings.call_limit();
        let calls: Vec<_> = slots.iter().map(|slot| numbered(*slot, limit, call(*slot))).collect();
        futures_util::stream::iter(calls).buffer_unordered(LEASE_CALLS_MAX).collect().await
    }
}

/// A call to the store.
type Call<'a, T> = BoxFuture<'a, Result<T, LeaseError>>;

fn numbered<'a, T: Send + 'a>(
    slot: u32,
    limit: Duration,
    call: Call<'a, T>,
) -> BoxFuture<'a, (u32, Result<T, LeaseError>)> {
    Box::pin(async move { (slot, limited(limit, call).await) })
}

async fn limited<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, LeaseError>>,
) -> Result<T, LeaseError> {
    let answer = timeout(limit, call).await;
    answer.unwrap_or_else(|_| Err(unavailable(&format!("no answer within {limit:?}"))))
}

fn unavailable(reason: &str) -> LeaseError {
    LeaseError::unavailable(reason)
}
