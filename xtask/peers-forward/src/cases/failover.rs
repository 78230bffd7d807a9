//! What an owner that is gone costs its callers.

use std::time::{Duration, Instant};

use anyhow::Result;
use ringpop_forward::CONNECT_TIMEOUT;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Stage;
use crate::measure::{Subject, median};
use crate::report::{Bar, Report, Row};
use crate::roles::{FIRST, THERE};

/// An owner that refuses connections: its port was free a moment ago.
async fn dead_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

async fn milliseconds(subject: &mut Subject) -> Result<f64> {
    let begin = Instant::now();
    subject.call().await?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// The first call to each of many dead owners.
pub(crate) async fn dead(stage: &Stage, report: &mut Report) -> Result<()> {
    let node = stage.node.client().await?;
    let (mut normal, mut failed_over) = (Vec::new(), Vec::new());
    for _ in 0..stage.rounds * 4 {
        normal.push(milliseconds(&mut Subject::new(&node, THERE, 64)).await?);
        let key = format!("{FIRST}{}", dead_address().await?);
        failed_over.push(milliseconds(&mut Subject::new(&node, &key, 64)).await?);
    }
    let (normal, most) =
        (median(normal), failed_over.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let row = Row::new(
        stage.case("dead first owner, above normal, median"),
        "ms",
        median(failed_over) - normal,
    );
    report.add(&row.bar(Bar::ValueAtMost(3.0)).note(format!("most {:.2}", most - normal)));
    Ok(())
}

/// An owner that answers nothing: packets to it are dropped, because the queue of its socket is
/// full.
struct BlackHole {
    address: String,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    async fn new() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        // A connection that is not established at once will not be.
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(100), TcpStream::connect(address)).await
        {
            queue.push(stream);
        }
        Ok(Self { address: address.to_string(), _listener: listener, _queue: queue })
    }
}

/// The first call waits for the dial; those that follow must not, for as long as the owner stays a
/// hole.
pub(crate) async fn black_hole(stage: &Stage, report: &mut Report) -> Result<()> {
    let node = stage.node.client().await?;
    let hole = BlackHole::new().await?;
    let key = format!("{FIRST}{}", hole.address);
    let mut subject = Subject::new(&node, &key, 64);
    let first = milliseconds(&mut subject).await?;
    let limit = CONNECT_TIMEOUT.as_secs_f64() * 1e3;
    let row = Row::new(stage.case("black-holed first owner, first call"), "ms", first);
    report.add(&row.bar(Bar::ValueAtMost(limit + 20.0)));
    // Long enough to see several attempts of the circuit to close again.
    let (begin, mut most, mut calls) = (Instant::now(), 0.0_f64, 0);
    while begin.elapsed() < 5 * CONNECT_TIMEOUT {
        most = most.max(milliseconds(&mut subject).await?);
        calls += 1;
    }
    let row = Row::new(stage.case("black-holed first owner, later calls"), "ms", most);
    report.add(&row.bar(Bar::ValueAtMost(100.0)).note(format!("most of {calls} calls")));
    Ok(())
}
