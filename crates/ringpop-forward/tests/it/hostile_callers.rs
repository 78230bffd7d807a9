//! Callers that take and give nothing: what they hold is bounded, and others are served meanwhile.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::common::cluster::{Node, Ring};
use crate::common::service::{
    Ask, CHAT, DOWNLOAD, ONCE, Seen, TestClient, TestServer, UNARY, UPLOAD, next, within,
};
use crate::common::victim::{Victim, ask_unread, begin, code, roomy, unreading};
use crate::common::{PATIENCE, eventually, raw, soon};
use ringpop_forward::{H2Config, H2Transport, ServerLimits};

const LIMIT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);
const LARGE: usize = 256 << 10;

#[tokio::test]
async fn the_number_of_streams_is_announced() {
    let ring = Ring::default();
    for (limits, expected) in
        [(ServerLimits::default(), 1024), (ServerLimits::default().streams_per_connection(7), 7)]
    {
        let victim = Victim::start(&ring, limits).await;
        let sender = raw::connect(victim.address()).await;
        eventually("SETTINGS arrive", || sender.current_max_send_streams() == expected).await;
    }
}

/// As many calls as may be in flight are begun, and nothing of them comes. Calls that go on take
/// their places.
#[tokio::test]
async fn calls_that_were_only_begun_make_room_for_others() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let limits = ServerLimits::default();
    let victim = Victim::start_with(&ring, limits, |builder| builder.max_in_flight(100)).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    let mut held = Vec::new();
    for (path, key) in [(ONCE, "there"), (UPLOAD, "here"), (CHAT, "there"), (UNARY, "")] {
        let mut sender = raw::connect(victim.address()).await;
        for _ in 0..50 {
            held.push(begin(&mut sender, victim.address(), path, key).await);
        }
    }
    eventually("all places are taken", || victim.node.forwarder.stats().in_flight >= 100).await;
    let mut client = victim.node.client().await;
    for _ in 0..20 {
        for key in ["here", "there"] {
            client.unary_at(ONCE, within(Ask::new(key, ""), LIMIT)).await.unwrap();
        }
    }
    assert!(victim.counters.server_stats().half_open_shed > 0);
}

/// Calls that begin in the process, as those of a gateway do, share the places with those that
/// callers began.
#[tokio::test]
async fn calls_that_were_only_begun_make_room_for_calls_of_the_process_itself() {
    let ring = Ring::default();
    let limits = ServerLimits::default();
    let victim = Victim::start_with(&ring, limits, |builder| builder.max_in_flight(100)).await;
    ring.set("here", &[victim.address()]);
    let mut sender = raw::connect(victim.address()).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(begin(&mut sender, victim.address(), UPLOAD, "here").await);
    }
    eventually("all places are taken", || victim.node.forwarder.stats().in_flight == 100).await;
    let own = TestServer(victim.node.handler.clone());
    let mut client = TestClient::new(victim.node.forwarder.client(own));
    for _ in 0..20 {
        client.unary_at(ONCE, Ask::new("here", "")).await.unwrap();
    }
}

/// A client that keeps all places with calls whose handlers are busy, which nobody can take back.
#[tokio::test]
async fn a_client_that_takes_all_places_keeps_no_other_one_out() {
    let ring = Ring::default();
    let limits = ServerLimits::default();
    let victim = Victim::start_with(&ring, limits, |builder| builder.max_in_flight(100)).await;
    ring.set("here", &[victim.address()]);
    let clients = [victim.node.client().await, victim.node.client().await];
    let mut flood = tokio::task::JoinSet::new();
    for call in 0..300 {
        let mut client = clients[call % 2].clone();
        // A call that is refused, or loses its place while its message is on its way, begins again.
        flood.spawn(async move {
            while let Err(status) = client.unary_at(ONCE, Ask::new("here", "wait")).await {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            }
        });
    }
    let begun = || Seen::get(&victim.node.handler.seen.begun);
    eventually("busy handlers have nearly all places", || begun() >= 90).await;
    // From the same address, over a connection of its own.
    let mut other = victim.node.client().await;
    for _ in 0..20 {
        other.unary_at(ONCE, Ask::new("here", "")).await.unwrap();
    }
    victim.node.handler.go.add_permits(300);
    while let Some(call) = flood.join_next().await {
        call.unwrap();
    }
    assert_eq!(begun(), 300 + 20);
}

