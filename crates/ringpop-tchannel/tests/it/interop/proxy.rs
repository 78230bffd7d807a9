//! Proxies that stop relaying between members of different sides.
//!
//! A member is known at the address of its proxy. The opener of a connection is read from the first
//! frame, in which every TChannel process says where it listens.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use ringpop_tchannel::frame::{Frame, Init};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Which members are on the other side; empty when all can talk.
type Side = Vec<usize>;

/// The network between the members.
#[derive(Clone, Debug)]
pub struct Network {
    /// The index of a member by each address that it may name.
    members: Arc<HashMap<String, usize>>,
    other_side: Arc<watch::Sender<Side>>,
}

impl Network {
    /// Starts a proxy for each member: from where it is known to where it
    /// listens.
    pub async fn start(members: &[(String, String)]) -> Self {
        let by_address = members
            .iter()
            .enumerate()
            .flat_map(|(i, (known, listens))| [(known.clone(), i), (listens.clone(), i)]);
        let network = Self {
            members: Arc::new(by_address.collect()),
            other_side: Arc::new(watch::channel(Side::new()).0),
        };
        for (i, (known, listens)) in members.iter().enumerate() {
            let listener = TcpListener::bind(known).await.unwrap();
            tokio::spawn(network.clone().relay_all(listener, i, listens.clone()));
        }
        network
    }

    /// From now on nothing is relayed between these members and the others.
    pub fn cut(&self, other_side: &[usize]) {
        self.other_side.send_replace(other_side.to_vec());
    }

    /// Relays again. Connections that were cut are closed, as connections are
    /// that were silent for long.
    pub fn mend(&self) {
        self.other_side.send_replace(Side::new());
    }

    async fn relay_all(self, listener: TcpListener, to: usize, listens: String) {
        while let Ok((stream, _)) = listener.accept().await {
            let (network, listens) = (self.clone(), listens.clone());
            tokio::spawn(async move {
                // Either end may close at any time.
                let _ = network.relay(stream, to, &listens).await;
            });
        }
    }

    async fn relay(&self, mut from: TcpStream, to: usize, listens: &str) -> std::io::Result<()> {
        let mut start = BytesMut::new();
        let init = loop {
            let mut look = start.clone();
            if let Some(frame) = Frame::decode(&mut look).map_err(std::io::Error::other)? {
                break Init::decode(&frame).map_err(std::io::Error::other)?;
            }
            if from.read_buf(&mut start).await? == 0 {
                return Ok(());
            }
        };
        let opener = self.members.get(&init.host_port).copied();
        let apart =
            |side: &Side| opener.is_some_and(|opener| side.contains(&opener) != side.contains(&to));
        let mut sides = self.other_side.subscribe();
        if apart(&sides.borrow_and_update().clone()) {
            return held(&mut sides).await;
        }
        let mut peer = TcpStream::connect(listens).await?;
        peer.write_all(&start).await?;
        tokio::select! {
            relayed = copy_bidirectional(&mut from, &mut peer) => relayed.map(drop),
            () = cut(&mut sides, apart) => held(&mut sides).await,
        }
    }
}

/// Waits until the two ends are apart.
async fn cut(sides: &mut watch::Receiver<Side>, apart: impl Fn(&Side) -> bool) {
    if sides.wait_for(|side| apart(side)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Keeps both ends open and relays nothing until all can talk again.
async fn held(sides: &mut watch::Receiver<Side>) -> std::io::Result<()> {
    // An error says that the network is gone.
    let _ = sides.wait_for(Vec::is_empty).await;
    Ok(())
}
