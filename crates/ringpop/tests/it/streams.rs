//! Streams of a cluster whose keys move when members come and go.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::{Key, MOVED_TO_HEADER, Ownership, Routes, Tls};
use ringpop::swim::Config;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc, ServerStreamingService, StreamingService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::certificates::{authority, certificates};

/// Only a failure waits this long: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tells who handles the key, and nothing more.
const WATCH: &str = "/test.v1.Streams/Watch";
/// Answers each message with who handles it.
const CHAT: &str = "/test.v1.Streams/Chat";
/// As [`WATCH`], and tells when the key is lost.
const FOLLOW: &str = "/test.v1.Streams/Follow";

type Codec = ProstCodec<String, String>;
type Names = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Names>, Status>> + Send>>;

/// The service of a member that has this address. Messages are keys.
#[derive(Clone)]
struct Streams(String);

service!(Streams, "test.v1.Streams");

impl Streams {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        let Self(name) = self;
        let mut grpc = Grpc::new(Codec::default());
        match request.uri().path() {
            WATCH => grpc.server_streaming(Watch { name, tells_loss: false }, request).await,
            FOLLOW => grpc.server_streaming(Watch { name, tells_loss: true }, request).await,
            CHAT => grpc.streaming(Chat(name), request).await,
            _ => Status::unimplemented("no such method").into_http(),
        }
    }
}

struct Watch {
    name: String,
    tells_loss: bool,
}

impl ServerStreamingService<String> for Watch {
    type Response = String;
    type ResponseStream = Names;
    type Future = Answer;

    fn call(&mut self, request: Request<String>) -> Answer {
        let (name, tells_loss) = (self.name.clone(), self.tells_loss);
        let ownership = request.extensions().get::<Ownership>().cloned().unwrap();
        assert_eq!(ownership.key(), &Key::from(request.get_ref().clone()));
        Box::pin(async move {
            let (send, sent) = mpsc::channel(1);
            tokio::spawn(async move {
                let _ = send.send(Ok(name)).await;
                tokio::select! {
                    () = send.closed() => {}
                    owner = ownership.lost(), if tells_loss => {
                        let _ = send.send(Ok(format!("lost to {owner:?}"))).await;
                    }
                }
            });
            Ok(Response::new(Box::pin(ReceiverStream::new(sent)) as Names))
        })
    }
}

struct Chat(String);

impl StreamingService<String> for Chat {
    type Response = String;
    type ResponseStream = Names;
    type Future = Answer;

    fn call(&mut self, request: Request<Streaming<String>>) -> Answer {
        let name = self.0.clone();
        Box::pin(async move {
            let names = request.into_inner().map(move |message| message.map(|_| name.clone()));
            Ok(Response::new(Box::pin(names) as Names))
        })
    }
}

/// A cluster that may grow.
struct Cluster {
    addresses: Vec<SocketAddr>,
    members: Vec<Ringpop>,
    /// To each member.
    channels: Vec<Channel>,
    tls: Option<Tls>,
    keeps: bool,
    _certificates: tempfile::TempDir,
}

impl Cluster {
    /// Starts all but one of four members.
    async fn start(tls: bool, keeps: bool) -> Self {
        let listeners: Vec<_> =
            (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        drop(listeners);
        let directory = tempfile::tempdir().unwrap();
        let tls = tls.then(|| Tls::new(certificates(&authority(), directory.path())).unwrap());
        let mut cluster = Self {
            addresses,
            members: Vec::new(),
            channels: Vec::new(),
            tls,
            keeps,
            _certificates: directory,
        };
        for _ in 0..3 {
            cluster.bind().await;
        }
        for member in &cluster.members {
            timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
        }
        cluster.agree().await;
        cluster
    }

    async fn bind(&mut self) {
        let text = self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let [watch, chat] =
            [WATCH, CHAT].map(|path| ringpop::forward::MethodRoute::field(path, &[1]));
        let table = if self.keeps {
            [watch, chat]
        } else {
            [watch.end_when_moved(), chat.end_when_moved()]
        };
        let mut builder = Ringpop::builder("test")
            .listen(self.addresses[self.members.len()])
            .discovery(Arc::new(StaticList::parse(&text).unwrap()))
            .routes(Routes::new().table(&table).field(FOLLOW, &[1]))
            .config(Config::local());
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.clone());
        }
        let member = builder.bind().await.unwrap();
        let service = Streams(member.whoami().to_owned());
        member.serve(tonic::service::Routes::new(service)).unwrap();
        let endpoint: Endpoint = format!("http://{}", member.whoami()).parse().unwrap();
        self.channels.push(match &self.tls {
            Some(tls) => tls.channel(&endpoint),
            None => endpoint.connect_lazy(),
        });
        self.members.push(member);
    }

    /// Waits until all members have one ring of all.
    async fn agree(&self) {
        let agree = async {
            let members = &self.members;
            while members.iter().any(|member| {
                let view = member.view();
                view.ring.len() != members.len()
                    || view.ring_checksum != members[0].view().ring_checksum
            }) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, agree).await.expect("the members agree");
    }

    async fn join_another(&mut self) {
        self.bind().await;
        timeout(PATIENCE, self.members[3].bootstrap()).await.unwrap().unwrap();
        self.agree().await;
    }

    /// A client of a member that does not own `key`.
    fn client(&self, key: &str) -> Client<Channel> {
        let asked = self.members.iter().position(|member| !member.owns(key.as_bytes()));
        Client::new(self.channels[asked.unwrap()].clone())
    }

    /// A stream of `key`, asked of a member that does not own it, and the address of its owner.
    async fn watch(&self, path: &'static str, key: &str) -> (Streaming<String>, String) {
        let mut client = self.client(key);
        timeout(PATIENCE, client.ready()).await.expect("it connects").unwrap();
        let (request, path) = (Request::new(key.to_owned()), PathAndQuery::from_static(path));
        let streams = client.server_streaming(request, path, Codec::default());
        let mut names = timeout(PATIENCE, streams).await.unwrap().unwrap().into_inner();
        let name = next(&mut names).await.unwrap().unwrap();
        assert_eq!(Some(name.as_str()), self.members[0].lookup(key.as_bytes()).as_deref());
        (names, name)
    }

    async fn chat(&self, key: &str) -> (mpsc::Sender<String>, Streaming<String>) {
        let (say, said) = mpsc::channel(4);
        say.send(key.to_owned()).await.unwrap();
        let mut client = self.client(key);
        timeout(PATIENCE, client.ready()).await.expect("it connects").unwrap();
        let (request, path) =
            (Request::new(ReceiverStream::new(said)), PathAndQuery::from_static(CHAT));
        let chat = client.streaming(request, path, Codec::default());
        let names = timeout(PATIENCE, chat).await.unwrap().unwrap().into_inner();
        (say, names)
    }
}

