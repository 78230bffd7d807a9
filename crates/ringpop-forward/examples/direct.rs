//! An HTTP service whose handlers are no tonic service: each request is answered by the process
//! that owns its key.
//!
//! Three processes' worth of it run here in one. Each has a port for HTTP and one for what the
//! others forward.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use ringpop_forward::{
    DirectHandler, DirectReply, DirectRequest, Forwarder, Outcome, StaticResolver, incoming, server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;

/// Counts visits to the pages that this process owns.
#[derive(Clone)]
struct Visits {
    name: String,
    by_page: Arc<Mutex<HashMap<Vec<u8>, u64>>>,
}

impl Visits {
    /// The work itself, for requests from both doors.
    fn count(&self, request: &DirectRequest) -> DirectReply {
        let mut by_page = self.by_page.lock().unwrap_or_else(PoisonError::into_inner);
        let page = request.keys().first().map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        let visits = by_page.entry(page).or_default();
        *visits += 1;
        DirectReply::new(format!("visit {visits}, counted by {}", self.name))
    }
}

impl DirectHandler for Visits {
    async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
        Ok(self.count(&request))
    }
}

#[derive(Clone)]
struct App {
    forwarder: Forwarder,
    visits: Visits,
}

async fn visit(
    State(app): State<App>,
    Path(page): Path<String>,
    body: Bytes,
) -> Result<Bytes, (StatusCode, String)> {
    let request = DirectRequest::new("visit", body).content_type("text/plain");
    match app.forwarder.handle_or_forward(page, request).await {
        Ok(Outcome::Handle(request)) => Ok(app.visits.count(&request).body().clone()),
        Ok(Outcome::Forwarded(reply)) => Ok(reply.body().clone()),
        Err(status) => Err((StatusCode::SERVICE_UNAVAILABLE, status.message().to_owned())),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut listeners, mut members) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        members.push(listener.local_addr()?.to_string());
        listeners.push(listener);
    }
    let mut doors = Vec::new();
    for (me, listener) in members.iter().zip(listeners) {
        let resolver = StaticResolver::new(me, members.iter().map(String::as_str))?;
        // The port for what others forward is reached by members only.
        let forwarder =
            Forwarder::builder(resolver).name(me).trust_hop_headers(|_| true).build()?;
        let visits = Visits { name: me.clone(), by_page: Arc::default() };
        let service = forwarder.direct_service(visits.clone());
        let serve = server().layer(forwarder.layer()).add_service(service);
        tokio::spawn(serve.serve_with_incoming(incoming(listener)));

        let http = TcpListener::bind("127.0.0.1:0").await?;
        doors.push(http.local_addr()?);
        let app = Router::new().route("/visits/{page}", post(visit));
        let app = app.with_state(App { forwarder, visits });
        tokio::spawn(async move { axum::serve(http, app).await });
    }
    for page in ["home", "about"] {
        for door in &doors {
            let mut stream = TcpStream::connect(door).await?;
            let request = format!(
                "POST /visits/{page} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await?;
            let body = response.rsplit("\r\n").next().unwrap_or_default();
            println!("POST /visits/{page} at {door}: {body}");
        }
    }
    Ok(())
}
