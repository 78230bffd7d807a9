//! HTTP/1 and axum beside gRPC, and further listeners for clients.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http_body_util::BodyExt as _;
use ringpop::admin_client::{AdminClient, GetStatusRequest, LeaveRequest};
use ringpop::forward::{Routes, incoming};
use ringpop::swim::Status;
use ringpop::testing::Cluster;
use ringpop::{AdminAccess, FrontEnd, Ringpop};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes as Services;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;
use tower::util::MapRequestLayer;

use crate::echo::{Echo, METHOD, call};

const PATIENCE: Duration = Duration::from_secs(60);

const DRIVER: &str = "/drivers/{id}";

/// Axum routes that tell which member answers, beside a service of gRPC.
fn services(name: &str) -> Services {
    let name = name.to_owned();
    let router = Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route(DRIVER, get(move |Path(id): Path<String>| async move { format!("{id} at {name}") }));
    Services::from(router).add_service(Echo)
}

/// The driver in the path of a request is its key.
fn routes() -> Routes {
    let driver =
        |head: &http::request::Parts| head.uri.path().strip_prefix("/drivers/").map(Into::into);
    Routes::new().header(METHOD).unary().any_head(driver)
}

async fn two() -> Cluster {
    Cluster::builder(2)
        .settings(|_, builder| builder.routes(routes()).http1(true))
        .services(|_, member| services(member.whoami()))
        .start()
        .await
        .unwrap()
}

/// A driver whose owner is not this member.
fn elsewhere(member: &Ringpop) -> String {
    (0..20).map(|id| id.to_string()).find(|id| !member.owns(id.as_bytes())).unwrap()
}