async fn next(names: &mut Streaming<String>) -> Option<Result<String, Status>> {
    timeout(PATIENCE, names.next()).await.expect("the stream goes on or ends")
}

fn keys() -> Vec<String> {
    (0..40).map(|i| format!("key-{i}")).collect()
}

fn assert_moved(end: Option<Result<String, Status>>, owner: &str) {
    let status = end.expect("it does not end well").unwrap_err();
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    assert!(status.message().contains(owner), "{status:?}");
    let moved_to = status.metadata().get(MOVED_TO_HEADER.as_str()).unwrap();
    assert_eq!(moved_to.to_str().unwrap(), owner);
}

/// Of streams of many keys, those whose key moves to a member that joins end, and the others go on.
async fn a_member_joins(tls: bool) {
    let mut cluster = Cluster::start(tls, false).await;
    let mut watches = Vec::new();
    for key in keys() {
        let (names, owner) = cluster.watch(WATCH, &key).await;
        watches.push((key, names, owner));
    }
    cluster.join_another().await;
    let newcomer = cluster.members[3].whoami().to_owned();
    let mut kept = Vec::new();
    let mut moved = 0;
    for (key, mut names, owner) in watches {
        if cluster.members[0].lookup(key.as_bytes()).as_deref() == Some(owner.as_str()) {
            kept.push(names);
            continue;
        }
        moved += 1;
        assert_moved(next(&mut names).await, &newcomer);
        assert_eq!(cluster.watch(WATCH, &key).await.1, newcomer, "a new stream comes to the owner");
    }
    assert!(moved > 0 && !kept.is_empty(), "{moved} of 40 keys moved");
    for names in &mut kept {
        let silent = timeout(Duration::from_millis(1), names.next()).await;
        assert!(silent.is_err(), "a stream whose key stayed ended: {silent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_a_member_that_joins_takes_their_keys() {
    a_member_joins(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_over_tls_end_just_the_same() {
    a_member_joins(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_ends_its_streams_and_is_not_held_up_by_them() {
    let cluster = Cluster::start(false, false).await;
    let key = "key-1";
    let (say, mut names) = cluster.chat(key).await;
    let owner = next(&mut names).await.unwrap().unwrap();
    let leaving = cluster.members.iter().find(|member| member.whoami() == owner).unwrap();
    let next_owner = leaving.lookup_n(key.as_bytes(), 2).remove(1);
    let report = timeout(PATIENCE, leaving.shutdown(PATIENCE * 2)).await.unwrap();
    assert_eq!(report.cut_off, 0);
    assert_moved(next(&mut names).await, &next_owner);
    timeout(PATIENCE, say.closed()).await.expect("both directions have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_streams_go_on_and_their_handlers_learn_of_the_move() {
    let mut cluster = Cluster::start(false, true).await;
    let (mut chats, mut follows) = (Vec::new(), Vec::new());
    for key in keys() {
        let (say, mut names) = cluster.chat(&key).await;
        let owner = next(&mut names).await.unwrap().unwrap();
        chats.push((say, names, owner));
        follows.push((key.clone(), cluster.watch(FOLLOW, &key).await));
    }
    cluster.join_another().await;
    for (say, names, owner) in &mut chats {
        say.send("more".to_owned()).await.unwrap();
        assert_eq!(next(names).await.unwrap().unwrap(), *owner);
    }
    let newcomer = cluster.members[3].whoami();
    let mut lost = 0;
    for (key, (mut names, _)) in follows {
        if cluster.members[3].owns(key.as_bytes()) {
            lost += 1;
            let told = next(&mut names).await.unwrap().unwrap();
            assert!(told.starts_with("lost to") && told.contains(newcomer), "{told}");
        }
    }
    assert!(lost > 0);
}

/// With a stop, and without one, a task that waits for a key of a member learns that nobody owns it
/// any more.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_keys_of_a_member_that_is_gone() {
    for graceful in [true, false] {
        let member = Ringpop::builder("test").bind().await.unwrap();
        member.serve(tonic::service::Routes::default()).unwrap();
        member.bootstrap().await.unwrap();
        let mut waits = tokio::task::JoinSet::new();
        for key in keys() {
            let ownership = member.ownership(key);
            assert!(ownership.is_held());
            waits.spawn(async move { ownership.lost().await });
        }
        if graceful {
            member.shutdown(PATIENCE).await;
            assert_eq!(member.lookup(b"key"), None, "it does not learn any more who owns what");
        }
        drop(member);
        let owners = timeout(PATIENCE, waits.join_all()).await.expect("all are told");
        assert!(owners.iter().all(Option::is_none), "{owners:?}");
    }
}
