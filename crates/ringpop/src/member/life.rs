//! The life of a member: it serves, bootstraps, leaves and shuts down.

use std::sync::PoisonError;
use std::time::Duration;

use http::{Request, Response};
use ringpop_forward::ForwardService;
use swim_core::Node;
use swim_driver::Stopped;
use tokio::time::Instant as Clock;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::service::Routes as Services;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use super::Ringpop;
use crate::bootstrap::{self, BootstrapError, Bootstrapped, Joined};
use crate::gossip::reachable;
use crate::inner::Expected;
use crate::labels::OwnLabels;
use crate::lifecycle::Lifecycle;
use crate::own_address;
use crate::place::OwnPlace;
use crate::server::ServeError;
use crate::server::phase::Server;
use crate::shutdown::{self, ShutdownReport};
use crate::state::State;

impl Ringpop {
    /// Starts to serve on one port: membership, administration, and the
    /// services of the application behind the forwarder. Returns at once.
    ///
    /// # Errors
    ///
    /// When the member serves already or has stopped.
    pub fn serve(&self, services: Services) -> Result<(), ServeError> {
        self.serve_with(services, Identity::new())
    }

    /// As [`serve`](Self::serve), with a layer of the application around everything: forwarding,
    /// membership and administration too. It sees each request on the member that the client asked
    /// and again on the owner, after the [limits] on connections and
    /// streams and before the forwarder. Layers for calls that are handled here alone belong around
    /// the services.
    ///
    /// Tell the requests of members apart by their path, which begins with
    /// `/ringpop.v1.`: a layer that refuses those cuts this member off.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::Ringpop;
    /// use ringpop::tonic::body::Body;
    /// use tower::util::MapRequestLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// let log = MapRequestLayer::new(|request: http::Request<Body>| {
    ///     println!("{}", request.uri().path());
    ///     request
    /// });
    /// member.serve_with(tonic::service::Routes::default(), log)?;
    /// # member.shutdown(Duration::from_secs(5)).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// [limits]: crate::Builder::server_limits
    pub fn serve_with<L, B>(&self, services: Services, layer: L) -> Result<(), ServeError>
    where
        L: Layer<ForwardService<Services>> + Clone + Send + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<StdError> + Send,
        B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let mut server = self.0.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.start(&self.0, services, layer)
    }

    /// Finds the other members and joins them. After that, this member owns
    /// keys. Takes at most the join duration of the configuration; dropping
    /// the future gives up, and another call goes on from there: a member that has joined by then
    /// stays joined.
    ///
    /// Discovery is asked again after each pause. When it has nobody to join
    /// for [`Builder::start_alone_after`], this member begins a cluster of its
    /// own: an event and the log say so ([`Problem::Alone`]), and it goes on
    /// looking.
    ///
    /// # Errors
    ///
    /// When the member does not serve yet, another process answers at its
    /// address, no peer that discovery lists could be joined, or discovery
    /// could not be asked for all that time. It may be tried again.
    /// [`BootstrapError::Stopped`] when the member is shut down meanwhile.
    ///
    /// [`Builder::start_alone_after`]: crate::Builder::start_alone_after
    /// [`Problem::Alone`]: crate::Problem::Alone
    pub async fn bootstrap(&self) -> Result<Bootstrapped, BootstrapError> {
        let inner = &self.0;
        let serving = matches!(
            *inner.server.lock().unwrap_or_else(PoisonError::into_inner),
            Server::Running { .. }
        );
        if !serving {
            let state = self.state();
            let is_over = matches!(state, State::Draining | State::Stopped);
            return Err(if is_over {
                BootstrapError::State(state)
            } else {
                BootstrapError::NotServing
            });
        }
        let lifecycle = &inner.lifecycle;
        lifecycle.advance(&[State::Bound], State::Bootstrapping).map_err(BootstrapError::State)?;
        let _back_if_it_fails = BackOnDrop(lifecycle);
        let began = Clock::now();
        let joined = tokio::select! {
            biased;
            () = lifecycle.reached(State::Draining) => return Err(BootstrapError::Stopped),
            joined = self.join() => joined?,
        };
        let Joined { mut bootstrapped, alone } = joined;
        match alone {
            Some(problem) if !inner.is_meant_to_be_alone => inner.problems.begin(problem),
            Some(_) => {
                tracing::info!(member = %inner.address, "a cluster of one: no discovery is set");
            }
            None => {}
        }
        if let Some(Expected { members, within }) = inner.expected {
            let expected = inner.handle.expect_members(members, began, within);
            bootstrapped.members = tokio::select! {
                biased;
                () = lifecycle.reached(State::Draining) => return Err(BootstrapError::Stopped),
                members = expected => members.map_err(|_| BootstrapError::Stopped)?,
            };
        }
        self.come_onto_ring().await?;
        lifecycle
            .advance(&[State::Bootstrapping], State::Ready)
            .map_err(|_| BootstrapError::Stopped)?;
        Ok(bootstrapped)
    }

    /// Has a member own nothing when it joins, where it has to wait, and forgets what it had
    /// planned and whose place it had before it left.
    pub(crate) async fn stay_off_ring(&self) -> Result<(), BootstrapError> {
        // A move that is under way would go on to say what it plans.
        let _turn = self.0.planner.turn().await;
        let waits = self.0.planner.joins_without_keys();
        let change = |own: &mut OwnLabels| {
            own.next = None;
            own.weight = own.asked_weight.take().unwrap_or(own.weight);
            own.waits = waits;
            own.place = OwnPlace::default();
            Ok(())
        };
        self.0.update_labels(change).await.map_err(|_| BootstrapError::Stopped)
    }

    /// Owns keys from now on, once others have handed over what they hold of them; in a roll, once
    /// a member of another version leaves.
    pub(crate) async fn come_onto_ring(&self) -> Result<(), BootstrapError> {
        if !self.0.labels.lock().await.waits {
            return Ok(());
        }
        let stands_by = self.stand_by_in_a_roll().await.map_err(|_| BootstrapError::Stopped)?;
        if stands_by {
            return Ok(());
        }
        self.take_keys().await.map_err(|_| BootstrapError::Stopped)
    }

    /// Joins, unless an earlier call that was given up has.
    pub(crate) async fn join(&self) -> Result<Joined, BootstrapError> {
        let inner = &self.0;
        let joined =
            |node: &mut Node, _| (node.state() == swim_core::State::Ready).then(|| reachable(node));
        if let Some(members) =
            inner.handle.with(joined).await.map_err(|_| BootstrapError::Stopped)?
        {
            let bootstrapped = Bootstrapped { joined: Vec::new(), members };
            return Ok(Joined { bootstrapped, alone: None });
        }
        if inner.checks_address {
            own_address::check(&inner.address, inner.instance, &inner.security).await?;
        }
        let setup = bootstrap::Setup {
            handle: &inner.handle,
            lifecycle: &inner.lifecycle,
            hosts: &inner.hosts,
            app: &inner.app,
            alone_after: inner.alone_after,
        };
        bootstrap::join(setup).await
    }

    /// Leaves the ring and tells the others, within `limit`, and goes on to serve
    /// and forward everything: the first half of a [`shutdown`](Self::shutdown), which
    /// has to follow. Gives how many members confirmed that they know.
    ///
    /// For a process with front ends of its own, such as an HTTP server, which need
    /// the forwarder until their last request is answered. It leaves, tells its
    /// clients by its readiness to go elsewhere, waits for the lame duck time, stops
    /// its front ends, and shuts down.
    ///
    /// Health says NOT_SERVING and the state is [`State::Draining`] at once. A join that
    /// is under way is given up.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn leave(&self, limit: Duration) -> Result<usize, Stopped> {
        if self.state() == State::Stopped {
            return Err(Stopped);
        }
        Ok(shutdown::leave_within(&self.0, limit).await)
    }

    /// Stops gracefully within `limit`: health says NOT_SERVING, the member leaves the ring and
    /// tells the others, keeps serving and forwarding for the [lame duck] time
    /// and until the calls under way are done, then stops and frees its port. A join that is under
    /// way is given up. After [`leave`](Self::leave) the lame duck time is over.
    ///
    /// It goes on when the future is dropped. A second call waits for the first
    /// one, and hurries it when its `limit` ends sooner.
    ///
    /// [lame duck]: crate::Builder::lame_duck
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        shutdown::run(&self.0, limit).await
    }

    /// Where the member is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.lifecycle.state()
    }

    /// Waits until the member is in the state `wanted` or a later one.
    pub async fn reached(&self, wanted: State) {
        self.0.lifecycle.reached(wanted).await;
    }
}

/// Leads back to [`State::Bound`] when a bootstrap fails or is given up.
struct BackOnDrop<'a>(&'a Lifecycle);

impl Drop for BackOnDrop<'_> {
    fn drop(&mut self) {
        // Another state means that the member is ready or being shut down.
        let _ = self.0.advance(&[State::Bootstrapping], State::Bound);
    }
}