/// The places of calls to one owner are shared in the same way.
#[tokio::test]
async fn a_client_that_fills_an_owner_keeps_no_other_one_from_it() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let connections = H2Config::between_members().unary_per_peer(64).streams_per_peer(64);
    let transport = H2Transport::new(connections).unwrap();
    let victim =
        Victim::start_with(&ring, ServerLimits::default(), |builder| builder.transport(transport))
            .await;
    ring.set("there", &[&owner.address]);
    let greedy = victim.node.client().await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = greedy.clone();
        flood.spawn(async move { client.unary_at(ONCE, Ask::new("there", "wait")).await });
    }
    let forwarder = &victim.node.forwarder;
    eventually("the rest is refused", || forwarder.stats().not_retried_overloaded == 36).await;
    let mut other = victim.node.client().await;
    for _ in 0..20 {
        other.unary_at(ONCE, Ask::new("there", "")).await.unwrap();
    }
    owner.handler.go.add_permits(64);
    while let Some(call) = flood.join_next().await {
        let _ = call.unwrap();
    }
    assert_eq!(Seen::get(&owner.seen().begun), 84);
}

#[tokio::test]
async fn more_calls_than_may_be_half_open_lose_the_oldest() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().half_open_calls(10)).await;
    ring.set("here", &[victim.address()]);
    let mut sender = raw::connect(victim.address()).await;
    let mut batches = Vec::new();
    for _ in 0..2 {
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(begin(&mut sender, victim.address(), UPLOAD, "here").await);
        }
        batches.push(held);
        eventually("they wait", || victim.counters.server_stats().waiting_calls >= 10).await;
    }
    eventually("the rest is shed", || victim.counters.server_stats().half_open_shed == 10).await;
    for begun in batches.remove(0) {
        assert_eq!(code(begun).await, Code::ResourceExhausted);
    }
    // The youngest one is still heard.
    let mut last = batches.remove(0).remove(0);
    last.body.send_data(raw::framed(&Ask::new("here", "")), true).unwrap();
    assert_eq!(code(last).await, Code::Ok);
}

#[tokio::test]
async fn a_first_message_that_does_not_come_is_given_up() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let asked = Node::start_with(&ring, |builder| builder.first_message_timeout(SHORT));
    ring.set("there", &[&owner.address]);
    let mut sender = raw::connect(&asked.address).await;
    // The key in the message, and the whole message of a call that is forwarded.
    for (path, key) in [(CHAT, ""), (UNARY, ""), (ONCE, "there")] {
        let begun = begin(&mut sender, &asked.address, path, key).await;
        assert_eq!(code(begun).await, Code::DeadlineExceeded, "{path}");
    }
    // A message that comes one byte at a time is late, too.
    let mut slow = begin(&mut sender, &asked.address, UNARY, "").await;
    let message = raw::framed(&Ask::new("there", "").with(vec![0; 1000]));
    let answered = async {
        for byte in &message {
            if slow.body.send_data(Bytes::copy_from_slice(&[*byte]), false).is_err() {
                break;
            }
            sleep(SHORT / 20).await;
        }
    };
    let status = tokio::join!(answered, async {
        raw::status(soon("answer", slow.response).await.unwrap()).await
    });
    assert_eq!(status.1.code(), Code::DeadlineExceeded);
    assert_eq!(asked.forwarder.stats().first_messages_late, 4);
    assert_eq!(asked.forwarder.stats().in_flight, 0);
    assert_eq!(Seen::get(&owner.seen().begun), 0);
}

