//! Leases of Kubernetes: what a lease with a fencing token needs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ApiServer, refused};
use crate::DiscoveryError;
use crate::http::{Answer, Client, TokenHeader, escape};
use crate::limits::{ANSWER_TIMEOUT, KUBERNETES_SESSIONS_WATCHED_MAX};

/// Sessions, and keys that they lock, as objects `Lease` of `coordination.k8s.io/v1`.
///
/// A session is one object that its process renews; a key is another one that names the session
/// which holds it. So a process renews one object, however many keys it holds. A session has ended
/// when its object is gone: a process that wants a key of another session watches that for its
/// whole time, and deletes it when it was not renewed, on condition that it is still the same. No
/// clocks are compared. The fencing token is `leaseTransitions`, which grows with each lock.
///
/// The service account needs `get`, `create`, `update` and `delete` of `leases` in the namespace.
#[derive(Debug, Clone)]
pub struct Leases {
    client: Client,
    path: String,
    prefix: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The version of each own session, as it was written last.
    own: HashMap<String, Metadata>,
    /// Sessions of others as they were seen, and since when they are like that.
    others: HashMap<String, (String, Instant)>,
}

/// How an attempt to lock a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Locked {
    /// The session holds the key, with this fencing token.
    Token(u64),
    /// Another session holds it, or has just taken it.
    ByAnother,
}

#[derive(Debug, Deserialize)]
struct Lease {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

/// Which object it is, and which version of it. An update names both: without the `uid`, one of a
/// lease that was deleted creates it anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    holder_identity: Option<String>,
    #[serde(default)]
    lease_duration_seconds: Option<u64>,
    #[serde(default)]
    lease_transitions: Option<u64>,
}

impl Leases {
    /// Leases in `namespace` whose names begin with `prefix`, such as `rides`: lower case letters,
    /// digits and `-`.
    #[must_use]
    pub fn new(server: &ApiServer, namespace: &str, prefix: &str) -> Self {
        let origin = format!("leases in {namespace} of Kubernetes at {}", server.0.endpoint);
        let client = Client { server: server.0.clone(), origin, token_header: TokenHeader::Bearer };
        let namespace = escape(namespace);
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        Self { client, path, prefix: prefix.to_owned(), state: Arc::default() }
    }

    /// Begins a session, and gives its id. `name` is for people; times are whole seconds.
    ///
    /// # Errors
    ///
    /// When the API server gives no answer or refuses.
    pub async fn open(&self, name: &str, ttl: Duration) -> Result<String, DiscoveryError> {
        let id = format!("{}-session-{:016x}", self.prefix, fastrand::u64(..));
        let spec = json!({
            "holderIdentity": name,
            "leaseDurationSeconds": seconds(ttl),
            "acquireTime": micro_time(),
            "renewTime": micro_time(),
        });
        let answer = self.send(Method::POST, None, &self.object(&id, None, &spec)).await?;
        let lease: Lease = self.read(&self.succeeded(answer)?)?;
        self.lock_state().own.insert(id.clone(), lease.metadata);
        Ok(id)
    }

    /// Renews a session; `false`: it has ended.
    ///
    /// # Errors
    ///
    /// When the API server gives no answer or refuses.
    pub async fn renew(&self, id: &str, name: &str, ttl: Duration) -> Result<bool, DiscoveryError> {
        let known = self.lock_state().own.get(id).cloned();
        let former = match known {
            Some(former) => former,
            // The answer to a renewal was lost: it may have been done.
            None => match self.get(id).await? {
                Some(lease) => lease.metadata,
                None => return Ok(false),
            },
        };
        self.lock_state().own.remove(id);
        let spec = json!({
            "holderIdentity": name,
            "leaseDurationSeconds": seconds(ttl),
            "renewTime": micro_time(),
        });
        let body = self.object(id, Some(&former), &spec);
        let answer = self.send(Method::PUT, Some(id), &body).await?;
        match answer.status {
            404 => Ok(false),
            // Somebody else wrote it, or deleted it.
            409 => match self.get(id).await? {
                Some(lease) if lease.metadata.uid == former.uid => {
                    Err(refused_lease(&self.client.origin, 409))
                }
                _ => Ok(false),
            },
            _ => {
                let lease: Lease = self.read(&self.succeeded(answer)?)?;
                self.lock_state().own.insert(id.to_owned(), lease.metadata);
                Ok(true)
            }
        }
    }

