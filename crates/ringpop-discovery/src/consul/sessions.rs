//! Sessions of Consul, and the keys that they lock: what a lease needs.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Agent, refused};
use crate::DiscoveryError;
use crate::http::{Answer, Client, escape};
use crate::limits::{ANSWER_TIMEOUT, CONSUL_SESSION_TTL_MIN};

/// Sessions at a Consul agent, which lock keys below a prefix.
///
/// A session that is not renewed ends between its time and twice that after the last renewal; its
/// keys are free then, at once and not after Consul's usual delay, since each lock has a fencing
/// token: the index of the last change of its key, which grows with each lock.
///
/// The token needs `session:write` of the node and `key:write` of the prefix.
#[derive(Debug, Clone)]
pub struct Sessions {
    client: Client,
    prefix: String,
}

/// How an attempt to lock a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Locked {
    /// The session holds the key, with this fencing token.
    Token(u64),
    /// Another session holds it.
    ByAnother,
    /// The session has ended.
    SessionEnded,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    modify_index: u64,
    #[serde(default)]
    session: Option<String>,
}

impl Sessions {
    /// Sessions at this agent that lock keys below `prefix`, such as `leases/rides`.
    #[must_use]
    pub fn new(agent: &Agent, prefix: &str) -> Self {
        let client = agent.client(format!("sessions of Consul at {}", agent.0.endpoint));
        Self { client, prefix: prefix.trim_matches('/').to_owned() }
    }

    /// Begins a session, and gives its id. Consul has none that are shorter than
    /// [`CONSUL_SESSION_TTL_MIN`]: a shorter time becomes that.
    ///
    /// # Errors
    ///
    /// When the agent gives no answer or refuses.
    pub async fn open(&self, name: &str, ttl: Duration) -> Result<String, DiscoveryError> {
        // Consul counts whole milliseconds.
        let ttl = ttl.max(CONSUL_SESSION_TTL_MIN).as_millis();
        let body = json!({
            "Name": name,
            "TTL": format!("{ttl}ms"),
            "LockDelay": "0s",
            "Behavior": "release",
        });
        let answer = self.put("/v1/session/create", body.to_string()).await?;
        let created: Created = self.read(&self.succeeded(answer)?)?;
        Ok(created.id)
    }

    /// Renews a session; `false`: it has ended.
    ///
    /// # Errors
    ///
    /// When the agent gives no answer or refuses.
    pub async fn renew(&self, id: &str) -> Result<bool, DiscoveryError> {
        let answer = self.put(&format!("/v1/session/renew/{}", escape(id)), String::new()).await?;
        if answer.status == 404 {
            return Ok(false);
        }
        self.succeeded(answer).map(|_| true)
    }

    /// Locks a key for a session.
    ///
    /// # Errors
    ///
    /// When the agent gives no answer or refuses.
    pub async fn lock(&self, id: &str, key: &str) -> Result<Locked, DiscoveryError> {
        let path = format!("{}?acquire={}", self.key_path(key), escape(id));
        let answer = self.put(&path, id.to_owned()).await?;
        let said = String::from_utf8_lossy(&answer.body);
        if answer.status == 500 && said.contains("invalid session") {
            return Ok(Locked::SessionEnded);
        }
        let is_locked = said.trim() == "true";
        self.succeeded(answer)?;
        if !is_locked {
            return Ok(Locked::ByAnother);
        }
        // The answer has no index.
        let path = format!("{}?consistent", self.key_path(key));
        let answer = self.client.send(Method::GET, &path, Vec::new(), ANSWER_TIMEOUT).await?;
        let entries: Vec<Entry> = self.read(&self.succeeded(answer)?)?;
        let Some(entry) = entries.first() else { return Ok(Locked::SessionEnded) };
        Ok(match entry.session.as_deref() {
            Some(holder) if holder == id => Locked::Token(entry.modify_index),
            Some(_) => Locked::ByAnother,
            None => Locked::SessionEnded,
        })
    }

    /// Gives a key back; nothing happens when the session does not hold it.
    ///
    /// # Errors
    ///
    /// When the agent gives no answer or refuses.
    pub async fn unlock(&self, id: &str, key: &str) -> Result<(), DiscoveryError> {
        let path = format!("{}?release={}", self.key_path(key), escape(id));
        let answer = self.put(&path, String::new()).await?;
        self.succeeded(answer).map(|_| ())
    }

