//! Stores of leases that others wrote.

#[cfg(feature = "consul")]
mod consul {
    use std::time::Duration;

    use ringpop_discovery::consul::{Agent, Locked, Sessions};

    use crate::lease::store::{LeaseError, LeaseStore, Session};
    use crate::lease::{routing_key, stores::unavailable};

    /// Feature `consul`: leases of a Consul cluster, by way of an agent.
    ///
    /// A process has one session, and the lock of a key below the prefix for each slot. The fencing
    /// token is the index of the last change of the key. Consul has no sessions shorter than 10 s:
    /// with a shorter [`ttl`](crate::LeaseSettings::ttl) others take over after 10 s, and this
    /// process stops as it says.
    ///
    /// ```no_run
    /// use ringpop::discovery::consul::Agent;
    /// use ringpop::{ConsulLeases, LeaseSettings};
    ///
    /// # fn run(member: &ringpop::Ringpop) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = Agent::new("http://127.0.0.1:8500")?;
    /// let store = ConsulLeases::new(&agent, "leases/rides");
    /// let leases = member.leases(store, LeaseSettings::new(256))?;
    /// # drop(leases);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug, Clone)]
    pub struct ConsulLeases(Sessions);

    impl ConsulLeases {
        /// Leases at this agent, as keys below `prefix`.
        #[must_use]
        pub fn new(agent: &Agent, prefix: &str) -> Self {
            Self(Sessions::new(agent, prefix))
        }
    }

    impl LeaseStore for ConsulLeases {
        async fn open(&self, holder: &str, ttl: Duration) -> Result<Session, LeaseError> {
            let id = self.0.open(holder, ttl).await.map_err(unavailable)?;
            Ok(Session { id, ttl, holder: holder.to_owned() })
        }

        async fn renew(&self, session: &Session) -> Result<(), LeaseError> {
            let renewed = self.0.renew(&session.id).await.map_err(unavailable)?;
            if renewed { Ok(()) } else { Err(LeaseError::Ended) }
        }

        async fn acquire(&self, session: &Session, slot: u32) -> Result<u64, LeaseError> {
            let locked = self.0.lock(&session.id, &routing_key(slot)).await.map_err(unavailable)?;
            match locked {
                Locked::Token(token) => Ok(token),
                Locked::SessionEnded => Err(LeaseError::Ended),
                _ => Err(LeaseError::Held),
            }
        }

        async fn release(&self, session: &Session, slot: u32) -> Result<(), LeaseError> {
            self.0.unlock(&session.id, &routing_key(slot)).await.map_err(unavailable)
        }

        async fn close(&self, session: &Session) -> Result<(), LeaseError> {
            self.0.close(&session.id).await.map_err(unavailable)
        }
    }
}

#[cfg(feature = "kubernetes")]
mod kubernetes {
    use std::time::Duration;

    use ringpop_discovery::kubernetes::{ApiServer, Leases, Locked};

    use crate::lease::store::{LeaseError, LeaseStore, Session};
    use crate::lease::{routing_key, stores::unavailable};

    /// Feature `kubernetes`: leases as objects `Lease` of the API server.
    ///
    /// A process renews one object, and each slot is another one that names its holder; the fencing
    /// token is `leaseTransitions`. The service account needs `get`, `create`, `update` and
    /// `delete` of `leases` in `coordination.k8s.io`.
    ///
    /// ```no_run
    /// use ringpop::discovery::kubernetes::ApiServer;
    /// use ringpop::{KubernetesLeases, LeaseSettings};
    ///
    /// # fn run(member: &ringpop::Ringpop) -> Result<(), Box<dyn std::error::Error>> {
    /// let store = KubernetesLeases::new(&ApiServer::of_this_pod()?, "shop", "rides");
    /// let leases = member.leases(store, LeaseSettings::new(256))?;
    /// # drop(leases);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug, Clone)]
    pub struct KubernetesLeases(Leases);

    impl KubernetesLeases {
        /// Leases in `namespace` whose names begin with `prefix`.
        #[must_use]
        pub fn new(server: &ApiServer, namespace: &str, prefix: &str) -> Self {
            Self(Leases::new(server, namespace, prefix))
        }
    }

    impl LeaseStore for KubernetesLeases {
        async fn open(&self, holder: &str, ttl: Duration) -> Result<Session, LeaseError> {
            let id = self.0.open(holder, ttl).await.map_err(unavailable)?;
            Ok(Session { id, ttl, holder: holder.to_owned() })
        }

        async fn renew(&self, session: &Session) -> Result<(), LeaseError> {
            let Session { id, holder, ttl } = session;
            let renewed = self.0.renew(id, holder, *ttl).await.map_err(unavailable)?;
            if renewed { Ok(()) } else { Err(LeaseError::Ended) }
        }

        async fn acquire(&self, session: &Session, slot: u32) -> Result<u64, LeaseError> {
            let locked = self.0.lock(&session.id, &routing_key(slot)).await.map_err(unavailable)?;
            match locked {
                Locked::Token(token) => Ok(token),
                _ => Err(LeaseError::Held),
            }
        }

        async fn release(&self, session: &Session, slot: u32) -> Result<(), LeaseError> {
            self.0.unlock(&session.id, &routing_key(slot)).await.map_err(unavailable)
        }

        async fn close(&self, session: &Session) -> Result<(), LeaseError> {
            self.0.close(&session.id).await.map_err(unavailable)
        }
    }
}

#[cfg(feature = "consul")]
pub use self::consul::ConsulLeases;
#[cfg(feature = "kubernetes")]
pub use self::kubernetes::KubernetesLeases;

#[cfg(any(feature = "consul", feature = "kubernetes"))]
fn unavailable(error: ringpop_discovery::DiscoveryError) -> super::LeaseError {
    super::LeaseError::unavailable(error)
}
