//! Step 1: a tonic service in one process.

use ringpop_tutorial::SessionStore;
use ringpop_tutorial::sessions::sessions_server::SessionsServer;
use tonic::transport::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().nth(1).ok_or("usage: plain HOST:PORT")?;
    let sessions = SessionsServer::new(SessionStore::new(&listen));
    Server::builder().add_service(sessions).serve(listen.parse()?).await?;
    Ok(())
}
