//! A crowd: members that answer like living ones and are one small server.
//!
//! A thousand processes do not fit on the machine. To one member they look like this: addresses
//! 127.1.x.y on one port, each of which answers pings and lets the member join.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use http::uri::PathAndQuery;
use ringpop::discovery::StaticList;
use ringpop::forward::ConnectionEnds;
use ringpop::swim::wire::{from_proto, pb, to_proto};
use ringpop::swim::{
    Address, Body as Content, Change, Config, Labels, Member, Message, Status as MemberStatus,
};
use ringpop::tonic::service::Routes as Services;
use ringpop::{PlacementChoice, Ringpop};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::measure::until;

const APP: &str = "bench";
const EXCHANGE: &str = "/ringpop.v1.Membership/Exchange";

/// The member under test among so many that the crowd stands for.
pub(crate) struct Crowd {
    pub(crate) member: Ringpop,
    members: Vec<Member>,
    placement: PlacementChoice,
    exchange: tonic::client::Grpc<Channel>,
    seq: u64,
}

impl Crowd {
    /// A member of a cluster of `size` by `placement`.
    pub(crate) async fn gather(size: usize, placement: PlacementChoice) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let members: Vec<Member> = (0..size - 1).map(|i| member(i, port, placement, 1)).collect();
        let crowd = CrowdServer { members: Arc::new(members.clone()) };
        let server = tonic::transport::Server::builder().add_service(crowd);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(server.serve_with_incoming(incoming));
        let seed = StaticList::from_addresses([members[0].address.as_str()])?;
        let config = Config::lan().to_builder().protocol_period(Duration::from_secs(1)).build()?;
        let under_test = Ringpop::builder(APP)
            .config(config)
            .placement(placement)
            .discovery(Arc::new(seed))
            .metrics(true)
            .bind()
            .await?;
        under_test.serve(Services::default())?;
        under_test.bootstrap().await?;
        let view = under_test.clone();
        until("the crowd is on the ring", || view.view().ring.len() == size).await?;
        ensure!(under_test.view().ring.placement() == placement, "the crowd asks for it, too");
        let endpoint: Endpoint = format!("http://{}", under_test.whoami()).parse()?;
        let exchange = tonic::client::Grpc::new(endpoint.tcp_nodelay(true).connect().await?);
        Ok(Self { member: under_test, members, placement, exchange, seq: 0 })
    }

    /// Tells the member under test that `n` of the crowd, from number `first` on, have another
    /// weight now: one message, as gossip would bring it.
    pub(crate) async fn change(&mut self, first: usize, n: usize) -> Result<()> {
        let mut changes = Vec::new();
        let others = self.members.len() - 1;
        for i in first..first + n {
            let member = &mut self.members[1 + i % others];
            let weight = if member.labels.get("weight") == Some("2") { "1" } else { "2" };
            member.labels = member.labels.with("weight", weight)?;
            member.incarnation += 1;
            changes.push(Change { member: member.clone(), source: None });
        }
        self.seq += 1;
        let (from, checksum) = (self.members[0].clone(), self.member.membership_checksum());
        let ping = Message {
            app: APP.into(),
            from: from.address,
            from_incarnation: from.incarnation,
            seq: self.seq,
            body: Content::Ping { checksum, changes },
        };
        self.exchange.ready().await?;
        let path = PathAndQuery::from_static(EXCHANGE);
        let codec: ProstCodec<pb::Message, pb::Message> = ProstCodec::default();
        self.exchange.unary(Request::new(to_proto(ping)), path, codec).await?;
        Ok(())
    }

    /// The placement in use.
    pub(crate) fn placement(&self) -> PlacementChoice {
        self.placement
    }
}

fn member(i: usize, port: u16, placement: PlacementChoice, weight: u32) -> Member {
    let address = format!("127.1.{}.{}:{port}", i / 250, 1 + i % 250);
    let address = Address::new(&address).expect("it is an address");
    let weight = ("weight".to_owned(), weight.to_string());
    let mut labels = vec![weight];
    if placement != PlacementChoice::default() {
        let label = ringpop::limits::PLACEMENT_LABEL.to_owned();
        labels.push((label, placement.to_string()));
    }
    let labels = Labels::new(labels).expect("two short labels");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let incarnation = u64::try_from(now.as_millis()).unwrap_or_default();
    Member::new(address, MemberStatus::Alive, incarnation, labels)
}

/// Answers for all of the crowd.
#[derive(Clone)]
struct CrowdServer {
    members: Arc<Vec<Member>>,
}

impl CrowdServer {
    fn answer(&self, request: &Message) -> Option<Content> {
        // The checksum of the asker, so it never has reason to compare lists.
        static CHECKSUM: AtomicU64 = AtomicU64::new(0);
        Some(match &request.body {
            Content::Ping { checksum, .. } => {
                CHECKSUM.store(*checksum, Ordering::Relaxed);
                Content::Ack { checksum: *checksum, changes: Vec::new() }
            }
            Content::PingReq { target, .. } => Content::PingReqAck {
                target: target.clone(),
                reached: true,
                pending: false,
                changes: Vec::new(),
            },
            Content::Join { .. } => {
                let change = |member: &Member| Change { member: member.clone(), source: None };
                let changes = self.members.iter().map(change).collect();
                let checksum = CHECKSUM.load(Ordering::Relaxed);
                Content::JoinAck { checksum, changes, next: None }
            }
            _ => return None,
        })
    }
}

impl UnaryService<pb::Message> for CrowdServer {
    type Response = pb::Message;
    type Future = Ready<Result<Response<pb::Message>, Status>>;

    fn call(&mut self, request: Request<pb::Message>) -> Self::Future {
        // The one of the crowd that was dialled answers.
        let dialled = ConnectionEnds::of(request.extensions()).local;
        let answer = from_proto(request.into_inner()).ok().and_then(|decoded| {
            let asked = decoded.message;
            let body = self.answer(&asked)?;
            let dialled = dialled?.to_string();
            let from = self.members.iter().find(|member| member.address.as_str() == dialled)?;
            let (from, from_incarnation) = (from.address.clone(), from.incarnation);
            Some(to_proto(Message {
                app: APP.into(),
                from,
                from_incarnation,
                seq: asked.seq,
                body,
            }))
        });
        ready(answer.map(Response::new).ok_or_else(|| Status::unimplemented("not in a crowd")))
    }
}

impl NamedService for CrowdServer {
    const NAME: &'static str = "ringpop.v1.Membership";
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl tower_service::Service<http::Request<Body>> for CrowdServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answers = self.clone();
        let mut grpc = Grpc::new(ProstCodec::default());
        Box::pin(async move { Ok(grpc.unary(answers, request).await) })
    }
}