    /// Ends a session; its keys are free.
    ///
    /// # Errors
    ///
    /// When the agent gives no answer or refuses.
    pub async fn close(&self, id: &str) -> Result<(), DiscoveryError> {
        let answer =
            self.put(&format!("/v1/session/destroy/{}", escape(id)), String::new()).await?;
        self.succeeded(answer).map(|_| ())
    }

    fn key_path(&self, key: &str) -> String {
        let parts = self.prefix.split('/').chain([key]).map(escape);
        format!("/v1/kv/{}", parts.collect::<Vec<_>>().join("/"))
    }

    async fn put(&self, path: &str, body: String) -> Result<Answer, DiscoveryError> {
        self.client.send(Method::PUT, path, body.into_bytes(), ANSWER_TIMEOUT).await
    }

    fn succeeded(&self, answer: Answer) -> Result<Answer, DiscoveryError> {
        match answer.status {
            200 => Ok(answer),
            status => Err(refused(&self.client.origin, status)),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, answer: &Answer) -> Result<T, DiscoveryError> {
        serde_json::from_slice(&answer.body).map_err(|error| self.client.malformed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Fake, Reply};

    fn ok(body: &str) -> Reply {
        Reply::Whole(200, String::new(), body.to_owned())
    }

    async fn sessions(replies: Vec<Reply>) -> (Fake, Sessions) {
        let fake = Fake::start().await;
        for reply in replies {
            fake.reply(reply).await;
        }
        let sessions = Sessions::new(&Agent::new(&fake.url).unwrap(), "/leases/rides/");
        (fake, sessions)
    }

    fn lines(fake: &Fake) -> Vec<String> {
        let first = |request: &String| request.lines().next().unwrap_or_default().to_owned();
        fake.requests().iter().map(first).collect()
    }

    #[tokio::test]
    async fn a_session_is_opened_renewed_and_closed() {
        let (fake, sessions) = sessions(vec![
            ok(r#"{"ID":"s-1"}"#),
            ok("[]"),
            Reply::Whole(404, String::new(), "Session id 's-1' not found".to_owned()),
            ok("true"),
        ])
        .await;
        assert_eq!(sessions.open("kv-0", Duration::from_secs(2)).await.unwrap(), "s-1");
        assert!(sessions.renew("s-1").await.unwrap());
        assert!(!sessions.renew("s-1").await.unwrap(), "it has ended");
        sessions.close("s-1").await.unwrap();
        let expected = [
            "PUT /v1/session/create HTTP/1.1",
            "PUT /v1/session/renew/s-1 HTTP/1.1",
            "PUT /v1/session/renew/s-1 HTTP/1.1",
            "PUT /v1/session/destroy/s-1 HTTP/1.1",
        ];
        assert_eq!(lines(&fake), expected);
        let created = &fake.requests()[0];
        assert!(created.contains(r#""TTL":"10000ms""#) && created.contains(r#""LockDelay":"0s""#));
    }

    #[tokio::test]
    async fn a_lock_has_the_index_of_its_key_as_token() {
        let entry = |session: &str, index: u64| {
            ok(&format!(r#"[{{"LockIndex":1,"ModifyIndex":{index}{session}}}]"#))
        };
        let (fake, sessions) = sessions(vec![
            ok("true"),
            entry(r#","Session":"s-1""#, 77),
            ok("false"),
            Reply::Whole(500, String::new(), "invalid session \"s-1\"".to_owned()),
            // Locked, and lost before the index was read.
            ok("true"),
            entry(r#","Session":"s-2""#, 78),
            ok("true"),
            entry("", 79),
            Reply::Whole(500, String::new(), "No cluster leader".to_owned()),
            ok("true"),
        ])
        .await;
        let mut outcomes = Vec::new();
        for _ in 0..5 {
            outcomes.push(sessions.lock("s-1", "slot 3").await.unwrap());
        }
        let expected = [
            Locked::Token(77),
            Locked::ByAnother,
            Locked::SessionEnded,
            Locked::ByAnother,
            Locked::SessionEnded,
        ];
        assert_eq!(outcomes, expected);
        let error = sessions.lock("s-1", "slot 3").await.unwrap_err().to_string();
        assert!(error.contains("may have no leader"), "{error}");
        sessions.unlock("s-1", "slot 3").await.unwrap();
        let lines = lines(&fake);
        assert_eq!(lines[0], "PUT /v1/kv/leases/rides/slot%203?acquire=s-1 HTTP/1.1");
        assert_eq!(lines[1], "GET /v1/kv/leases/rides/slot%203?consistent HTTP/1.1");
        assert_eq!(lines[9], "PUT /v1/kv/leases/rides/slot%203?release=s-1 HTTP/1.1");
    }
}
