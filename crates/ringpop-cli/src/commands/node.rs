//! `ringpop node`: one member that serves the key-value demonstration.

mod admin_http;
mod check;
mod event;
mod faults;
mod http;
mod metrics;
mod ports;
mod ready;
mod registered;
mod report;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::{Address, Discovery, DiscoveryError, DiscoveryUrl, JsonFile, url};
use ringpop::forward::{Explain, Policy, Routes, with_causes};
use ringpop::hand_off::Map;
use ringpop::swim::Config;
use ringpop::{BindError, Builder, Problem, Ringpop, State, TracingReload};
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::event::NodeEvent;
pub(super) use self::faults::Fault;
use self::faults::Faults;
use self::http::HttpServer;
use self::registered::Registered;
use self::report::Reporter;
use crate::args::{NodeArgs, Source};
use crate::failure::Failure;
use crate::kv::pb::KV_ROUTES;
use crate::kv::pb::kv_client::KvClient;
use crate::kv::pb::kv_server::KvServer;
use crate::kv::{self, KvService};
use crate::limits::{DISCOVERY_VARIABLE, RESOLVE_TIMEOUT, SHUTDOWN_TIMEOUT};
use crate::output::{Output, has_colours};
use crate::stop::{Stop, Why};

pub(crate) async fn run(args: NodeArgs) -> Result<(), Failure> {
    let log = log(args.verbose);
    let faults = args.faults.then(Faults::new);
    if args.check {
        return check::run(&args, log, faults.as_ref()).await;
    }
    let stdin = args.exit_with_stdin.then(|| {
        faults::tie_to_parent();
        faults::take_lines(faults.clone())
    });
    let mut stop = Stop::new(args.run.duration, stdin)?;
    let member = Member::start(&args, log, faults.as_ref()).await?;
    let result = tokio::select! {
        result = member.live() => result,
        why = stop.next() => member.stopped_by(why),
    };
    tokio::select! {
        () = member.stop() => result,
        _ = stop.next() => Err(Failure::Interrupted),
    }
}

/// A running member: its node, and the HTTP server in front of it.
struct Member {
    node: Ringpop,
    http: Option<HttpServer>,
    admin_http: Option<HttpServer>,
    registered: Option<Registered>,
    lame_duck: Duration,
    reporter: Reporter,
}

impl Member {
    /// Takes all ports, then serves. Nothing is announced to others yet.
    async fn start(
        args: &NodeArgs,
        log: TracingReload,
        faults: Option<&Faults>,
    ) -> Result<Self, Failure> {
        ports::check(args)?;
        let listener = match &args.http {
            Some(address) => Some(http::bind(address, "--http").await?),
            None => None,
        };
        let admin_listener = admin_http::bind(&args.admin).await?;
        let recorder = listener.is_some().then(metrics::install).transpose()?;
        let store = kv::store();
        let listen = resolve(&args.listen).await?;
        let builder = builder(args, log, faults, listen, &store).await?;
        let node = builder.listen(listen).bind().await.map_err(unbound)?;
        let reporter = Reporter::start(Output::new(args.run.json), node.events());
        let server = KvServer::new(KvService::new(store));
        let client = KvClient::new(node.forwarder().client(server.clone()));
        node.serve(tonic::service::Routes::new(server)).map_err(Failure::failed)?;
        reporter.tell(&NodeEvent::Listening {
            app: args.app.clone(),
            address: node.whoami().to_string(),
            http: args.http.as_ref().map(ToString::to_string),
            admin_http: args.admin.admin_http.as_ref().map(ToString::to_string),
            pid: std::process::id(),
        });
        let mut router = kv::http::router(client)
            .merge(ready::router(node.clone()))
            .route_service("/ring", node.ring_list())
            .route_service("/v3/discovery:endpoints", node.ring_list());
        if let Some(recorder) = recorder {
            router = router.merge(metrics::router(node.clone(), recorder));
        }
        let http = listener.map(|listener| HttpServer::start(listener, router));
        let admin_http =
            admin_listener.map(|listener| admin_http::start(listener, &node, &args.admin));
        let register = |url| Registered::start(url, args, &node);
        let registered = args.register.as_ref().map(register).transpose()?;
        Ok(Self { node, http, admin_http, registered, lame_duck: args.lame_duck, reporter })
    }

