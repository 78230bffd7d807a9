//! One process of the sessions service. Start three, each in a terminal of its own:
//!
//! ```sh
//! cargo run -p ringpop-example -- 127.0.0.1:7401 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403
//! cargo run -p ringpop-example -- 127.0.0.1:7402 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403
//! cargo run -p ringpop-example -- 127.0.0.1:7403 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403
//! ```
//!
//! Any of them answers for every user, and the visits of a user are counted in one place. Ctrl-C ends a process without an
//! error for those who call.

use std::error::Error;
use std::time::Duration;

use ringpop_example::start;

/// How long calls in flight may take at the end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(peers)) = (arguments.next(), arguments.next()) else {
        return Err("give the address of this process and those of all, separated by commas".into());
    };
    let member = start(&listen, &peers).await?;
    member.bootstrap().await?;
    println!("{} serves sessions", member.whoami());
    tokio::signal::ctrl_c().await?;
    member.shutdown(SHUTDOWN_LIMIT).await;
    Ok(())
}
