//! A client of a service that is registered in Consul.
//!
//! It is no member: `client/mod.rs` watches the registry, keeps the healthy members on a ring of
//! its own, and says for each key on standard input which of them owns it.
//!
//! ```sh
//! cargo run --example client_consul --features consul,hashring -- consul:ringpop?tag=blue
//! ```

mod client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::run("consul:ringpop").await
}
