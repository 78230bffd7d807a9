//! A store of leases in memory, for tests and for trying things out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::store::{LeaseError, LeaseStore, Session};
use crate::clock::after;

/// A store of leases in memory: for the members of one process, in tests. Clones are one store.
#[derive(Debug, Clone, Default)]
pub struct MemoryLeases(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    opened: u64,
    /// When each session ends.
    sessions: HashMap<String, Instant>,
    slots: HashMap<u32, Slot>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    holder: Option<String>,
    /// The last one that was granted.
    token: u64,
}

impl MemoryLeases {
    /// A store that nobody holds anything of.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The token of the last grant of a slot, 0 before the first.
    #[must_use]
    pub fn token(&self, slot: u32) -> u64 {
        self.lock().slots.get(&slot).map_or(0, |slot| slot.token)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn alive(&self, id: &str) -> Result<(), LeaseError> {
        let alive = self.sessions.get(id).is_some_and(|end| Instant::now() < *end);
        if alive { Ok(()) } else { Err(LeaseError::Ended) }
    }
}

impl LeaseStore for MemoryLeases {
    async fn open(&self, holder: &str, ttl: Duration) -> Result<Session, LeaseError> {
        let mut state = self.lock();
        let now = Instant::now();
        state.sessions.retain(|_, end| now < *end);
        state.opened += 1;
        let id = format!("{holder}-{}", state.opened);
        state.sessions.insert(id.clone(), after(now, ttl));
        Ok(Session { id, ttl, holder: holder.to_owned() })
    }

    async fn renew(&self, session: &Session) -> Result<(), LeaseError> {
        let mut state = self.lock();
        state.alive(&session.id)?;
        state.sessions.insert(session.id.clone(), after(Instant::now(), session.ttl));
        Ok(())
    }

    async fn acquire(&self, session: &Session, slot: u32) -> Result<u64, LeaseError> {
        let mut state = self.lock();
        state.alive(&session.id)?;
        let mut known = state.slots.get(&slot).cloned().unwrap_or_default();
        match &known.holder {
            Some(holder) if *holder == session.id => {}
            Some(holder) if state.alive(holder).is_ok() => return Err(LeaseError::Held),
            _ => {
                known.holder = Some(session.id.clone());
                known.token += 1;
            }
        }
        let token = known.token;
        state.slots.insert(slot, known);
        Ok(token)
    }

    async fn release(&self, session: &Session, slot: u32) -> Result<(), LeaseError> {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get_mut(&slot)
            && slot.holder.as_ref() == Some(&session.id)
        {
            slot.holder = None;
        }
        Ok(())
    }

    async fn close(&self, session: &Session) -> Result<(), LeaseError> {
        self.lock().sessions.remove(&session.id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_may_last_for_ever() {
        let store = MemoryLeases::default();
        let session = store.open("me", Duration::MAX).await.unwrap();
        store.renew(&session).await.unwrap();
        assert_eq!(store.acquire(&session, 1).await.unwrap(), 1);
    }
}