#[tokio::test]
async fn a_caller_without_a_deadline_has_the_one_of_the_process() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let asked = Node::start_with(&ring, |builder| builder.max_timeout(SHORT));
    ring.set("here", &[&asked.address]);
    ring.set("there", &[&owner.address]);
    for key in ["here", "there"] {
        let response = raw::call(&asked.address, UNARY, &Ask::new(key, "hang"), &[]).await;
        assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded, "{key}");
    }
    // Another deadline stays as it is, and streams have none.
    asked.handler.go.add_permits(1);
    let patient = [("grpc-timeout", "30S")];
    let response = raw::call(&asked.address, UNARY, &Ask::new("here", "wait"), &patient).await;
    assert_eq!(raw::status(response).await.code(), Code::Ok);
    let mut tells =
        asked.client().await.download(Ask::new("there", "1 then hang")).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    sleep(2 * SHORT).await;
    assert_eq!(asked.forwarder.stats().in_flight, 1);
}

/// An upload that stops is given up, here and at another owner. One that is answered all the time
/// is not.
#[tokio::test]
async fn an_upload_that_does_not_go_on_is_given_up() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let victim = Victim::start(&ring, ServerLimits::default().upload_idle_timeout(SHORT)).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    for key in ["here", "there"] {
        let begun = raw::begin(victim.address(), UPLOAD, &Ask::new(key, "")).await;
        assert_eq!(code(begun).await, Code::DeadlineExceeded, "{key}");
    }
    eventually("all is over", || victim.node.forwarder.stats().in_flight == 0).await;
    assert_eq!(victim.counters.server_stats().uploads_shed, 2);
    eventually("handlers know", || Seen::get(&owner.seen().broken_uploads) == 1).await;
    assert_eq!(Seen::get(&owner.seen().complete_uploads), 0);
}

/// What nobody reads is not worked for.
#[tokio::test]
async fn a_connection_whose_answers_are_not_read_gets_no_more_of_them() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().unread_bytes(4 * LARGE)).await;
    ring.set("here", &[victim.address()]);
    let ask = Ask::new("here", "").with(vec![7; LARGE]);
    let mut sender = unreading(victim.address()).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(ask_unread(&mut sender, victim.address(), &ask).await);
    }
    let stats = || victim.counters.server_stats();
    let begun = || Seen::get(&victim.node.handler.seen.begun);
    eventually("all are asked", || begun() + stats().unread_refused == 100).await;
    eventually("most are freed", || stats().answers_shed > 70).await;
    let before = (begun(), stats().unread_refused);
    for _ in 0..20 {
        let further = ask_unread(&mut sender, victim.address(), &ask).await;
        assert_eq!(code(further).await, Code::ResourceExhausted);
    }
    assert_eq!((begun(), stats().unread_refused), (before.0, before.1 + 20));
    let mut other = victim.node.client().await;
    let tell = other.unary(ask.clone()).await.unwrap().into_inner();
    assert_eq!(tell.payload.len(), LARGE);
    // When the caller has gone away, nothing of it is left.
    drop((held, sender));
    eventually("they are gone", || stats().waiting_calls == 0).await;
    other.unary(ask).await.unwrap();
}

/// The answers of one caller that does not read would take a thousand times the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_answers_are_freed() {
    const CALLS: usize = 60;
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let victim = Victim::start(&ring, ServerLimits::default().unread_bytes(4 * LARGE)).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    let mut held = Vec::new();
    let mut client = victim.node.client().await;
    for key in ["here", "there"] {
        let mut sender = unreading(victim.address()).await;
        let ask = Ask::new(key, "").with(vec![0; LARGE]);
        for _ in 0..CALLS {
            held.push(ask_unread(&mut sender, victim.address(), &ask).await);
        }
        let shed = || victim.counters.server_stats().answers_shed;
        // At most one and a half times the limit is left, in answers of a quarter of it.
        let expected = shed() + (CALLS - 8) as u64;
        let mut others = 0;
        let end = Instant::now() + PATIENCE;
        while shed() < expected {
            assert!(Instant::now() < end, "{key}: {} shed", shed());
            for key in ["here", "there"] {
                let ask = Ask::new(key, "").with(vec![0; 1000]);
                client.unary_at(ONCE, within(ask, LIMIT)).await.unwrap();
                others += 1;
            }
        }
        assert!(others > 0);
        held.push(begin(&mut sender, victim.address(), UNARY, "").await);
    }
    // An answer that is freed here is freed upstream: no call to the owner is left but those that
    // may be unread.
    eventually("calls are over", || owner.forwarder.stats().in_flight <= 9).await;
}

