//! What an application does before and after a member leaves, comes back or evicts itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use swim_core::Address;
use tokio::time::timeout;

use crate::limits::{HOOK_LIMIT_MAX, HOOKS_MAX};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookPoint {
    /// Before the others are told that this member leaves: it owns its keys.
    BeforeLeave,
    /// After as many as possible know that it has left.
    AfterLeave,
    /// Before it looks for the others again.
    BeforeRejoin,
    /// After it is a member again.
    AfterRejoin,
    /// Before it declares itself faulty.
    BeforeEvictSelf,
    /// After as many as possible know that.
    AfterEvictSelf,
}

/// Why the hooks cannot be as they were set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HooksError {
    /// There are too many.
    #[error("there are {hooks} hooks, at most {HOOKS_MAX} may be; do several things in one")]
    TooMany {
        /// How many there are.
        hooks: usize,
    },
    /// A hook has no time, or too long a one.
    #[error("the hook {point:?} has {limit:?}, it must be from 1 ns to {HOOK_LIMIT_MAX:?}")]
    Limit {
        /// When the hook runs.
        point: HookPoint,
        /// The given time.
        limit: Duration,
    },
}

type Action = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The hooks of a member, in the order in which they were given.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<(HookPoint, Duration, Arc<Action>)>);

impl Hooks {
    pub(crate) fn add<F>(
        &mut self,
        point: HookPoint,
        limit: Duration,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.push((point, limit, Arc::new(move || Box::pin(hook()))));
    }

    pub(crate) fn check(&self) -> Result<(), HooksError> {
        if self.0.len() > HOOKS_MAX {
            return Err(HooksError::TooMany { hooks: self.0.len() });
        }
        let is_wrong = |limit: &Duration| limit.is_zero() || *limit > HOOK_LIMIT_MAX;
        match self.0.iter().find(|(_, limit, _)| is_wrong(limit)) {
            Some((point, limit, _)) => Err(HooksError::Limit { point: *point, limit: *limit }),
            None => Ok(()),
        }
    }

    /// Runs the hooks of a point, one after the other, each within its time. One that fails holds
    /// nothing up.
    pub(crate) async fn run(&self, point: HookPoint, member: &Address) {
        for (_, limit, hook) in self.0.iter().filter(|(of, ..)| *of == point) {
            let mut running = tokio::spawn(hook());
            match timeout(*limit, &mut running).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::warn!(%member, ?point, "a hook panicked"),
                Err(_) => {
                    running.abort();
                    tracing::warn!(%member, ?point, ?limit, "a hook took too long and was ended");
                }
            }
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(point, limit, _)| (point, limit))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hooks_run_in_order_each_within_its_time_and_none_holds_up_the_next() {
        let told = Arc::<Mutex<Vec<&str>>>::default();
        let mut hooks = Hooks::default();
        let second = Duration::from_secs(1);
        for (point, name) in [
            (HookPoint::BeforeLeave, "first"),
            (HookPoint::BeforeLeave, "hangs"),
            (HookPoint::AfterLeave, "other"),
            (HookPoint::BeforeLeave, "panics"),
            (HookPoint::BeforeLeave, "last"),
        ] {
            let told = Arc::clone(&told);
            hooks.add(point, second, move || {
                told.lock().unwrap().push(name);
                async move {
                    assert_ne!(name, "panics", "this test has a hook panic");
                    if name == "hangs" {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
        let began = tokio::time::Instant::now();
        hooks.run(HookPoint::BeforeLeave, &Address::new("10.0.0.1:7100").unwrap()).await;
        assert_eq!(*told.lock().unwrap(), ["first", "hangs", "panics", "last"]);
        assert_eq!(began.elapsed(), second);
    }

    #[test]
    fn hooks_without_a_time_or_too_many_are_refused() {
        let mut hooks = Hooks::default();
        hooks.add(HookPoint::AfterLeave, HOOK_LIMIT_MAX, || async {});
        assert!(hooks.check().is_ok());
        for limit in [Duration::ZERO, HOOK_LIMIT_MAX * 2] {
            let mut hooks = hooks.clone();
            hooks.add(HookPoint::BeforeRejoin, limit, || async {});
            let error = hooks.check().unwrap_err().to_string();
            assert!(error.contains("BeforeRejoin"), "{error}");
        }
        for _ in 0..HOOKS_MAX {
            hooks.add(HookPoint::AfterLeave, HOOK_LIMIT_MAX, || async {});
        }
        assert!(hooks.check().unwrap_err().to_string().contains("at most"));
    }
}
