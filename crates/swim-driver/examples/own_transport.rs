//! A transport of your own: each request is a TCP connection, which brings the reply back.
//!
//! Three members in one process. `cargo run -p swim-driver --features udp --example own_transport`

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use swim_driver::swim_core::wire::{self, Decoded};
use swim_driver::swim_core::{Config, Event, Instant, Node, Status, Transmit};
use swim_driver::{Driver, Handle, Start, Started, Transport, WeakHandle, queue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Requests under way, in either direction. The machine opens far fewer.
const CALLS_MAX: usize = 256;
/// Longest message that is read: larger than the largest page.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Longer than the machine waits for anything: the machine decides when a reply is late.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The requests of this member that are under way.
#[derive(Default)]
struct Tcp(JoinSet<(u64, Result<Decoded>)>);

impl Transport for Tcp {
    type Input = (u64, Result<Decoded>);

    fn start(&mut self, _: &Node, Transmit { to, message, .. }: Transmit) -> Started {
        if self.0.len() >= CALLS_MAX {
            return Started::Undelivered;
        }
        self.0.spawn(async move {
            let call = async {
                let mut stream = TcpStream::connect(to.as_str()).await?;
                stream.write_all(&wire::encode(&message)).await?;
                stream.shutdown().await?;
                read(&mut stream).await
            };
            let reply = timeout(CALL_TIMEOUT, call).await;
            (message.seq, reply.unwrap_or_else(|late| Err(late.into())))
        });
        Started::UnderWay
    }

    async fn next(&mut self) -> Self::Input {
        match self.0.join_next().await {
            Some(Ok(ended)) => ended,
            // The driver asks again after anything else has happened.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    fn take(&mut self, node: &mut Node, now: Instant, (seq, reply): Self::Input) {
        match reply {
            Ok(Decoded { message, dropped_changes }) => {
                node.handle_malformed(now, dropped_changes);
                node.handle_message(now, message);
            }
            Err(cause) => node.handle_undelivered_because(now, seq, &cause.to_string()),
        }
    }
}

/// Passes on what others ask this member, and answers with what the machine replies.
async fn serve(listener: TcpListener, member: WeakHandle) -> Result<()> {
    let permits = Arc::new(Semaphore::new(CALLS_MAX));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let ((mut stream, _), member) = (listener.accept().await?, member.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let answer = async {
                let Decoded { message, dropped_changes } = read(&mut stream).await?;
                ensure!(!message.is_reply(), "a reply is no request");
                if let Some(reply) = member.request(message, dropped_changes).await {
                    stream.write_all(&wire::encode(&reply)).await?;
                }
                Ok(())
            };
            timeout(CALL_TIMEOUT, answer).await
        });
    }
}

async fn read(stream: &mut TcpStream) -> Result<Decoded> {
    let mut bytes = Vec::new();
    stream.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(wire::decode(&bytes)?)
}

/// Starts a member that joins the first one; gives its handle and where it listens.
async fn start(name: &'static str, first: Option<&str>) -> Result<(Handle, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let node = Node::new(Config::local(), Start::now()?.init("own", address.parse()?))?;
    let (handle, queue) = queue();
    let report = move |_: &Node, event: &Event| {
        if let Event::MemberChanged { after: Some(member), .. } = event {
            println!("{name}: {} is {}", member.address, member.status);
        }
    };
    tokio::spawn(serve(listener, handle.downgrade()));
    tokio::spawn(Driver::new(queue, node, Tcp::default(), report).run());
    let others = first.into_iter().map(str::parse).collect::<Result<Vec<_>, _>>()?;
    handle.join_discovered(&others).await?;
    Ok((handle, address))
}

/// Waits until a member takes so many for alive, itself included.
async fn alive(member: &Handle, members: usize) -> Result<()> {
    while member.with(|node, _| node.count(Status::Alive)).await? != members {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (a, first) = start("a", None).await?;
    let (_b, _) = start("b", Some(&first)).await?;
    let (c, _) = start("c", Some(&first)).await?;
    alive(&a, 3).await?;
    println!("c ends without a word");
    c.stop().await;
    alive(&a, 2).await
}
