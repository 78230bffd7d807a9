//! Looking up names.
//!
//! A lookup takes a thread of the system's resolver, which nobody can stop: with a name server that
//! is silent it lasts for seconds, longer than a dial may take. So one lookup of a name runs at a
//! time, dials that come meanwhile wait for the same one, and an answer that comes after the last
//! of them has given up is there for the next.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::limits::{DIAL_ADDRESSES_MAX, LOOKUP_KEPT_MAX, LOOKUPS_MAX};

/// The resolver did not answer within this time.
#[derive(Debug, Error)]
#[error("the name was not resolved within {0:?}")]
pub(crate) struct Unresolved(Duration);

/// The addresses of `name`, which is `host:port`, from the system's resolver: at most
/// [`DIAL_ADDRESSES_MAX`].
///
/// # Errors
///
/// That of the resolver; [`io::ErrorKind::TimedOut`] with [`Unresolved`] when it says nothing until
/// `limit` has passed; another one when [`LOOKUPS_MAX`] names are looked up already.
pub(super) async fn lookup(name: &str, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    // The resolver and its threads belong to the process, and so do the lookups under way.
    static LOOKUPS: LazyLock<Lookups> = LazyLock::new(Lookups::default);
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let resolve = |name: String| async move { Ok(lookup_host(name).await?.collect()) };
    LOOKUPS.find(name, limit, resolve).await
}

/// The lookups under way, and the answers for which nobody waited, by name.
#[derive(Debug, Default)]
struct Lookups(Mutex<HashMap<String, Answer>>);

/// `None` until the resolver has answered.
type Answer = watch::Receiver<Option<Found>>;

#[derive(Clone, Debug)]
struct Found {
    at: Instant,
    addresses: Result<Vec<SocketAddr>, Arc<io::Error>>,
}

