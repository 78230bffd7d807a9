//! `ringpop destinations`: the members that a member forwards to.

use std::fmt;

use ringpop::admin_client::{Destination, GetDestinationsRequest};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::ClusterArgs;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, columns, printable};
use crate::watch;

pub(super) async fn run(args: ClusterArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, Output::new(args.target.json), || async {
        let call =
            |mut client: Client, request| async move { client.get_destinations(request).await };
        let answer = admin.ask(ANSWER_TIMEOUT, GetDestinationsRequest {}, call).await?;
        let destinations = answer.destinations.into_iter().map(Entry::from).collect();
        Ok(Destinations { destinations })
    })
    .await
    .map(drop)
}

#[derive(Debug, Serialize)]
struct Destinations {
    destinations: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    address: String,
    /// What the membership says of it.
    state: String,
    circuit: &'static str,
    connections: u32,
    in_flight: u32,
    cause: String,
}

impl From<Destination> for Entry {
    fn from(destination: Destination) -> Self {
        Self {
            address: destination.address,
            state: destination.state,
            circuit: if destination.circuit_open { "open" } else { "closed" },
            connections: destination.connections,
            in_flight: destination.in_flight,
            cause: destination.cause,
        }
    }
}

impl fmt::Display for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.destinations.is_empty() {
            return f.write_str("nothing was forwarded yet");
        }
        let head = ["ADDRESS", "STATE", "CIRCUIT", "CONNECTIONS", "IN FLIGHT", "CAUSE"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.destinations.iter().map(|entry| {
            [
                printable(&entry.address),
                printable(&entry.state),
                entry.circuit.to_owned(),
                entry.connections.to_string(),
                entry.in_flight.to_string(),
                printable(&entry.cause),
            ]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}
