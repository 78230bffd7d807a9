//! A wire between two processes that can be held, as a network holds it when a cable is pulled:
//! nothing is closed, and nothing comes through.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Accepts at `address` and connects each connection through to its target.
pub struct Wire {
    pub address: String,
    held: Arc<watch::Sender<bool>>,
}

impl Wire {
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (held, _) = watch::channel(false);
        let held = Arc::new(held);
        let (target, wire) = (target.to_owned(), Arc::clone(&held));
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let Ok(to) = TcpStream::connect(&target).await else {
                    continue;
                };
                from.set_nodelay(true).unwrap();
                to.set_nodelay(true).unwrap();
                let (from_read, from_write) = from.into_split();
                let (to_read, to_write) = to.into_split();
                tokio::spawn(carry(from_read, to_write, wire.subscribe()));
                tokio::spawn(carry(to_read, from_write, wire.subscribe()));
            }
        });
        Self { address, held }
    }

    /// From now on nothing comes through, on open connections and new ones.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut held: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&bytes[..read]).await.is_err()
        {
            return;
        }
    }
}
