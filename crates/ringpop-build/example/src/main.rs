//! Three processes' worth of the notes service in one: each handles what it owns and forwards the
//! rest.

use std::error::Error;

use ringpop_build_example::NotesService;
use ringpop_build_example::notes::notes_client::NotesClient;
use ringpop_build_example::notes::notes_server::NotesServer;
use ringpop_build_example::notes::{AppendRequest, NOTES_ROUTES, Note, ReadRequest};
use ringpop_forward::{Forwarder, Routes, RoutingKey, StaticResolver, incoming, server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await?);
    }
    let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    let addresses: Vec<_> = addresses?.iter().map(ToString::to_string).collect();

    let mut clients = Vec::new();
    for (me, listener) in addresses.iter().zip(listeners) {
        let resolver = StaticResolver::new(me, addresses.iter().map(String::as_str))?;
        let forwarder = Forwarder::builder(resolver)
            .name(me)
            .routes(Routes::new().table(NOTES_ROUTES))
            .trust_hop_headers(|_| true)
            .build()?;
        let notes = NotesServer::new(NotesService::new(me));
        let serve = server().layer(forwarder.layer()).add_service(notes.clone());
        tokio::spawn(serve.serve_with_incoming(incoming(listener)));
        // Local or remote for each call, by the author in its message.
        clients.push(NotesClient::new(forwarder.client(notes)));
    }

    for (index, author) in ["ada", "grace", "barbara", "frances"].into_iter().enumerate() {
        let note = Note { author: author.to_owned(), text: format!("note {index}") };
        let request = AppendRequest { note: Some(note) };
        let key = request.routing_key().unwrap_or_else(|| "".into());
        let handled_by = clients[index % 3].append(request).await?.into_inner().handled_by;
        println!("{key:?} was appended at {handled_by}");
        // The same process answers at each of the three addresses.
        for client in &mut clients {
            let read = client.read(ReadRequest { author: author.to_owned() }).await?.into_inner();
            assert_eq!((read.handled_by, read.texts.len()), (handled_by.clone(), 1));
        }
    }
    Ok(())
}