/// A caller that comes back to an answer too late learns what became of it. Calls beside it are not
/// harmed.
#[tokio::test]
async fn an_answer_that_waits_too_long_ends_with_a_status() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let victim = Victim::start(&ring, ServerLimits::default().unread_timeout(SHORT)).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    for key in ["here", "there"] {
        // The connection has room for more than the stream that is not read.
        let mut sender = roomy(victim.address(), 65_535, 1 << 20).await;
        let mut begun = begin(&mut sender, victim.address(), DOWNLOAD, "").await;
        let endless = Ask::new(key, "endless").with(vec![0; 64 << 10]);
        begun.body.send_data(raw::framed(&endless), true).unwrap();
        let before = victim.counters.server_stats().answers_shed;
        let mut response = soon("answer", begun.response).await.unwrap();
        let end = Instant::now() + PATIENCE;
        while victim.counters.server_stats().answers_shed == before {
            assert!(Instant::now() < end, "{key}: the answer is still kept");
            // The connection is in use all the time.
            let begun = begin(&mut sender, victim.address(), ONCE, "").await;
            let raw::Begun { mut body, response } = begun;
            body.send_data(raw::framed(&Ask::new(key, "")), true).unwrap();
            assert_eq!(raw::status(soon("call", response).await.unwrap()).await.code(), Code::Ok);
        }
        eventually("it is over", || victim.node.forwarder.stats().in_flight == 0).await;
        let trailers = raw::finish(response.body_mut()).await;
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{key}: {status:?}");
    }
    assert_eq!(victim.counters.server_stats().connections_closed, 0);
    eventually("the owner stops", || Seen::get(&owner.seen().cancelled) == 1).await;
}

#[tokio::test]
async fn a_connection_of_which_nothing_is_read_is_closed() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().unread_timeout(SHORT)).await;
    ring.set("here", &[victim.address()]);
    let mut sender = unreading(victim.address()).await;
    let mut held = Vec::new();
    for size in [0, 100_000] {
        let ask = Ask::new("here", "").with(vec![0; size]);
        held.push(ask_unread(&mut sender, victim.address(), &ask).await);
    }
    eventually("it is closed", || victim.counters.server_stats().connections_closed == 1).await;
    for begun in held {
        let mut response = soon("head", begun.response).await.unwrap();
        assert!(soon("end", response.body_mut().data()).await.unwrap().is_err());
    }
}

/// A socket that takes nothing, while its streams have all the room of the world.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_takes_nothing_is_closed_when_it_holds_too_much() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().unread_bytes(LARGE)).await;
    ring.set("here", &[victim.address()]);
    let connection = TcpStream::connect(victim.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (sender, driver) = builder.handshake::<_, Bytes>(connection).await.unwrap();
    let driver = tokio::spawn(driver);
    let mut sender = sender.ready().await.unwrap();
    let ask = Ask::new("here", "").with(vec![0; LARGE]);
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(ask_unread(&mut sender, victim.address(), &ask).await);
    }
    eventually("answers begin", || victim.counters.server_stats().unwritten_bytes > 0).await;
    // From here on nobody reads the socket, and nobody closes it.
    driver.abort();
    std::mem::forget(held);
    let mut client = victim.node.client().await;
    let end = Instant::now() + PATIENCE;
    while victim.counters.server_stats().unwritten_bytes > LARGE as u64 {
        assert!(Instant::now() < end, "{:?}", victim.counters.server_stats());
        client.unary(within(Ask::new("here", ""), LIMIT)).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
}

