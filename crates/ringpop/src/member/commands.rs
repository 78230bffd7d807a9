//! Commands to the membership machine that change no label.

use std::sync::Arc;

use swim_core::{Address, Config, Node as Machine};

use super::Ringpop;
use crate::command_error::{ReapError, ReconfigureError};
use crate::labels::{OwnLabels, with_room};
use crate::state::State;

impl Ringpop {
    /// Takes other membership settings while the member runs; what that means
    /// for each is told at [`swim_core::Node::reconfigure`].
    ///
    /// # Errors
    ///
    /// When a field differs that cannot change: those that the machine names,
    /// and `message_bytes_max`, which was checked against what the transport
    /// carries; when the member has stopped.
    pub async fn reconfigure(&self, config: Config) -> Result<(), ReconfigureError> {
        let mut own = self.0.labels.lock().await;
        let limits = config.label_limits();
        let changed = OwnLabels { limits, ..own.clone() };
        changed.labels(&self.0.address).map_err(swim_core::ReconfigureError::from)?;
        let config = Arc::new(with_room(&config));
        let reconfigure = move |node: &mut Machine, now| {
            if config.message_bytes_max() != node.config().message_bytes_max() {
                // It was checked against what the transport carries at the start.
                let field = "message_bytes_max";
                return Err(swim_core::ReconfigureError::Fixed { field });
            }
            node.reconfigure(now, config)
        };
        self.0.handle.with(reconfigure).await??;
        *own = changed;
        Ok(())
    }

    /// Has the cluster forget a member that is faulty or has left, instead of
    /// remembering it for `faulty_timeout`. A member that lives after all
    /// contradicts and is back at once.
    ///
    /// # Errors
    ///
    /// When the address names no member that is faulty or left, or this member
    /// has stopped.
    pub async fn reap(&self, address: &str) -> Result<(), ReapError> {
        if self.state() == State::Stopped {
            return Err(ReapError::Stopped);
        }
        let address = Address::new(address).map_err(|_| ReapError::Unknown(address.to_owned()))?;
        let reap = move |node: &mut Machine, now| {
            let gone = node.reap(now, &address);
            gone.map_err(|_| ReapError::Unknown(address.to_string()))
        };
        self.0.handle.with(reap).await?
    }
}
