//! Answers to gRPC calls that no gRPC server gave.

use bytes::Bytes;
use http::Response;
use tokio::net::TcpListener;
use tonic::Code;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, ONCE, Seen};
use crate::common::soon;

/// A server of pages with this status and content type. `with_body` is what a proxy sends; without,
/// the head is all.
async fn page(status: u16, content_type: &'static str, with_body: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(io).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut head = Response::builder().status(status).header("x-page", "yes");
                    if !content_type.is_empty() {
                        head = head.header("content-type", content_type);
                    }
                    if with_body {
                        head = head.header("content-length", "17");
                    }
                    let Ok(mut body) = respond.send_response(head.body(()).unwrap(), !with_body)
                    else {
                        continue;
                    };
                    if with_body {
                        let _ = body.send_data(Bytes::from_static(b"<html>No!</html>\n"), true);
                    }
                }
            });
        }
    });
    address
}

/// What becomes of a call whose first owner answers with such a page.
async fn call_behind(page: &str, path: &'static str) -> (Result<String, (Code, String)>, Node) {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[page, &second.address]);
    let mut client = asked.client().await;
    let told = soon("call", client.unary_at(path, Ask::new("k", ""))).await;
    let told = told
        .map(|tell| tell.into_inner().node)
        .map_err(|status| (status.code(), status.message().to_owned()));
    if let Ok(node) = &told {
        assert_eq!(*node, second.address);
    }
    assert_eq!(Seen::get(&second.seen().begun), u64::from(told.is_ok()));
    (told, asked)
}

const UNARY: &str = crate::common::service::UNARY;

#[tokio::test]
async fn what_a_proxy_answers_for_an_owner_is_unavailable_and_tried_elsewhere() {
    for status in [429, 502, 503, 504] {
        for (content_type, with_body) in [
            ("text/html", true),
            ("", true),
            ("application/json", false),
            ("application/grpc", true),
        ] {
            let page = page(status, content_type, with_body).await;
            let (told, asked) = call_behind(&page, UNARY).await;
            assert!(told.is_ok(), "{status} {content_type:?}: {told:?}");
            assert_eq!(asked.forwarder.stats().retries_unavailable, 1);
        }
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_executed_gets_the_status_that_stands_for_the_page() {
    for (status, code) in [(429, Code::Unavailable), (503, Code::Unavailable)] {
        let page = page(status, "text/html", true).await;
        let (told, _asked) = call_behind(&page, ONCE).await;
        let (told, message) = told.unwrap_err();
        assert_eq!(told, code, "{message}");
        assert!(message.contains(&format!("HTTP {status}")), "{message}");
        assert!(message.contains(&page) && message.contains("text/html"), "{message}");
    }
}

#[tokio::test]
async fn other_pages_have_their_codes_and_are_final() {
    for (status, content_type, code) in [
        (200, "text/html", Code::Unknown),
        (400, "text/html", Code::Internal),
        (401, "text/html", Code::Unauthenticated),
        (403, "text/plain", Code::PermissionDenied),
        (404, "text/html", Code::Unimplemented),
        (500, "application/json", Code::Unknown),
    ] {
        let page = page(status, content_type, true).await;
        let (told, asked) = call_behind(&page, UNARY).await;
        assert_eq!(told.unwrap_err().0, code, "{status}");
        assert_eq!(asked.forwarder.stats().broken_responses, 0, "{status}");
    }
}

/// A stream's response is not read ahead, which is another way through the code.
#[tokio::test]
async fn streams_get_the_status_too() {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    ring.set("k", &[&page(502, "text/html", true).await]);
    let mut client = asked.client().await;
    let status =
        soon("download", client.download(Ask::new("k", "1"))).await.map(|_| ()).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("HTTP 502"), "{status:?}");
    assert_eq!(status.metadata().get("x-page").unwrap(), "yes", "what the page says stays");
}

#[cfg(feature = "hashring")]
#[tokio::test]
async fn a_backend_that_is_only_a_page_is_passed_over_and_one_that_denies_is_not() {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use crate::common::cluster::routes;
    use crate::common::service::TestClient;
    use hashring::{BackendRecord, HealthConfig, Selector};
    use ringpop_forward::{Forwarder, SelectorResolver};

    let window = Duration::from_secs(3600);
    for (status, path, is_passed_over) in
        [(502, UNARY, true), (502, ONCE, true), (500, UNARY, true), (401, UNARY, false)]
    {
        let live = Node::start_with(&Ring::default(), |b| b.routes(Default::default()));
        let page = page(status, "text/html", true).await;
        let health = HealthConfig::default().with_window(window);
        let selector = Selector::builder().health(health).build(Instant::now()).unwrap();
        let selector = Arc::new(selector);
        let backends = [("page", &page), ("live", &live.address)];
        let records = backends.map(|(id, address)| BackendRecord::new(id, address.as_str()));
        selector.replace_backends(records).unwrap();
        let resolver = SelectorResolver::new(Arc::clone(&selector));
        let forwarder = Forwarder::builder(resolver).routes(routes()).build().unwrap();
        let mut client = TestClient::new(forwarder.channel());
        let is_at_page = |key: &String| {
            selector.ring().lookup(key.as_bytes()).is_some_and(|node| node.id() == "page")
        };
        let key = (0..).map(|i| format!("key-{i}")).find(is_at_page).unwrap();
        for _ in 0..3 {
            let told = soon("call", client.unary_at(path, Ask::new(&key, ""))).await;
            assert_eq!(told.is_ok(), status == 502 && path == UNARY, "{status}");
        }
        let ring = selector.ring();
        let health = ring.node("page").unwrap().data().health();
        assert_eq!(health.is_quarantined(Instant::now()), is_passed_over, "{status}");
        if is_passed_over {
            soon("call", client.unary_at(ONCE, Ask::new(&key, ""))).await.unwrap();
        }
    }
}