/// A connection that carries `flood` after an ordinary beginning, until it is ended.
async fn flood(victim: &Victim, flood: &[u8]) {
    let mut connection = TcpStream::connect(victim.address()).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let before = victim.counters.server_stats().floods_ended;
    let (mut read, mut write) = connection.split();
    let writing = async { while write.write_all(flood).await.is_ok() {} };
    let reading = async {
        // Answers are read: it is not their number that ends the connection.
        let mut bytes = vec![0; 64 << 10];
        while let Ok(1..) = read.read(&mut bytes).await {}
    };
    soon("the end of the connection", async {
        tokio::select! { () = writing => {}, () = reading => {} }
    })
    .await;
    assert_eq!(victim.counters.server_stats().floods_ended, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_control_frames_are_cut_off() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let priority = [0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 16];
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for frame in [&ping[..], &settings, &priority, &window] {
        flood(&victim, &frame.repeat(100)).await;
        let mut client = victim.node.client().await;
        client.unary(within(Ask::new("here", ""), LIMIT)).await.unwrap();
    }
}

/// Control frames that go along with work are no flood, however many they are.
#[tokio::test]
async fn a_busy_connection_is_not_taken_for_a_flood() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().control_frames(100)).await;
    ring.set("here", &[victim.address()]);
    let connection = TcpStream::connect(victim.address()).await.unwrap();
    let (sender, mut driver) = h2::client::handshake(connection).await.unwrap();
    let mut pings = driver.ping_pong().unwrap();
    tokio::spawn(driver);
    let mut sender = sender.ready().await.unwrap();
    for _ in 0..500 {
        let begun = ask_unread(&mut sender, victim.address(), &Ask::new("here", "")).await;
        soon("PONG", pings.ping(h2::Ping::opaque())).await.unwrap();
        assert_eq!(code(begun).await, Code::Ok);
    }
    assert_eq!(victim.counters.server_stats().floods_ended, 0);
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().connections_per_address(4)).await;
    ring.set("here", &[victim.address()]);
    let stats = || victim.counters.server_stats();
    let ends = |mut connection: TcpStream| async move {
        let mut bytes = [0; 1024];
        while let Ok(1..) = connection.read(&mut bytes).await {}
    };
    // Idle ones give way, oldest first.
    let mut idle = Vec::new();
    for _ in 0..5 {
        let mut connection = TcpStream::connect(victim.address()).await.unwrap();
        connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        assert!(soon("SETTINGS", connection.read_u8()).await.is_ok());
        idle.push(connection);
        sleep(Duration::from_millis(5)).await;
    }
    soon("the oldest ends", ends(idle.remove(0))).await;
    assert_eq!((stats().connections_closed, stats().connections_refused), (1, 0));
    // Those with calls stay.
    let (mut busy, mut tells) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut client = victim.node.client().await;
        let ask = Ask::new("here", "1 then hang");
        tells.push(client.download(ask).await.unwrap().into_inner());
        busy.push(client);
    }
    soon("a fifth is refused", ends(TcpStream::connect(victim.address()).await.unwrap())).await;
    assert_eq!((stats().connections_closed, stats().connections_refused), (5, 1));
    for tells in &mut tells {
        assert!(next(tells).await.unwrap().is_ok());
    }
    drop((busy, tells));
    eventually("room again", || victim.node.forwarder.stats().in_flight == 0).await;
    let mut client = victim.node.client().await;
    client.unary(within(Ask::new("here", ""), LIMIT)).await.unwrap();
}

/// A chat in which only one side speaks is not idle.
#[tokio::test]
async fn a_call_that_is_answered_all_the_time_is_not_idle() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().upload_idle_timeout(SHORT)).await;
    ring.set("here", &[victim.address()]);
    let (sender, asks) = mpsc::channel(1);
    let asks = tokio_stream::wrappers::ReceiverStream::new(asks);
    sender.send(Ask::new("here", "hello")).await.unwrap();
    let mut tells = victim.node.client().await.chat(asks).await.unwrap().into_inner();
    for _ in 0..10 {
        assert!(next(&mut tells).await.unwrap().is_ok());
        sleep(SHORT / 5).await;
        sender.send(Ask::new("here", "hello")).await.unwrap();
    }
    assert_eq!(victim.counters.server_stats().uploads_shed, 0);
}
