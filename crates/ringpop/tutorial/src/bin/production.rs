//! Step 3: certificates on both sides, health, metrics and a graceful stop.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::{Routes, Tls, TlsFiles};
use ringpop_tutorial::SessionStore;
use ringpop_tutorial::sessions::SESSIONS_ROUTES;
use ringpop_tutorial::sessions::sessions_server::SessionsServer;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, peers, certificates, metrics] = args.as_slice() else {
        return Err(
            "usage: production HOST:PORT HOST:PORT,... CERTIFICATES METRICS_HOST:PORT".into()
        );
    };
    PrometheusBuilder::new()
        .with_http_listener(metrics.parse::<std::net::SocketAddr>()?)
        .install()?;

    let file = |name: &str| format!("{certificates}/{name}");
    let files = TlsFiles::new(file("member.pem"), file("member-key.pem"), file("ca.pem"))
        .anonymous_clients(true);
    let member = Ringpop::builder("sessions")
        .listen(listen.parse()?)
        .discovery(Arc::new(StaticList::parse(peers)?))
        .routes(Routes::new().table(SESSIONS_ROUTES))
        .tls(Tls::new(files)?)
        .metrics(true)
        .bind()
        .await?;

    let sessions = SessionsServer::new(SessionStore::new(listen));
    member.serve(tonic::service::Routes::new(sessions))?;
    member.bootstrap().await?;
    println!("ready at {}", member.whoami());

    // An orchestrator stops a process with SIGTERM.
    let mut stop = signal(SignalKind::terminate())?;
    let mut every_5_s = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every_5_s.tick() => member.record_metrics().await,
            _ = stop.recv() => break,
        }
    }
    let report = member.shutdown(Duration::from_secs(10)).await;
    println!("stopped; {} calls were cut off", report.cut_off);
    Ok(())
}