    /// Joins the cluster and takes part until the future is dropped.
    async fn live(&self) -> Result<(), Failure> {
        self.node.bootstrap().await.map_err(Failure::failed)?;
        self.node.reached(State::Stopped).await;
        let problems = self.node.problems();
        let reason = problems.iter().find(|problem| matches!(problem, Problem::ServerEnded { .. }));
        Err(Failure::failed(
            reason.map_or_else(|| "the member stopped".to_owned(), ToString::to_string),
        ))
    }

    /// What it means for the exit code that the run ends.
    fn stopped_by(&self, why: Why) -> Result<(), Failure> {
        if why == Why::Time && self.node.state() < State::Ready {
            return Err(Failure::failed(
                "the time of --for was over before the member had joined: see the warnings above, or give it more time",
            ));
        }
        Ok(())
    }

    /// Leaves the cluster and the registry, serves on for the lame duck time, finishes the calls
    /// under way and stops.
    async fn stop(mut self) {
        let registered = self.registered.take();
        let deregistered = async {
            if let Some(registered) = registered {
                registered.end().await;
            }
        };
        tokio::join!(self.stop_serving(), deregistered);
    }

    async fn stop_serving(self) {
        if let Some(http) = self.http {
            // HTTP ends before the member does: its requests need the forwarder.
            let was_ready = self.node.state() == State::Ready;
            let lame_duck = if was_ready { self.lame_duck } else { Duration::ZERO };
            // It has nobody to tell when it stopped by itself.
            let _ = tokio::join!(self.node.leave(SHUTDOWN_TIMEOUT), sleep(lame_duck));
            http.stop().await;
        }
        // The member takes half of the time for its lame duck at most.
        self.node.shutdown(SHUTDOWN_TIMEOUT.max(2 * self.lame_duck)).await;
        if let Some(admin_http) = self.admin_http {
            admin_http.stop().await;
        }
        self.reporter.finish().await;
    }
}

/// The member that the settings ask for, but for the port that it takes: `--check` builds the same
/// one and binds it elsewhere, so that no setting is left out there.
async fn builder(
    args: &NodeArgs,
    log: TracingReload,
    faults: Option<&Faults>,
    listen: SocketAddr,
    store: &Arc<Map>,
) -> Result<Builder, Failure> {
    if let Some(address) = &args.advertise {
        check_advertised(address).await;
    }
    let mut builder = Ringpop::builder(&args.app)
        .advertise(advertised(args, listen)?)
        .config(config(args)?)
        .discovery(discovery(&args.source).await?)
        .admin_access(args.admin.access())
        .log_control(log)
        .metrics(args.http.is_some())
        .start_alone_after(args.alone_after)
        .lame_duck(args.lame_duck)
        .placement(args.placement)
        .hand_off(Arc::clone(store))
        .routes(Routes::new().table(KV_ROUTES))
        .policy(policy(args))
        // The demonstration shows which member answers.
        .explain(Explain::Always);
    builder = args.limits.apply(builder);
    if let Some(members) = args.expect {
        builder = builder.expect(members as usize, args.expect_within);
    }
    if let Some(interval) = args.beacons {
        builder = builder.beacons(interval);
    }
    if let Some(one_in) = args.hot_keys {
        builder = builder.hot_keys(one_in);
    }
    if let Some(identity) = &args.identity {
        builder = builder.identity(identity);
    }
    for (key, value) in &args.labels {
        builder = builder.label(key, value);
    }
    if let Some(weight) = args.weight {
        builder = builder.weight(weight);
    }
    if let Some(tls) = args.tls.load()? {
        builder = builder.tls(tls);
    }
    if let Some(faults) = faults {
        builder = faults.apply(builder, &args.listen, listen)?;
    }
    Ok(builder)
}

