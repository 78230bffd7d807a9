//! What a process of the bench is, besides the caller.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use ringpop_forward::{Forwarder, Owner, Owners, Peer, Routes, StaticResolver, incoming, server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::api::{BenchClient, BenchServer, DOWNLOAD, GET, GetElsewhere, HANG, PUT, UPLOAD, typed};
use crate::pass::passed_on;

/// A key that every process handles by itself.
pub(crate) const HERE: &str = "here";

/// A key that belongs to the owner.
pub(crate) const THERE: &str = "there";

/// A key whose first owner is the address that follows, and whose second one is the owner.
pub(crate) const FIRST: &str = "first:";

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The service without a forwarder.
    Bare,
    /// The service behind a forwarder.
    Node,
    /// The service with a forward that was written by hand, for one method.
    Typed,
    /// The service, one method of which is passed on as it comes.
    Pass,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Node => "node",
            Self::Typed => "typed",
            Self::Pass => "pass",
        }
    }
}

/// Serves until standard input ends.
pub(crate) async fn serve(role: Role, owner: Option<String>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut stdin = tokio::io::stdin();
    let parent_is_gone = async move {
        let mut byte = [0];
        let _ = stdin.read(&mut byte).await;
    };
    let say_address = || writeln!(std::io::stdout(), "{address}");
    let incoming = incoming(listener);
    let service = BenchServer::default();
    match role {
        Role::Bare => {
            say_address()?;
            let server = server().add_service(service);
            server.serve_with_incoming_shutdown(incoming, parent_is_gone).await?;
        }
        Role::Node => {
            let forwarder = forwarder(&address, owner)?;
            say_address()?;
            let server = server().layer(forwarder.layer()).add_service(service);
            server.serve_with_incoming_shutdown(incoming, parent_is_gone).await?;
        }
        Role::Typed => {
            let owner = owner.context("a typed forward needs --owner")?;
            let owner = BenchClient::connect(&owner).await?;
            say_address()?;
            let server = server().add_service(GetElsewhere { get: typed(owner), local: service });
            server.serve_with_incoming_shutdown(incoming, parent_is_gone).await?;
        }
        Role::Pass => {
            let owner = owner.context("passing on needs --owner")?;
            let get = passed_on(&owner).await?;
            say_address()?;
            let server = server().add_service(GetElsewhere { get, local: service });
            server.serve_with_incoming_shutdown(incoming, parent_is_gone).await?;
        }
    }
    Ok(())
}

/// A forwarder with nothing switched off: retry to the next owner, deadline, guard, resolver,
/// trusted hops.
fn forwarder(address: &str, owner: Option<String>) -> Result<Forwarder> {
    let owner = owner.map(|owner| Peer::new(&owner)).transpose()?.map(Arc::new);
    let resolver = StaticResolver::from_fn(move |key, n, owners| {
        owners_of(key, owner.as_ref(), owners);
        owners.truncate(n);
    });
    let forwarder = Forwarder::builder(resolver)
        .name(address)
        .routes(
            Routes::new()
                .field(GET, &[1])
                .unary()
                .idempotent()
                .field(PUT, &[1])
                .unary()
                .field(HANG, &[1])
                .unary()
                .field(DOWNLOAD, &[1])
                .field(UPLOAD, &[1]),
        )
        .trust_hop_headers(|_| true)
        .build()?;
    Ok(forwarder)
}

/// Without an owner a process is the owner itself.
fn owners_of(key: &[u8], owner: Option<&Arc<Peer>>, owners: &mut Owners) {
    let Some(owner) = owner else {
        return owners.push(Owner::Local);
    };
    if key == HERE.as_bytes() {
        return owners.push(Owner::Local);
    }
    let first =
        key.strip_prefix(FIRST.as_bytes()).and_then(|first| std::str::from_utf8(first).ok());
    if let Some(first) = first.and_then(|first| Peer::new(first).ok()) {
        owners.push(Owner::Remote(Arc::new(first)));
    }
    owners.push(Owner::Remote(Arc::clone(owner)));
}