    /// Locks a key for a session.
    ///
    /// # Errors
    ///
    /// When the API server gives no answer or refuses.
    pub async fn lock(&self, id: &str, key: &str) -> Result<Locked, DiscoveryError> {
        let name = self.key_name(key);
        let Some(lease) = self.get(&name).await? else {
            let body = self.object(&name, None, &held_by(id, 1));
            let answer = self.send(Method::POST, None, &body).await?;
            return self.locked(answer, 1);
        };
        let token = lease.spec.lease_transitions.unwrap_or(0);
        match lease.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty()) {
            Some(holder) if holder == id => return Ok(Locked::Token(token)),
            Some(holder) if !self.has_ended(holder).await? => return Ok(Locked::ByAnother),
            _ => {}
        }
        let body = self.object(&name, Some(&lease.metadata), &held_by(id, token + 1));
        let answer = self.send(Method::PUT, Some(&name), &body).await?;
        self.locked(answer, token + 1)
    }

    /// Gives a key back; nothing happens when the session does not hold it.
    ///
    /// # Errors
    ///
    /// When the API server gives no answer or refuses.
    pub async fn unlock(&self, id: &str, key: &str) -> Result<(), DiscoveryError> {
        let name = self.key_name(key);
        let Some(lease) = self.get(&name).await? else { return Ok(()) };
        if lease.spec.holder_identity.as_deref() != Some(id) {
            return Ok(());
        }
        let token = lease.spec.lease_transitions.unwrap_or(0);
        let body = self.object(&name, Some(&lease.metadata), &held_by("", token));
        match self.send(Method::PUT, Some(&name), &body).await? {
            // Somebody else has it by now.
            answer if matches!(answer.status, 404 | 409) => Ok(()),
            answer => self.succeeded(answer).map(|_| ()),
        }
    }

    /// Ends a session; its keys are free.
    ///
    /// # Errors
    ///
    /// When the API server gives no answer or refuses.
    pub async fn close(&self, id: &str) -> Result<(), DiscoveryError> {
        self.lock_state().own.remove(id);
        match self.send(Method::DELETE, Some(id), &json!({})).await? {
            answer if answer.status == 404 => Ok(()),
            answer => self.succeeded(answer).map(|_| ()),
        }
    }

    /// Whether a session of another process has ended; one that was not renewed for its time, as
    /// this process saw it, is ended.
    async fn has_ended(&self, id: &str) -> Result<bool, DiscoveryError> {
        let Some(lease) = self.get(id).await? else {
            self.lock_state().others.remove(id);
            return Ok(true);
        };
        let version = lease.metadata.resource_version;
        let ttl = Duration::from_secs(lease.spec.lease_duration_seconds.unwrap_or(0));
        if !self.lock_state().is_silent(id, &version, ttl) {
            return Ok(false);
        }
        let condition = json!({ "preconditions": { "resourceVersion": version } });
        let answer = self.send(Method::DELETE, Some(id), &condition).await?;
        match answer.status {
            404 => Ok(true),
            // It was renewed at the last moment.
            409 => Ok(false),
            _ => self.succeeded(answer).map(|_| true),
        }
    }

    fn locked(&self, answer: Answer, token: u64) -> Result<Locked, DiscoveryError> {
        if answer.status == 409 || answer.status == 404 {
            return Ok(Locked::ByAnother);
        }
        self.succeeded(answer).map(|_| Locked::Token(token))
    }

    async fn get(&self, name: &str) -> Result<Option<Lease>, DiscoveryError> {
        let answer = self.send(Method::GET, Some(name), &Value::Null).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.read(&self.succeeded(answer)?).map(Some)
    }

    fn key_name(&self, key: &str) -> String {
        format!("{}-{key}", self.prefix)
    }

    fn object(&self, name: &str, former: Option<&Metadata>, spec: &Value) -> Value {
        let mut metadata = former.map_or_else(|| json!({}), |former| json!(former));
        metadata["name"] = json!(name);
        let (version, kind) = ("coordination.k8s.io/v1", "Lease");
        json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec })
    }

    async fn send(
        &self,
        method: Method,
        name: Option<&str>,
        body: &Value,
    ) -> Result<Answer, DiscoveryError> {
        let path = match name {
            Some(name) => format!("{}/{}", self.path, escape(name)),
            None => self.path.clone(),
        };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.client.send(method, &path, body, ANSWER_TIMEOUT).await
    }

    fn succeeded(&self, answer: Answer) -> Result<Answer, DiscoveryError> {
        match answer.status {
            200..=202 => Ok(answer),
            status => Err(refused_lease(&self.client.origin, status)),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, answer: &Answer) -> Result<T, DiscoveryError> {
        serde_json::from_slice(&answer.body).map_err(|error| self.client.malformed(&error))
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a session has been like that for its whole time.
    fn is_silent(&mut self, id: &str, version: &str, ttl: Duration) -> bool {
        let now = Instant::now();
        if self.others.len() >= KUBERNETES_SESSIONS_WATCHED_MAX && !self.others.contains_key(id) {
            // Those that are watched are seen again, and are free a little later.
            self.others.clear();
        }
        let seen = self.others.entry(id.to_owned()).or_insert_with(|| (version.to_owned(), now));
        if seen.0 != version {
            *seen = (version.to_owned(), now);
        }
        now >= seen.1 + ttl
    }
}

fn held_by(id: &str, token: u64) -> Value {
    json!({ "holderIdentity": id, "leaseTransitions": token, "renewTime": micro_time() })
}

/// The API takes whole seconds, of which a session must not have fewer than was promised.
const fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + if ttl.subsec_nanos() > 0 { 1 } else { 0 }
}

