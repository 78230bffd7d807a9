//! The socket that a member serves on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::bind_error::BindError;

/// The socket of a member.
#[derive(Debug)]
pub(crate) enum Listen {
    /// To be opened.
    At(SocketAddr),
    /// Open already.
    On(std::net::TcpListener),
}

impl Default for Listen {
    fn default() -> Self {
        Self::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

impl Listen {
    pub(crate) async fn open(self) -> Result<(TcpListener, SocketAddr), BindError> {
        let listener = match self {
            Self::At(address) => {
                let listener = TcpListener::bind(address).await;
                listener.map_err(|source| BindError::Listen { address, source })?
            }
            Self::On(listener) => adopt(listener).map_err(BindError::Listener)?,
        };
        let bound = listener.local_addr().map_err(BindError::Listener)?;
        Ok((listener, bound))
    }
}

fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
