//! Bytes in: messages of the [`wire`](crate::wire) encoding, for transports that
//! carry packets.

use std::sync::Arc;

use super::Node;
use crate::address::Address;
use crate::member::Status;
use crate::time::Instant;
use crate::wire::read::{Read, Receiver, read};
use crate::wire::{DecodeError, Decoded};

impl Node {
    /// Handles a packet that arrived: [`wire::decode`](crate::wire::decode),
    /// [`handle_malformed`](Self::handle_malformed) and
    /// [`handle_message`](Self::handle_message) in one, to the same effect.
    ///
    /// It is the fastest way in: changes that the node knows already are recognised in
    /// the bytes. In the steady state, without new changes, a packet costs no
    /// allocation.
    ///
    /// ```
    /// # use swim_core::{Config, Init, Instant, Node, Output, wire};
    /// # let now = Instant::ZERO;
    /// # let node = |host: u64| {
    /// #     let init = Init {
    /// #         app: "rides".into(),
    /// #         address: format!("10.0.0.{host}:7946").parse().unwrap(),
    /// #         identity: None,
    /// #         labels: Default::default(),
    /// #         seed: host,
    /// #         now,
    /// #         unix_ms: 1_700_000_000_000,
    /// #     };
    /// #     Node::new(Config::lan(), init).unwrap()
    /// # };
    /// # let (mut sender, mut receiver) = (node(1), node(2));
    /// sender.join(now, vec!["10.0.0.2:7946".parse()?])?;
    /// let Some(Output::Transmit(transmit)) = sender.poll_output() else { panic!("it asks") };
    /// receiver.handle_packet(now, &wire::encode(&transmit.message))?;
    /// assert!(receiver.handle_packet(now, b"noise").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the bytes are no message. They are counted, and nothing else happens: the
    /// error is for logs.
    pub fn handle_packet(&mut self, now: Instant, bytes: &[u8]) -> Result<(), DecodeError> {
        match read(bytes, self) {
            Ok(Read { decoded: Decoded { message, dropped_changes }, known_changes }) => {
                self.handle_malformed(now, dropped_changes);
                self.dispatch(message, known_changes);
                Ok(())
            }
            Err(error) => {
                self.handle_malformed(now, 1);
                Err(error)
            }
        }
    }
}

impl Receiver for Node {
    fn app(&self, text: &str) -> Option<Arc<str>> {
        (**self.app() == *text).then(|| Arc::clone(self.app()))
    }

    fn address(&self, text: &str) -> Option<Address> {
        let id = self.core.members.find_bytes(text.as_bytes())?;
        Some(self.core.members.slot(id).member.address.clone())
    }

    fn would_ignore<'a>(
        &'a self,
        address: &[u8],
        rank: (u64, Status),
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        self.core.would_ignore(address, rank, labels)
    }
}
