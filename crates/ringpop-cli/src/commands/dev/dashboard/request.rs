//! What the page asks for.
//!
//! Only JSON is taken, which no form of another site sends; the listener has checked origin and
//! token before.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::super::action::Action;
use super::super::cluster::Cluster;
use crate::limits::DEV_LOAD_RATE_MAX;

/// Something that a person at the page wants, and where to say what became of it.
#[derive(Debug)]
pub(in super::super) struct PageRequest {
    /// As the last part of the path has it.
    word: String,
    body: Body,
    done: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Addresses.
    #[serde(default)]
    members: Vec<String>,
    /// Requests a second, of a load.
    #[serde(default)]
    rate: Option<u32>,
}

/// What a request stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Wish {
    Act(Vec<Action>),
    /// The page shows the view of this member.
    Ask(String),
}

impl PageRequest {
    /// What it stands for in this cluster, or why it makes no sense.
    pub(in super::super) fn wish(&self, cluster: &Cluster) -> Result<Wish, String> {
        let place = |address: &String| {
            let place = cluster.nodes().iter().position(|node| node.address() == address);
            place.ok_or_else(|| format!("{address} is no member of this cluster"))
        };
        let places = self.body.members.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        meaning(&self.word, &places, self.body.rate, cluster)
    }

    /// Says what became of it.
    pub(in super::super) fn end(self, result: Result<(), String>) {
        // The page may be gone.
        let _ = self.done.send(result);
    }
}

fn meaning(
    word: &str,
    places: &[usize],
    rate: Option<u32>,
    cluster: &Cluster,
) -> Result<Wish, String> {
    let each = |action: fn(usize) -> Action| match places {
        [] => Err(format!("{word} needs a member")),
        places => Ok(Wish::Act(places.iter().copied().map(action).collect())),
    };
    let one = |action: Action| Ok(Wish::Act(vec![action]));
    let all = 0..cluster.nodes().len();
    match word {
        "kill" => each(Action::Kill),
        "stop" => each(Action::Stop),
        "suspend" => each(Action::Suspend),
        "revive" => each(Action::Revive),
        "restart" => each(Action::Restart),
        "leave" => each(Action::Leave),
        "join" => each(Action::Join),
        "evict" => each(Action::Evict),
        "undo-evict" => each(Action::UndoEvict),
        "ask" => match places {
            [place] => Ok(Wish::Ask(cluster.nodes()[*place].address().to_owned())),
            _ => Err("ask needs one member".to_owned()),
        },
        "add" => one(Action::Add),
        "restore" => one(Action::Restore),
        "revive-all" => one(Action::ReviveAll),
        "restart-all" => one(Action::RollingRestart),
        "stop-gossip" => one(Action::StopGossip),
        "start-gossip" => one(Action::StartGossip),
        "forget" => match cluster.nodes().iter().position(|node| node.seen().is_some()) {
            Some(place) => one(Action::Reap(place)),
            None => Err("no member answers".to_owned()),
        },
        "partition" => {
            // Without members the cluster is cut in two, as by the key.
            let half = all.end / 2;
            let is_here = |place: &usize| match places {
                [] => *place < half,
                places => places.contains(place),
            };
            let (here, there) = all.partition(is_here);
            one(Action::Partition(vec![here, there]))
        }
        "load" => match rate {
            Some(rate) if rate <= DEV_LOAD_RATE_MAX => one(Action::Load(rate)),
            _ => Err(format!("load needs a rate from 0 to {DEV_LOAD_RATE_MAX}")),
        },
        word => Err(format!("{word} is nothing that can be done here")),
    }
}

/// Takes a request of the page, and answers when it was carried out.
pub(super) async fn take(
    State(requests): State<mpsc::Sender<PageRequest>>,
    Path(word): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let body = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => {
            return refuse(StatusCode::BAD_REQUEST, &format!("the body is wrong: {error}"));
        }
    };
    let (done, outcome) = oneshot::channel();
    if requests.try_send(PageRequest { word, body, done }).is_err() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too much is to be done: try again");
    }
    match outcome.await {
        Ok(Ok(())) => (StatusCode::OK, JSON, "{}").into_response(),
        Ok(Err(reason)) => refuse(StatusCode::CONFLICT, &reason),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the cluster stops"),
    }
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

fn refuse(code: StatusCode, message: &str) -> Response {
    let error = serde_json::json!({"error": {"status": code.as_u16(), "message": message}});
    (code, JSON, error.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use ringpop::http_admin::AdminHttp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::super::plan::Plan;
    use super::*;

    fn wish(word: &str, members: &[&str], rate: Option<u32>) -> Result<Wish, String> {
        let cluster = Cluster::new(&Plan::new(4, 7100).unwrap(), &[None; 4]);
        let members = members.iter().map(|&address| address.to_owned()).collect();
        let (done, _) = oneshot::channel();
        let request = PageRequest { word: word.to_owned(), body: Body { members, rate }, done };
        request.wish(&cluster)
    }

    /// The part of the page that has the buttons, as it is served.
    async fn buttons() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = AdminHttp::remote(|| None).serve(listener, std::future::pending());
        let served = tokio::spawn(serving);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let ask = "GET /processes.js HTTP/1.1\r\nconnection: close\r\n";
        stream.write_all(format!("{ask}host: {address}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        served.abort();
        answer
    }

    #[tokio::test]
    async fn the_buttons_of_the_page_mean_something() {
        let script = buttons().await;
        let lists = script.split("const RATES").next().unwrap();
        let mut checked = 0;
        for word in lists.lines().filter(|line| line.starts_with("  [")) {
            for pair in word.split("],") {
                let Some(word) = pair.rsplit('\'').nth(1) else { continue };
                let meant = wish(word, &["127.0.0.1:7101"], None);
                // Nobody answers in this cluster.
                assert!(meant.is_ok() || word == "forget", "{word}: {meant:?}");
                checked += 1;
            }
        }
        assert_eq!(checked, 19);
        assert_eq!(wish("load", &[], Some(100)), Ok(Wish::Act(vec![Action::Load(100)])));
    }

    #[test]
    fn a_partition_needs_no_members() {
        let cut = |here: Vec<usize>, there: Vec<usize>| {
            Ok(Wish::Act(vec![Action::Partition(vec![here, there])]))
        };
        assert_eq!(wish("partition", &[], None), cut(vec![0, 1], vec![2, 3]));
        assert_eq!(wish("partition", &["127.0.0.1:7102"], None), cut(vec![2], vec![0, 1, 3]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        for (word, members, reason) in [
            ("explode", &[][..], "explode is nothing"),
            ("kill", &[], "needs a member"),
            ("kill", &["127.0.0.1:9"], "127.0.0.1:9 is no member"),
            ("ask", &["127.0.0.1:7100", "127.0.0.1:7101"], "one member"),
            ("load", &[], "a rate from 0"),
        ] {
            let refused = wish(word, members, None).unwrap_err();
            assert!(refused.contains(reason), "{word}: {refused}");
        }
        assert!(wish("load", &[], Some(DEV_LOAD_RATE_MAX + 1)).is_err());
    }
}