/// The body of the answer to a GET over HTTP/1.
async fn get_http1<S>(mut stream: S, path: &str, more: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let request = format!("GET {path} HTTP/1.1\r\nhost: rides\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

/// The body of the answer to a GET over HTTP/2.
async fn get_http2(channel: Channel, path: &str) -> String {
    let request = http::Request::get(format!("http://rides{path}")).body(Body::empty()).unwrap();
    let response = timeout(PATIENCE, channel.oneshot(request)).await.unwrap().unwrap();
    assert!(response.status().is_success());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn connect(address: &str) -> Channel {
    Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn connect_unix(path: std::path::PathBuf) -> Channel {
    let url = format!("unix://{}", path.display());
    Endpoint::try_from(url).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn axum_and_grpc_share_the_port_over_both_versions_of_http() {
    let cluster = two().await;
    let (member, other) = (cluster.member(0), cluster.address(1));
    let id = elsewhere(member);
    let path = format!("/drivers/{id}");
    for (path, expected) in [("/plain", "plain".to_owned()), (&*path, format!("{id} at {other}"))] {
        let stream = TcpStream::connect(member.whoami()).await.unwrap();
        assert_eq!(get_http1(stream, path, "").await.trim(), expected);
        assert_eq!(get_http2(connect(member.whoami()).await, path).await, expected);
    }
    call(&mut connect(member.whoami()).await, &id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_is_refused_unless_it_was_asked_for() {
    let member = Ringpop::builder("test").bind().await.unwrap();
    member.serve(services("here")).unwrap();
    let mut stream = TcpStream::connect(member.whoami()).await.unwrap();
    stream.write_all(b"GET /plain HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
}

/// A front end on a Unix socket, and what stops it.
struct OnSocket {
    path: std::path::PathBuf,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    _directory: tempfile::TempDir,
}

fn on_socket(member: &Ringpop, services: Services) -> OnSocket {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("front");
    let connections = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
    let layer = MapRequestLayer::new(|mut request: http::Request<Body>| {
        request.headers_mut().insert("x-layer", "seen".parse().unwrap());
        request
    });
    let front = FrontEnd::new(member, services).http1(true).layer(layer);
    let (stop, stopped) = oneshot::channel();
    let serving =
        tokio::spawn(async move { front.serve(connections, async { drop(stopped.await) }).await });
    OnSocket { path, stop, serving, _directory: directory }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_leads_to_the_owners_of_keys() {
    let cluster = two().await;
    let (member, other) = (cluster.member(0), cluster.address(1));
    let front = on_socket(member, services(member.whoami()));
    let id = elsewhere(member);
    call(&mut connect_unix(front.path.clone()).await, &id).await.unwrap();
    let before = member.forward_stats().forwarded;
    assert!(before >= 1);
    let path = format!("/drivers/{id}");
    let stream = UnixStream::connect(&front.path).await.unwrap();
    assert_eq!(get_http1(stream, &path, "").await.trim(), format!("{id} at {other}"));
    assert_eq!(member.forward_stats().forwarded, before + 1);

    front.stop.send(()).unwrap();
    timeout(PATIENCE, front.serving).await.unwrap().unwrap().unwrap();
    // The member goes on.
    call(&mut connect(member.whoami()).await, &id).await.unwrap();
}

/// On the port of a member without certificates everybody is believed; on a front end nobody is.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_front_end_is_never_taken_for_a_member() {
    let cluster = two().await;
    let (member, other) = (cluster.member(0), cluster.address(1));
    let front = on_socket(member, services(member.whoami()));
    let id = elsewhere(member);
    let path = format!("/drivers/{id}");
    let claim = "ringpop-fwd: 1;h=1;e=0;f=10.0.0.9:1;s=1\r\n";
    let stream = TcpStream::connect(member.whoami()).await.unwrap();
    let believed = get_http1(stream, &path, claim).await;
    assert_eq!(believed.trim(), format!("{id} at {}", member.whoami()));
    let stream = UnixStream::connect(&front.path).await.unwrap();
    assert_eq!(get_http1(stream, &path, claim).await.trim(), format!("{id} at {other}"));

    // Neither the protocol nor administration is there.
    let mut admin = AdminClient::new(connect_unix(front.path.clone()).await);
    let status = admin.get_status(GetStatusRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let ping = http::Request::post("/ringpop.v1.Membership/Ping")
        .header("content-type", "application/grpc")
        .body(Body::empty())
        .unwrap();
    let answer = connect_unix(front.path.clone()).await.oneshot(ping).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_has_a_port_of_its_own_with_an_access_of_its_own() {
    let member = Ringpop::builder("test").bind().await.unwrap();
    member.serve(Services::default()).unwrap();
    member.bootstrap().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let admin = member.admin_service(AdminAccess::read_only().loopback());
    let front = FrontEnd::new(&member, Services::new(admin));
    let serving =
        tokio::spawn(async move { front.serve(incoming(listener), std::future::pending()).await });
    let leave = || LeaveRequest {};
    let mut at_member = AdminClient::new(connect(member.whoami()).await);
    let refused = at_member.leave(leave()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut at_port = AdminClient::new(connect(&address).await);
    at_port.leave(leave()).await.unwrap();
    let mut views = member.views();
    let left = views.wait_for(|view| {
        view.member(member.whoami()).is_some_and(|own| own.status == Status::Leave)
    });
    timeout(PATIENCE, left).await.unwrap().unwrap();
    // It ends with the member.
    member.shutdown(PATIENCE).await;
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_taken_over_a_unix_socket_where_that_is_allowed() {
    let member = Ringpop::builder("test").bind().await.unwrap();
    member.serve(Services::default()).unwrap();
    member.bootstrap().await.unwrap();
    for (access, allowed) in [
        (AdminAccess::read_only().loopback(), false),
        (AdminAccess::read_only().unix_socket(), true),
    ] {
        let front = on_socket(&member, Services::new(member.admin_service(access)));
        let mut admin = AdminClient::new(connect_unix(front.path.clone()).await);
        admin.get_status(GetStatusRequest {}).await.unwrap();
        let left = admin.leave(LeaveRequest {}).await;
        assert_eq!(left.is_ok(), allowed, "{left:?}");
    }
}
