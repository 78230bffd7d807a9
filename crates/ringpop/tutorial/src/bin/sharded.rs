//! Step 2: the same service, shared out among the processes of a cluster.

use std::sync::Arc;
use std::time::Duration;

use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use ringpop_tutorial::SessionStore;
use ringpop_tutorial::sessions::SESSIONS_ROUTES;
use ringpop_tutorial::sessions::sessions_server::SessionsServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(peers)) = (args.next(), args.next()) else {
        return Err("usage: sharded HOST:PORT HOST:PORT,HOST:PORT,...".into());
    };

    let member = Ringpop::builder("sessions")
        .listen(listen.parse()?)
        .discovery(Arc::new(StaticList::parse(&peers)?))
        .routes(Routes::new().table(SESSIONS_ROUTES))
        .bind()
        .await?;

    let sessions = SessionsServer::new(SessionStore::new(&listen));
    member.serve(tonic::service::Routes::new(sessions))?;
    member.bootstrap().await?;
    println!("ready at {}", member.whoami());

    tokio::signal::ctrl_c().await?;
    member.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
