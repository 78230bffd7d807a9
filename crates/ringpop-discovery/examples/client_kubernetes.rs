//! A client of a service of Kubernetes, in a pod or beside `kubectl proxy`.
//!
//! It is no member: `client/mod.rs` watches the registry, keeps the healthy members on a ring of
//! its own, and says for each key on standard input which of them owns it.
//!
//! ```sh
//! cargo run --example client_kubernetes --features kubernetes,hashring -- \
//!     "k8s:default/ringpop:gossip?api=http://127.0.0.1:8001"
//! ```

mod client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    client::run("k8s:ringpop:gossip").await
}