impl Lookups {
    async fn find<F>(
        &self,
        name: &str,
        limit: Duration,
        resolve: impl FnOnce(String) -> F,
    ) -> io::Result<Vec<SocketAddr>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let end = Instant::now() + limit;
        let mut answer = self.begin(name, resolve)?;
        let answered = async { answer.wait_for(Option::is_some).await.ok()?.clone() };
        let found = timeout_at(end, answered)
            .await
            .map_err(|_elapsed| io::Error::new(io::ErrorKind::TimedOut, Unresolved(limit)))?;
        self.forget(name, &answer);
        // The lookup ran on the runtime of the dial that began it.
        let found =
            found.ok_or_else(|| io::Error::other("the lookup of the name was cancelled"))?;
        found.addresses.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// The lookup of `name` that is under way, or a new one.
    fn begin<F>(&self, name: &str, resolve: impl FnOnce(String) -> F) -> io::Result<Answer>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let mut answers = self.answers();
        if answers.len() >= LOOKUPS_MAX {
            answers.retain(|_, answer| is_of_use(answer));
        }
        let is_full = answers.len() >= LOOKUPS_MAX;
        let place = match answers.entry(name.to_owned()) {
            Entry::Occupied(known) if is_of_use(known.get()) => return Ok(known.get().clone()),
            Entry::Vacant(_) if is_full => {
                let text = format!("{LOOKUPS_MAX} names are looked up already");
                return Err(io::Error::other(text));
            }
            place => place,
        };
        let (sender, answer) = watch::channel(None);
        let resolving = resolve(name.to_owned());
        tokio::spawn(async move {
            let mut addresses = resolving.await.map_err(Arc::new);
            if let Ok(addresses) = &mut addresses {
                addresses.truncate(DIAL_ADDRESSES_MAX);
            }
            sender.send_replace(Some(Found { at: Instant::now(), addresses }));
        });
        place.insert_entry(answer.clone());
        Ok(answer)
    }

    /// Has the next dial look `name` up anew.
    fn forget(&self, name: &str, answer: &Answer) {
        let mut answers = self.answers();
        if answers.get(name).is_some_and(|known| known.same_channel(answer)) {
            answers.remove(name);
        }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a dial may wait for this answer: it is still to come, or fresh.
fn is_of_use(answer: &Answer) -> bool {
    match &*answer.borrow() {
        Some(found) => found.at.elapsed() < LOOKUP_KEPT_MAX,
        None => answer.has_changed().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;
    use crate::cause::explain_failure;

    const SECOND: Duration = Duration::from_secs(1);

    /// A resolver that answers each question after some time, and counts them.
    #[derive(Default)]
    struct Resolver {
        lookups: Lookups,
        asked: Arc<AtomicUsize>,
    }

    impl Resolver {
        async fn find(&self, name: &str, limit: Duration, after: Duration) -> io::Result<usize> {
            let asked = Arc::clone(&self.asked);
            let resolve = move |name: String| async move {
                let question = asked.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(after).await;
                match name.as_str() {
                    "none:1" => Err(io::Error::other("failed to lookup address information: none")),
                    _ => Ok(vec![SocketAddr::from(([10, 0, 0, 1], 1)); question]),
                }
            };
            self.lookups.find(name, limit, resolve).await.map(|addresses| addresses.len())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    /// With a dead name server before the one that answers, every lookup takes longer than a dial
    /// may: no dial would ever have an address if each began its own.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_there_for_the_next_dial() {
        let resolver = Resolver::default();
        let error = resolver.find("a:1", SECOND, 5 * SECOND).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = explain_failure(&error);
        assert!(text.starts_with("the name was not resolved within 1s (the resolver"), "{text}");
        sleep(5 * SECOND).await;
        assert_eq!(resolver.find("a:1", SECOND, 5 * SECOND).await.unwrap(), 1);
        assert_eq!(resolver.asked(), 1);
        // It was given to a dial, and is not given again.
        assert!(resolver.find("a:1", SECOND, 5 * SECOND).await.is_err());
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_old_is_no_answer() {
        let resolver = Resolver::default();
        resolver.find("a:1", SECOND, 2 * SECOND).await.unwrap_err();
        sleep(SECOND + LOOKUP_KEPT_MAX).await;
        assert_eq!(resolver.find("a:1", 3 * SECOND, SECOND).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn dials_of_one_name_share_a_lookup() {
        let resolver = Resolver::default();
        let find = |name| resolver.find(name, 3 * SECOND, SECOND);
        let (one, two, three) = tokio::join!(find("a:1"), find("a:1"), find("a:1"));
        assert_eq!((one.unwrap(), two.unwrap(), three.unwrap()), (1, 1, 1));
        assert_eq!(find("b:1").await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_does_not_exist_is_told_to_all_who_wait() {
        let resolver = Resolver::default();
        let find = || resolver.find("none:1", 3 * SECOND, SECOND);
        let (one, two) = tokio::join!(find(), find());
        for error in [one.unwrap_err(), two.unwrap_err()] {
            let text = explain_failure(&error);
            assert!(text.contains("none (the name does not resolve"), "{text}");
        }
        assert_eq!(resolver.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_is_silent_is_asked_for_so_many_names_at_most() {
        let resolver = Resolver::default();
        let limit = Duration::from_millis(1);
        for i in 0..LOOKUPS_MAX {
            let error = resolver.find(&format!("{i}:1"), limit, 1000 * SECOND).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        let error = resolver.find("one more:1", limit, SECOND).await.unwrap_err();
        assert!(error.to_string().contains("looked up already"), "{error}");
        assert_eq!(resolver.asked(), LOOKUPS_MAX);
        sleep(1000 * SECOND + LOOKUP_KEPT_MAX).await;
        resolver.find("one more:1", 2 * SECOND, SECOND).await.unwrap();
    }

    /// The runtime of a dial may end before its lookup, and others' dials go on.
    #[test]
    fn a_lookup_that_was_cancelled_is_begun_anew() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let resolver = Resolver::default();
        let limit = Duration::from_millis(1);
        runtime().block_on(resolver.find("a:1", limit, 1000 * SECOND)).unwrap_err();
        assert_eq!(runtime().block_on(resolver.find("a:1", SECOND, Duration::ZERO)).unwrap(), 2);
    }
}