fn refused_lease(origin: &str, status: u16) -> DiscoveryError {
    let advice = match status {
        403 => {
            "grant the service account get, create, update and delete of leases in coordination.k8s.io"
        }
        409 => "somebody else changed the lease; it is tried again",
        422 => "the prefix of the leases must have lower case letters, digits and - only",
        status => return refused(origin, status),
    };
    DiscoveryError::Refused { origin: origin.to_owned(), status, advice }
}

/// The wall clock as the API writes it (RFC 3339 with microseconds). Nobody compares it; people
/// read it, and a renewal differs from the one before by it.
fn micro_time() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rfc3339(since)
}

/// The date by the algorithm `civil_from_days` of Howard Hinnant's "chrono-Compatible Low-Level
/// Date Algorithms", for times since 1970.
fn rfc3339(since: Duration) -> String {
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Fake, Reply};

    const TTL: Duration = Duration::from_millis(14_500);

    fn lease(version: u64, spec: &str) -> Reply {
        lease_of("u-1", version, spec)
    }

    fn lease_of(uid: &str, version: u64, spec: &str) -> Reply {
        let metadata = format!(r#"{{"uid":"{uid}","resourceVersion":"{version}"}}"#);
        let body = format!(r#"{{"metadata":{metadata},"spec":{{{spec}}}}}"#);
        Reply::Whole(200, String::new(), body)
    }

    fn status(code: u16) -> Reply {
        Reply::Whole(code, String::new(), r#"{"kind":"Status"}"#.to_owned())
    }

    async fn leases() -> (Fake, Leases) {
        let fake = Fake::start().await;
        let server = ApiServer::new(&fake.url).unwrap();
        let leases = Leases::new(&server, "shop", "rides");
        (fake, leases)
    }

    fn lines(fake: &Fake) -> Vec<String> {
        let line = |request: &String| {
            let first = request.lines().next().unwrap_or_default();
            let path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
            first.trim_end_matches(" HTTP/1.1").replace(path, "")
        };
        fake.requests().iter().map(line).collect()
    }

    #[test]
    fn times_are_written_as_the_api_writes_them() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_894_510_000_042, "2026-11-28T19:35:10.000042Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_micros(micros)), text);
        }
        assert_eq!(seconds(TTL), 15);
    }

    #[tokio::test]
    async fn a_session_is_one_object_that_is_renewed_by_its_version() {
        let (fake, leases) = leases().await;
        fake.reply(lease(5, "")).await;
        let id = leases.open("10.0.0.1:7100", TTL).await.unwrap();
        fake.reply(lease(6, "")).await;
        assert!(leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap());
        // The answer is lost, though it was renewed: the version is asked for.
        fake.reply(Reply::Close).await;
        leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap_err();
        fake.reply(lease(7, "")).await;
        fake.reply(lease(8, "")).await;
        assert!(leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap());
        fake.reply(status(404)).await;
        assert!(!leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap(), "it has ended");
        fake.reply(status(404)).await;
        leases.close(&id).await.unwrap();
        let named = format!("/{id}");
        let expected = ["POST ", "PUT ", "PUT ", "GET ", "PUT ", "PUT ", "DELETE "];
        let expected: Vec<String> =
            expected
                .iter()
                .map(|method| {
                    if *method == "POST " { "POST ".to_owned() } else { format!("{method}{named}") }
                })
                .collect();
        assert_eq!(lines(&fake), expected);
        let versions: Vec<bool> = ["5", "6", "7"]
            .iter()
            .zip([1, 2, 4])
            .map(|(version, i)| {
                fake.requests()[i].contains(&format!(r#""resourceVersion":"{version}""#))
            })
            .collect();
        assert_eq!(versions, [true; 3]);
        assert!(fake.requests()[0].contains(r#""leaseDurationSeconds":15"#));
    }

    /// The API server creates a lease that an update finds missing, unless the update names the
    /// object that it means.
    #[tokio::test]
    async fn a_session_that_was_deleted_is_not_created_anew_by_its_renewal() {
        let (fake, leases) = leases().await;
        for gone in [status(404), lease_of("u-2", 9, "")] {
            let asked = fake.requests().len();
            fake.reply(lease(5, "")).await;
            let id = leases.open("10.0.0.1:7100", TTL).await.unwrap();
            fake.reply(status(409)).await;
            fake.reply(gone).await;
            assert!(!leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap());
            let renewal = &fake.requests()[asked + 1];
            assert!(renewal.contains(r#""uid":"u-1""#), "{renewal}");
        }
        // Somebody wrote into it: it lasts, and is renewed from there.
        fake.reply(lease(5, "")).await;
        let id = leases.open("10.0.0.1:7100", TTL).await.unwrap();
        fake.reply(status(409)).await;
        fake.reply(lease(6, "")).await;
        leases.renew(&id, "10.0.0.1:7100", TTL).await.unwrap_err();
        // The same for the keys.
        let asked = fake.requests().len();
        fake.reply(lease(9, r#""holderIdentity":"","leaseTransitions":7"#)).await;
        fake.reply(status(409)).await;
        assert_eq!(leases.lock(&id, "slot-3").await.unwrap(), Locked::ByAnother);
        assert!(fake.requests()[asked + 1].contains(r#""uid":"u-1""#));
    }

    #[tokio::test]
    async fn a_free_key_is_taken_once_and_its_token_grows() {
        let (fake, leases) = leases().await;
        // Nobody had it; then two at a time.
        fake.reply(status(404)).await;
        fake.reply(lease(1, "")).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::Token(1));
        fake.reply(status(404)).await;
        fake.reply(status(409)).await;
        assert_eq!(leases.lock("me", "slot-4").await.unwrap(), Locked::ByAnother);
        // It was given back.
        fake.reply(lease(9, r#""holderIdentity":"","leaseTransitions":7"#)).await;
        fake.reply(lease(10, "")).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::Token(8));
        assert!(fake.requests()[5].contains(r#""leaseTransitions":8"#));
        // It is held already.
        fake.reply(lease(10, r#""holderIdentity":"me","leaseTransitions":8"#)).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::Token(8));
        fake.reply(lease(10, r#""holderIdentity":"me","leaseTransitions":8"#)).await;
        fake.reply(lease(11, "")).await;
        leases.unlock("me", "slot-3").await.unwrap();
        assert!(fake.requests()[8].contains(r#""leaseTransitions":8"#), "it never falls");
        fake.reply(lease(12, r#""holderIdentity":"other","leaseTransitions":9"#)).await;
        leases.unlock("me", "slot-3").await.unwrap();
        assert_eq!(fake.requests().len(), 10, "what another holds is left");
    }

    #[tokio::test]
    async fn a_session_that_is_silent_for_its_time_is_ended_and_one_that_renews_is_not() {
        let (fake, leases) = leases().await;
        let held = || lease(10, r#""holderIdentity":"other","leaseTransitions":8"#);
        let session = |version| lease(version, r#""leaseDurationSeconds":1"#);
        for version in [20, 21] {
            fake.reply(held()).await;
            fake.reply(session(version)).await;
            assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::ByAnother);
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        // 600 ms after the renewal that was seen.
        fake.reply(held()).await;
        fake.reply(session(21)).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::ByAnother);
        tokio::time::sleep(Duration::from_millis(600)).await;
        // It was renewed just before it would have been ended.
        fake.reply(held()).await;
        fake.reply(session(21)).await;
        fake.reply(status(409)).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::ByAnother);
        fake.reply(held()).await;
        fake.reply(session(21)).await;
        fake.reply(status(200)).await;
        fake.reply(lease(11, "")).await;
        assert_eq!(leases.lock("me", "slot-3").await.unwrap(), Locked::Token(9));
        let requests = fake.requests();
        assert!(requests[8].contains(r#""preconditions":{"resourceVersion":"21"}"#));
        // The object of its session is gone: it gave up by itself.
        fake.reply(held()).await;
        fake.reply(status(404)).await;
        fake.reply(lease(12, "")).await;
        assert_eq!(leases.lock("me", "slot-5").await.unwrap(), Locked::Token(9));
    }
}
