//! A client without membership: three plain servers that know nothing of each other, and a channel
//! that sends each call to the server of its key. One server dies on the way.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use hashring::{BackendRecord, Selector};
use ringpop_build_example::NotesService;
use ringpop_build_example::notes::notes_client::NotesClient;
use ringpop_build_example::notes::notes_server::NotesServer;
use ringpop_build_example::notes::{NOTES_ROUTES, ReadRequest};
use ringpop_forward::{Forwarder, Routes, SelectorResolver, incoming, server};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A server with a runtime of its own: dropping the runtime kills it.
fn start() -> Result<(String, Runtime), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let notes = NotesServer::new(NotesService::new(&address));
    runtime.spawn(server().add_service(notes).serve_with_incoming(incoming(listener)));
    Ok((address, runtime))
}

async fn ask(mut client: NotesClient<ringpop_forward::RingChannel>) -> Result<(), tonic::Status> {
    for author in ["ada", "grace", "barbara", "frances"] {
        let read = client.read(ReadRequest { author: author.to_owned() }).await?;
        println!("  {author} is at {}", read.into_inner().handled_by);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut servers = vec![start()?, start()?, start()?];
    let selector = Arc::new(Selector::builder().build(Instant::now())?);
    // Where the addresses come from is up to discovery, and so is calling this again when they
    // change.
    let records = servers.iter().map(|(address, _)| BackendRecord::new(address, address));
    let replaced = selector.replace_backends(records)?;
    println!("{} backends, of which {} are duplicates", servers.len(), replaced.duplicates);

    let client = Builder::new_multi_thread().enable_all().build()?;
    client.block_on(async {
        let channel = Forwarder::builder(SelectorResolver::new(selector))
            .routes(Routes::new().table(NOTES_ROUTES))
            .build()?
            .channel();
        println!("all are alive:");
        ask(NotesClient::new(channel.clone())).await?;
        let (dead, runtime) = servers.remove(0);
        runtime.shutdown_background();
        println!("{dead} has died:");
        ask(NotesClient::new(channel)).await?;
        Ok::<(), Box<dyn Error>>(())
    })?;
    for (_, runtime) in servers {
        runtime.shutdown_background();
    }
    Ok(())
}
