//! A member for tests, with the command line that Ringpop's cross-language
//! suite gives to the programs it drives:
//!
//! ```text
//! testpop --hosts=FILE --listen=IP:PORT [--identity=NAME] [--suspect-period=MS]
//!         [--faulty-period=MS] [--tombstone-period=MS] [--checksum=auto|go|node]
//! ```
//!
//! On SIGTERM it declares itself faulty, tells some of the others, and ends
//! with success; on SIGINT it ends at once.

use std::io::{Write as _, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use ringpop_tchannel::discovery::JsonFile;
use ringpop_tchannel::{Bridge, ChecksumForm, Config};

/// The name under which the suite knows its cluster.
const APP: &str = "ringpop";

/// How long this process goes on at its end to tell others.
const EVICTION_LIMIT: Duration = Duration::from_secs(10);

struct Options {
    hosts: String,
    listen: SocketAddr,
    identity: Option<String>,
    suspect_period: Duration,
    faulty_period: Duration,
    tombstone_period: Duration,
    checksum_form: Option<ChecksumForm>,
}

impl Default for Options {
    /// Those of the other implementations.
    fn default() -> Self {
        Self {
            hosts: "./hosts.json".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            identity: None,
            suspect_period: Duration::from_secs(5),
            faulty_period: Duration::from_secs(24 * 60 * 60),
            tombstone_period: Duration::from_secs(5),
            checksum_form: None,
        }
    }
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for arg in args {
            let (name, value) = arg
                .split_once('=')
                .ok_or_else(|| format!("{arg}: every option has the form --name=value"))?;
            match name {
                "--hosts" => options.hosts = value.to_owned(),
                "--listen" => options.listen = socket(name, value)?,
                "--identity" => options.identity = Some(value.to_owned()),
                "--suspect-period" => options.suspect_period = period(name, value)?,
                "--faulty-period" => options.faulty_period = period(name, value)?,
                "--tombstone-period" => options.tombstone_period = period(name, value)?,
                "--checksum" => options.checksum_form = form(value)?,
                _ => return Err(format!("{name}: no such option")),
            }
        }
        Ok(options)
    }
}

fn socket(name: &str, value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| format!("{name}: `{value}` is no IP:PORT"))
}

fn period(name: &str, value: &str) -> Result<Duration, String> {
    let ms =
        value.parse().map_err(|_| format!("{name}: `{value}` is no number of milliseconds"))?;
    Ok(Duration::from_millis(ms))
}

fn form(value: &str) -> Result<Option<ChecksumForm>, String> {
    match value {
        "auto" => Ok(None),
        "go" => Ok(Some(ChecksumForm::Go)),
        "node" => Ok(Some(ChecksumForm::Node)),
        _ => Err(format!("--checksum: `{value}` is neither auto nor go nor node")),
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::ringpop()
        .to_builder()
        .suspect_timeout(options.suspect_period)
        .faulty_timeout(options.faulty_period)
        .tombstone_timeout(options.tombstone_period)
        .build()?;
    let mut builder = Bridge::builder(APP)
        .listen(options.listen)
        .discovery(JsonFile::new(options.hosts))
        // As the other implementations do, the suite does not wait for more.
        .start_alone_after(Duration::ZERO)
        .config(config);
    if let Some(form) = options.checksum_form {
        builder = builder.checksum_form(form);
    }
    if let Some(identity) = options.identity {
        builder = builder.identity(identity);
    }
    let end = end()?;
    let bridge = builder.bind().await?;
    let joined_and_for_ever = async {
        let bootstrapped = bridge.bootstrap().await?;
        // The parent of this process may have closed the other end.
        let _ = writeln!(
            stdout(),
            "joined by {} of {}",
            bootstrapped.joined.len(),
            bootstrapped.members
        );
        std::future::pending::<Result<(), Box<dyn std::error::Error>>>().await
    };
    tokio::select! {
        failed = joined_and_for_ever => failed,
        others_are_told = end => {
            if others_are_told {
                // Refused when it has not joined: then there is nobody to tell.
                let _ = bridge.evict_self(EVICTION_LIMIT).await;
            }
            Ok(())
        }
    }
}

/// Waits until the process is to end, and tells whether others are told first.
#[cfg(unix)]
fn end() -> std::io::Result<impl Future<Output = bool>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => false,
        }
    })
}

/// Waits until the process is to end, and tells whether others are told first.
#[cfg(not(unix))]
fn end() -> std::io::Result<impl Future<Output = bool>> {
    Ok(async { tokio::signal::ctrl_c().await.is_ok() })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("testpop: {message}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testpop: {error}");
            ExitCode::FAILURE
        }
    }
}
