//! The member: what an application holds.

mod commands;
mod evictions;
mod health;
mod labels;
mod leases;
mod life;
mod lookups;
pub(crate) mod off_ring;
mod placing;
mod rolls;
mod stats;
mod warming;

use std::sync::Arc;
use std::time::Duration;

use ringpop_forward::Forwarder;
use swim_core::Isolation;
use tokio::sync::watch;

use crate::builder::Builder;
use crate::event::Events;
use crate::inner::Inner;
use crate::problem::Problem;
use crate::view::View;

pub(crate) use self::off_ring::attended;

/// One member of a cluster: its membership, its ring, its forwarder and its
/// server. Clones are the same member.
///
/// A member is [bound](Builder::bind), [serves](Self::serve),
/// [bootstraps](Self::bootstrap), and at the end [shuts down](Self::shutdown).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ringpop::{Ringpop, discovery::StaticList};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("rides")
///     .listen("127.0.0.1:0".parse()?)
///     .bind()
///     .await?;
/// member.serve(tonic::service::Routes::default())?; // the services of the application
/// member.bootstrap().await?;
///
/// assert_eq!(member.lookup(b"driver-42").as_deref(), Some(member.whoami()));
/// member.shutdown(Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[doc = include_str!("../docs/member.md")]
#[derive(Debug, Clone)]
pub struct Ringpop(pub(crate) Arc<Inner>);

impl Ringpop {
    /// Begins to set up a member of the application `app`. Members of
    /// different applications never mix.
    pub fn builder(app: impl Into<String>) -> Builder {
        Builder::new(app.into())
    }

    /// The address at which others reach this member.
    #[must_use]
    pub fn whoami(&self) -> &str {
        self.0.address.as_str()
    }

    /// The application name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.0.app
    }

    /// Members and ring as known now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.views.load()
    }

    /// The latest view, and each further one for a reader that keeps up; a slow one gets the
    /// latest. The last view of a member that stops has an empty ring.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// let mut views = member.views();
    /// member.bootstrap().await?;
    /// let view = views.wait_for(|view| !view.ring.is_empty()).await?.clone();
    /// assert_eq!(view.lookup(b"driver-42"), Some(member.whoami()));
    /// # member.shutdown(Duration::from_secs(5)).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.0.views.subscribe()
    }

    /// Checksum of the membership: equal at members with equal views. ringpop-go's
    /// `Checksum` is the one of the ring.
    #[must_use]
    pub fn membership_checksum(&self) -> u64 {
        self.0.views.with(|view| view.membership_checksum)
    }

    /// Checksum of the ring: members with equal ones agree on the owner of every key.
    #[must_use]
    pub fn ring_checksum(&self) -> u64 {
        self.0.views.with(|view| view.ring_checksum)
    }

    /// How long ago this member was [bound](Builder::bind).
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// Whether this member is in touch with the others. One that is
    /// [`Isolation::Alone`] or [`Isolation::Partial`] stays ready and serves, but may
    /// own keys that are owned by others on the other side of a partition; a
    /// service whose state must not split asks this first.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        *self.0.isolation.borrow()
    }

    /// The events from now on. A [`View`] has each change before its event.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::{Event, Ringpop, State};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// let mut events = member.events();
    /// member.serve(tonic::service::Routes::default())?;
    /// member.bootstrap().await?;
    /// member.shutdown(Duration::from_secs(5)).await;
    ///
    /// let mut states = Vec::new();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::StateChanged(state) => states.push(state),
    ///         Event::RingChanged(change) => println!("{:?} joined the ring", change.added),
    ///         Event::Missed(count) => println!("{count} events were missed: look at the view"),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(
    ///     states,
    ///     [State::Bootstrapping, State::Ready, State::Draining, State::Stopped]
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.0.listeners.subscribe()
    }

    /// What a person should look after now; empty when all is well. Also told
    /// by events, and by `ringpop status`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.0.problems.list()
    }

    /// The forwarder: a transport for generated clients that is local or
    /// remote for each call, and a layer for servers of one's own.
    #[must_use]
    pub fn forwarder(&self) -> &Forwarder {
        &self.0.forwarder
    }
}