/// Why there is no member, and whose fault it is.
fn unbound(error: BindError) -> Failure {
    match error {
        BindError::OwnLabel(_)
        | BindError::IdentityEmpty
        | BindError::Label(_)
        | BindError::Config(_)
        | BindError::Forwarder(_) => Failure::Usage(error.to_string()),
        error => Failure::failed(with_causes(&error)),
    }
}

/// The timings of the membership protocol.
fn config(args: &NodeArgs) -> Result<Config, Failure> {
    let config = args.preset.config().to_builder();
    let config = config.join_duration_max(args.join_timeout).build();
    config.map_err(|error| Failure::Usage(error.to_string()))
}

/// When and where a request is sent again.
fn policy(args: &NodeArgs) -> Policy {
    let policy = Policy::default().attempt_timeout(args.attempt_timeout);
    match args.hedge_after {
        Some(delay) => policy.hedge_after(delay),
        None => policy,
    }
}

async fn resolve(address: &Address) -> Result<SocketAddr, Failure> {
    let fail = |reason: String| {
        Failure::Failed(format!(
            "cannot resolve {address} ({reason}): give --listen an address of this machine"
        ))
    };
    match timeout(RESOLVE_TIMEOUT, lookup_host(address.as_str())).await {
        Ok(Ok(mut addresses)) => {
            addresses.next().ok_or_else(|| fail("it has no address".to_owned()))
        }
        Ok(Err(error)) => Err(fail(error.to_string())),
        Err(_) => Err(fail(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs()))),
    }
}

/// The address that others use: as it was typed, because members compare addresses as text.
fn advertised(args: &NodeArgs, listen: SocketAddr) -> Result<String, Failure> {
    match &args.advertise {
        Some(address) => Ok(address.to_string()),
        None if listen.ip().is_unspecified() => Err(Failure::Usage(format!(
            "other members cannot reach {listen}: give the address that they use with --advertise"
        ))),
        None => Ok(args.listen.to_string()),
    }
}

/// Where peers come from. A file that cannot be read was most often mistyped, and waiting for it is
/// no use; one that lists nobody yet may be written later.
async fn discovery(source: &Source) -> Result<Arc<dyn Discovery>, Failure> {
    let open =
        |urls: &[DiscoveryUrl]| url::open(urls).map_err(|error| Failure::Usage(error.to_string()));
    let file = match (&source.peers, &source.hosts) {
        (Some(peers), _) => return Ok(Arc::new(peers.clone())),
        (None, Some(file)) => JsonFile::new(file),
        (None, None) if source.discovery.is_empty() => {
            return Err(Failure::Usage(format!(
                "nobody says where the peers come from: give --discovery, --peers or --hosts, or set \
                 {DISCOVERY_VARIABLE}, as in --discovery dns:workers.internal:7100"
            )));
        }
        (None, None) => return open(&source.discovery),
    };
    match file.peers().await {
        Ok(_) | Err(DiscoveryError::Empty { .. }) => Ok(Arc::new(file)),
        Err(error) => Err(Failure::failed(error)),
    }
}

/// Tells when others will not find this member by the name that it gives them. It is no error: the
/// name may come with readiness.
async fn check_advertised(address: &Address) {
    match timeout(RESOLVE_TIMEOUT, lookup_host(address.as_str())).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(
            "{address}, which others are told to use, does not resolve here ({error}): check --advertise"
        ),
        Err(_) => tracing::warn!(
            "{address}, which others are told to use, does not resolve in time: check --advertise and the resolver"
        ),
    }
}

fn log(verbose: bool) -> TracingReload {
    // A client that resets its streams has h2 and hyper warn of each connection that ends for it.
    let default = if verbose {
        "info,ringpop=debug,swim_core=debug,ringpop_forward=debug"
    } else {
        "warn,h2=error,hyper=error"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, control) = TracingReload::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would complain on standard error, and panic when that is closed as well.
        .log_internal_errors(false)
        .with_ansi(has_colours(&io::stderr()));
    tracing_subscriber::registry().with(filter).with(lines).init();
    control
}
