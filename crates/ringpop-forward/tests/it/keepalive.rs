//! PINGs within the rules of gRPC servers (gRFC A8), and fewer when one complains.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::cluster::{Node, Ring, builder, listener};
use crate::common::service::{Ask, ONCE};
use crate::common::{eventually, soon};
use ringpop_forward::{H2Config, H2Transport};

const PING: u8 = 6;
const ACK: u8 = 1;

/// Stands before a server and does with PINGs what grpc-go does: one that comes too soon after the
/// one before is a strike, data from the server forgives all strikes, and the third ends the
/// connection with GOAWAY.
#[derive(Clone, Default)]
struct Enforcer {
    /// Shortest time between two PINGs.
    min: Duration,
    pings: Arc<AtomicU64>,
    complaints: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Enforcer {
    async fn before(target: &str, min: Duration) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (target, enforcer) = (target.to_owned(), Self { min, ..Self::default() });
        let accepting = enforcer.clone();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::AcqRel);
                let to = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(accepting.clone().carry(from, to));
            }
        });
        (enforcer, address)
    }

    async fn carry(self, from: TcpStream, to: TcpStream) {
        from.set_nodelay(true).unwrap();
        to.set_nodelay(true).unwrap();
        let (mut from_read, mut from_write) = from.into_split();
        let (mut to_read, mut to_write) = to.into_split();
        let strikes = Arc::new(AtomicU64::new(0));
        let forgiving = Arc::clone(&strikes);
        let back = tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(read @ 1..) = to_read.read(&mut bytes).await {
                // PINGs and their answers are all that is as short as this.
                if read > 17 {
                    forgiving.store(0, Ordering::Release);
                }
                if from_write.write_all(&bytes[..read]).await.is_err() {
                    break;
                }
            }
            from_write
        });
        let mut preface = [0; 24];
        from_read.read_exact(&mut preface).await.unwrap();
        to_write.write_all(&preface).await.unwrap();
        let mut last: Option<Instant> = None;
        loop {
            let mut frame = vec![0; 9];
            if from_read.read_exact(&mut frame).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
            let (kind, flags) = (frame[3], frame[4]);
            frame.resize(9 + length, 0);
            if from_read.read_exact(&mut frame[9..]).await.is_err() {
                return;
            }
            if kind == PING && flags & ACK == 0 {
                self.pings.fetch_add(1, Ordering::AcqRel);
                let too_soon = last.is_some_and(|last| last.elapsed() < self.min);
                last = Some(Instant::now());
                if too_soon && strikes.fetch_add(1, Ordering::AcqRel) == 2 {
                    break;
                }
            }
            if to_write.write_all(&frame).await.is_err() {
                return;
            }
        }
        self.complaints.fetch_add(1, Ordering::AcqRel);
        drop(to_write);
        let mut from_write = back.await.unwrap();
        // GOAWAY: no stream is the last one, ENHANCE_YOUR_CALM.
        let mut goaway = vec![0, 0, 22, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11];
        goaway.extend(b"too_many_pings");
        let _ = from_write.write_all(&goaway).await;
    }
}

fn asking(ring: &Ring, config: H2Config) -> Node {
    let (socket, address) = listener();
    let transport = H2Transport::new(config).unwrap();
    Node::start_on(socket, &address, builder(&address, ring).transport(transport))
}

#[test]
fn the_defaults_are_what_servers_allow() {
    let five_minutes = Duration::from_secs(300);
    assert!(ringpop_forward::KEEPALIVE_INTERVAL > five_minutes);
    assert_eq!(
        H2Config::default(),
        H2Config::default()
            .keepalive_interval(ringpop_forward::KEEPALIVE_INTERVAL)
            .keepalive_when_idle(false)
    );
}

#[tokio::test]
async fn a_server_that_complains_gets_half_as_many_pings() {
    let (ring, own) = (Ring::default(), Ring::default());
    let owner = Node::start(&own);
    own.set("k", &[&owner.address]);
    let (enforcer, address) = Enforcer::before(&owner.address, Duration::from_millis(300)).await;
    ring.set("k", &[&address]);
    // 100 ms and 200 ms are too often, and 400 ms are not. The owner's own PINGs are far slower.
    let config = H2Config::default().keepalive_interval(Duration::from_millis(100));
    let asked = asking(&ring, config);
    let mut client = asked.client().await;
    for complaint in 1..=2 {
        let call = client.unary_at(ONCE, Ask::new("k", "hang"));
        soon("the connection ends", call).await.unwrap_err();
        eventually("it is noticed", || asked.forwarder.stats().pings_unwanted == complaint).await;
    }
    let before = enforcer.pings.load(Ordering::Acquire);
    let call = tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", "wait")).await });
    eventually("several pings", || enforcer.pings.load(Ordering::Acquire) > before + 5).await;
    owner.handler.go.add_permits(1);
    soon("call", call).await.unwrap().unwrap();
    assert_eq!(asked.forwarder.stats().pings_unwanted, 2);
}

#[tokio::test]
async fn without_calls_there_are_no_pings_unless_they_are_wanted() {
    let ring = Ring::default();
    let own = Ring::default();
    let owner = Node::start(&own);
    own.set("k", &[&owner.address]);
    for (config, pings_when_idle) in
        [(H2Config::default(), false), (H2Config::between_members(), true)]
    {
        let (enforcer, address) = Enforcer::before(&owner.address, Duration::ZERO).await;
        own.set("k", &[&owner.address]);
        ring.set("k", &[&address]);
        let asked = asking(&ring, config.keepalive_interval(Duration::from_millis(20)));
        asked.client().await.unary(Ask::new("k", "")).await.unwrap();
        let pings = || enforcer.pings.load(Ordering::Acquire);
        if pings_when_idle {
            eventually("pings", || pings() > 5).await;
        } else {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // One proves that the connection is open, and another may have gone out during the
            // call.
            assert!(pings() <= 2, "{} pings on an idle connection", pings());
            let mut client = asked.client().await;
            let call = tokio::spawn(async move { client.unary(Ask::new("k", "wait")).await });
            eventually("pings", || pings() > 5).await;
            owner.handler.go.add_permits(1);
            soon("call", call).await.unwrap().unwrap();
        }
    }
}
