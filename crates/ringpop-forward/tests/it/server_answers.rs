//! Answers of servers that are not written with tonic: where the status stands, and what they say
//! about being asked again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, ONCE, Seen};

/// What a hand-made server answers to every call: head, a message or none, trailers or none.
#[derive(Clone, Default)]
struct Script {
    head: Vec<(&'static str, &'static str)>,
    message: Option<Bytes>,
    trailers: Option<Vec<(&'static str, &'static str)>>,
    /// Breaks the stream instead of ending it.
    breaks: bool,
}

async fn play(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(io).await.unwrap();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    answer(&script, respond);
                }
            });
        }
    });
    address
}

fn answer(script: &Script, mut respond: h2::server::SendResponse<Bytes>) {
    let mut head = Response::builder().header("content-type", "application/grpc");
    for (name, value) in &script.head {
        head = head.header(*name, *value);
    }
    let ends = script.message.is_none() && script.trailers.is_none() && !script.breaks;
    let mut body = respond.send_response(head.body(()).unwrap(), ends).unwrap();
    if let Some(message) = &script.message {
        body.send_data(message.clone(), false).unwrap();
    }
    if script.breaks {
        body.send_reset(h2::Reason::INTERNAL_ERROR);
    } else if let Some(trailers) = &script.trailers {
        let trailers: HeaderMap = trailers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        body.send_trailers(trailers).unwrap();
    }
}

/// Calls a key whose first owner answers by `script`. Gives the result and how often the second
/// owner was asked.
async fn asked_again(script: Script, method: &'static str) -> (Result<String, tonic::Status>, u64) {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&play(script).await, &second.address]);
    let mut client = asked.client().await;
    let result = client.unary_at(method, Ask::new("k", "")).await;
    (result.map(|tell| tell.into_inner().node), Seen::get(&second.seen().begun))
}

const UNAVAILABLE: (&str, &str) = ("grpc-status", "14");

#[tokio::test]
async fn a_status_in_trailers_without_a_message_is_tried_elsewhere_like_one_in_the_head() {
    let in_head = Script { head: vec![UNAVAILABLE], ..Script::default() };
    let in_trailers = Script { trailers: Some(vec![UNAVAILABLE]), ..Script::default() };
    for script in [in_head, in_trailers] {
        let (result, asked) = asked_again(script.clone(), crate::common::service::UNARY).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(asked, 1);
        let (result, asked) = asked_again(script, ONCE).await;
        assert_eq!(result.unwrap_err().code(), tonic::Code::Unavailable);
        assert_eq!(asked, 0, "it may have been executed");
    }
}

#[tokio::test]
async fn other_statuses_and_whatever_follows_a_message_stay_what_they_are() {
    let other = Script { trailers: Some(vec![("grpc-status", "9")]), ..Script::default() };
    let (result, asked) = asked_again(other, crate::common::service::UNARY).await;
    assert_eq!((result.unwrap_err().code(), asked), (tonic::Code::FailedPrecondition, 0));
    let late = Script {
        message: Some(Bytes::from_static(&[0, 0, 0, 0, 0])),
        trailers: Some(vec![UNAVAILABLE]),
        ..Script::default()
    };
    let (result, asked) = asked_again(late, crate::common::service::UNARY).await;
    assert_eq!((result.unwrap_err().code(), asked), (tonic::Code::Unavailable, 0));
}

#[tokio::test]
async fn a_response_that_breaks_before_its_message_may_have_been_executed() {
    let broken = Script { breaks: true, ..Script::default() };
    let (result, asked) = asked_again(broken.clone(), crate::common::service::UNARY).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(asked, 1);
    let (result, asked) = asked_again(broken, ONCE).await;
    assert_eq!((result.unwrap_err().code(), asked), (tonic::Code::Unavailable, 0));
}

#[tokio::test]
async fn a_server_that_asks_not_to_be_asked_again_is_obeyed_and_one_that_asks_for_time_gets_it() {
    let pushed = |value| vec![UNAVAILABLE, ("grpc-retry-pushback-ms", value)];
    let never = Script { head: pushed("-1"), ..Script::default() };
    let (result, asked) = asked_again(never, crate::common::service::UNARY).await;
    assert_eq!((result.unwrap_err().code(), asked), (tonic::Code::Unavailable, 0));
    for script in [
        Script { head: pushed("120"), ..Script::default() },
        Script { trailers: Some(pushed("120")), ..Script::default() },
    ] {
        let begin = Instant::now();
        let (result, asked) = asked_again(script, crate::common::service::UNARY).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(asked, 1);
        assert!(begin.elapsed() >= Duration::from_millis(120));
    }
}
