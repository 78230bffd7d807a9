//! A member whose requests are spans of OpenTelemetry: one trace over all members that a request
//! comes to.
//!
//! ```sh
//! cargo run -- 127.0.0.1:7101 127.0.0.1:7101,127.0.0.1:7102
//! cargo run -- 127.0.0.1:7102 127.0.0.1:7101,127.0.0.1:7102
//! curl http://127.0.0.1:7101/drivers/42
//! ```

mod lines;
mod traced;

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use ringpop::tonic::service::Routes as Services;
use tower::layer::layer_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::lines::Lines;
use crate::traced::Traced;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(peers)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ringpop-opentelemetry-example LISTEN PEER,PEER,...".into());
    };

    // A service exports to a collector: the exporter of `opentelemetry-otlp` in the place of this.
    let provider = SdkTracerProvider::builder().with_simple_exporter(Lines).build();
    let tracer = provider.tracer("rides");
    tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer)).init();

    let driver =
        |head: &http::request::Parts| head.uri.path().strip_prefix("/drivers/").map(Into::into);
    let member = Ringpop::builder("rides")
        .listen(listen.parse()?)
        .discovery(StaticList::parse(&peers)?)
        .http1(true)
        .routes(Routes::new().any_head(driver))
        .bind()
        .await?;

    let here = member.whoami().to_owned();
    let locate = move |Path(id): Path<String>| async move { format!("driver {id} is at {here}\n") };
    let router = Router::new().route("/drivers/{id}", get(locate));
    // Outside of the forwarder: it sees a request where it arrives, and again at its owner.
    member.serve_with(Services::from(router), layer_fn(Traced::new))?;
    member.bootstrap().await?;

    tokio::signal::ctrl_c().await?;
    member.shutdown(Duration::from_secs(10)).await;
    Ok(provider.shutdown()?)
}
