//! A rate limiter shared out among processes: each counts the requests of the clients that it owns,
//! and answers for the others by asking their owners.
//!
//! Start three, each in a terminal of its own, and type the name of a client into any of them:
//!
//! ```sh
//! cargo run -p ringpop --example limiter -- 127.0.0.1:7301 127.0.0.1:7301,127.0.0.1:7302,127.0.0.1:7303
//! cargo run -p ringpop --example limiter -- 127.0.0.1:7302 127.0.0.1:7301,127.0.0.1:7302,127.0.0.1:7303
//! cargo run -p ringpop --example limiter -- 127.0.0.1:7303 127.0.0.1:7301,127.0.0.1:7302,127.0.0.1:7303
//! ```
//!
//! A client has the same budget wherever it asks. End one of the processes: its clients go to the
//! next owners at once, which begin to count anew.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::{DirectHandler, DirectReply, DirectRequest, Outcome};
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::Status;

/// Requests that a client may make in one window.
const BUDGET: u32 = 5;

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(10);

/// The windows of the clients that this process owns.
#[derive(Clone)]
struct Limiter {
    name: String,
    windows: Arc<Mutex<HashMap<Vec<u8>, Window>>>,
}

struct Window {
    began: Instant,
    requests: u32,
}

impl Limiter {
    /// The work itself, for requests from here and from other processes.
    fn admit(&self, request: &DirectRequest) -> DirectReply {
        let client = request.keys().first().map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Only clients of the last window are kept: windows that are over need no memory.
        windows.retain(|_, window| window.began.elapsed() < WINDOW);
        let new = Window { began: Instant::now(), requests: 0 };
        let window = windows.entry(client).or_insert(new);
        window.requests += 1;
        let verdict = if window.requests > BUDGET { "refused" } else { "admitted" };
        DirectReply::new(format!("{verdict}, request {} at {}", window.requests, self.name))
    }
}

impl DirectHandler for Limiter {
    async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
        Ok(self.admit(&request))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(hosts)) = (args.next(), args.next()) else {
        return Err(
            "two arguments are needed: the address of this process, and those of all, with commas"
                .into(),
        );
    };
    let member = Ringpop::builder("limiter")
        .listen(listen.parse()?)
        .discovery(Arc::new(StaticList::parse(&hosts)?))
        .bind()
        .await?;
    let limiter = Limiter { name: listen, windows: Arc::default() };
    let service = member.forwarder().direct_service(limiter.clone());
    member.serve(tonic::service::Routes::new(service))?;
    let joined = member.bootstrap().await?;
    println!("{joined:?}; type the name of a client");

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            stop = tokio::signal::ctrl_c() => { stop?; None }
        };
        let Some(client) = line else { break };
        let request = DirectRequest::new("admit", client.clone());
        match member.forwarder().handle_or_forward(client, request).await {
            Ok(Outcome::Handle(request)) => {
                println!("{}", String::from_utf8_lossy(limiter.admit(&request).body()));
            }
            Ok(Outcome::Forwarded(reply)) => println!("{}", String::from_utf8_lossy(reply.body())),
            Err(status) => eprintln!("{}", status.message()),
        }
    }
    // Leave the ring, finish the calls under way, stop.
    member.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
