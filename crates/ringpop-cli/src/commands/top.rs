//! `ringpop top`: all members and what they do, live on a terminal, or once elsewhere.

mod hot_keys;
mod screen;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use ratatui::crossterm::event::{KeyCode, KeyModifiers};
use ringpop::admin_client::GetStatusResponse;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use self::hot_keys::HotKey;
use self::screen::{Position, Screen};
use crate::admin::Admin;
use crate::args::TopArgs;
use crate::cluster::{Cluster, Unreached, status_name, unreached_lines};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::limits::{CRAWL_ANSWER_TIMEOUT, CRAWL_CONCURRENCY, TOP_PERIOD_MAX, TOP_PERIOD_MIN};
use crate::output::{Output, columns, printable};
use crate::stop::Stop;

pub(super) async fn run(args: TopArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let mut samples = Samples::default();
    let first = samples.take(&admin).await?;
    let is_live = io::stdout().is_terminal() && io::stdin().is_terminal() && !args.target.json;
    if !is_live {
        Output::new(args.target.json).emit(&first);
        return Ok(());
    }
    let stop = Stop::new(None, None)?;
    let mut screen = Screen::open()
        .map_err(|error| Failure::failed(format!("this terminal cannot be used: {error}")))?;
    let result = live(&admin, samples, first, &mut screen, stop, args.period).await;
    drop(screen);
    result
}

/// Shows one sample after the other until a key or a signal ends it.
async fn live(
    admin: &Admin,
    mut samples: Samples,
    mut shown: Top,
    screen: &mut Screen,
    mut stop: Stop,
    mut period: Duration,
) -> Result<(), Failure> {
    let mut keys = Keys::read().map_err(Failure::failed)?;
    let mut position = Position::default();
    let mut due = Instant::now() + period;
    loop {
        screen.draw(&shown, &position, period).map_err(Failure::failed)?;
        let asked = async {
            sleep_until(due).await;
            if position.is_paused {
                std::future::pending::<()>().await;
            }
            samples.take(admin).await
        };
        tokio::select! {
            sample = asked => {
                due = Instant::now() + period;
                match sample {
                    Ok(sample) => {
                        shown = sample;
                        position.trouble = None;
                    }
                    Err(failure) => position.trouble = Some(failure.to_string()),
                }
            }
            key = keys.next() => match key.code {
                KeyCode::Char('q') => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Char(' ') => position.is_paused = !position.is_paused,
                KeyCode::Char('+') => period = (period / 2).max(TOP_PERIOD_MIN),
                KeyCode::Char('-') => period = (period * 2).min(TOP_PERIOD_MAX),
                KeyCode::Up => position.first = position.first.saturating_sub(1),
                KeyCode::Down => position.first += 1,
                KeyCode::PageUp => position.first = position.first.saturating_sub(10),
                KeyCode::PageDown => position.first += 10,
                _ => {}
            },
            _ = stop.next() => return Ok(()),
        }
        position.first = position.first.min(shown.members.len().saturating_sub(1));
    }
}

/// What members counted when they were asked last.
#[derive(Debug, Default)]
struct Samples(BTreeMap<String, Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    instance: u64,
    uptime_ms: u64,
    counts: [u64; RATES.len()],
}

/// Counters of which a rate is shown.
const RATES: [&str; 3] = ["membership.pings_sent", "forward.local", "forward.forwarded"];

/// All members at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Top {
    /// Groups of members that have one view.
    views: usize,
    members: Vec<Row>,
    /// The keys of most calls; none where members count none, or do not tell this process.
    hot_keys: Vec<HotKey>,
    unreached: Vec<Unreached>,
}

/// A member and what it does; rates are for a second.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    address: String,
    state: String,
    /// In which statuses members see it, and how many do.
    seen: BTreeMap<&'static str, usize>,
    share: f64,
    pings: f64,
    handled: f64,
    forwarded: f64,
    in_flight: u64,
    problems: usize,
}

impl Samples {
    async fn take(&mut self, admin: &Admin) -> Result<Top, Failure> {
        let cluster = Cluster::crawl_from(admin.clone(), admin.status().await?).await?;
        let ask = |address: String| async move {
            let member = admin.beside(&address)?;
            let status = member.status_within(CRAWL_ANSWER_TIMEOUT);
            let (status, keys) = tokio::join!(status, hot_keys::ask(&member));
            Ok::<_, Failure>((address, status, keys))
        };
        let addresses: Vec<_> = cluster.members.keys().cloned().collect();
        let mut answers = stream::iter(addresses.into_iter().map(ask)).buffered(CRAWL_CONCURRENCY);
        let (mut members, mut hot_keys) = (Vec::new(), Vec::new());
        let mut unreached = cluster.unreached.clone();
        while let Some(answer) = answers.next().await {
            match answer? {
                (address, Ok(status), keys) => {
                    members.push(self.row(&cluster, address, &status));
                    hot_keys.extend(keys);
                }
                (address, Err(failure), _) => {
                    unreached.push(Unreached { address, reason: failure.to_string() });
                }
            }
        }
        let hot_keys = hot_keys::most(hot_keys);
        Ok(Top { views: cluster.views.len(), members, hot_keys, unreached })
    }

    fn row(&mut self, cluster: &Cluster, address: String, status: &GetStatusResponse) -> Row {
        let counter = |name: &str| {
            let counter = status.counters.iter().find(|counter| counter.name == name);
            counter.map_or(0, |counter| counter.value)
        };
        let now = Sample {
            instance: status.instance,
            uptime_ms: status.uptime_ms,
            counts: RATES.map(counter),
        };
        // Another process began anew; without an earlier sample the rates are those of its life.
        let before = self.0.insert(address.clone(), now);
        let before = before.filter(|before| before.instance == now.instance);
        let before = before.unwrap_or(Sample { uptime_ms: 0, counts: [0; RATES.len()], ..now });
        let seconds = now.uptime_ms.saturating_sub(before.uptime_ms).max(1) as f64 / 1000.0;
        let rate = |n: usize| now.counts[n].saturating_sub(before.counts[n]) as f64 / seconds;
        let own = status.members.iter().find(|member| member.address == address);
        let mut seen = BTreeMap::new();
        for view in cluster.views.values() {
            let member = view.members.iter().find(|member| member.address == address);
            let name = member.map_or("unknown", |member| status_name(member.status));
            *seen.entry(name).or_default() += view.of.len();
        }
        Row {
            seen,
            state: status.state.clone(),
            share: own.map_or(0.0, |own| own.share),
            pings: rate(0),
            handled: rate(1),
            forwarded: rate(2),
            in_flight: counter("forward.in_flight"),
            problems: status.problems.len(),
            address,
        }
    }
}

/// Headings of the columns.
const HEAD: [&str; 9] = [
    "ADDRESS",
    "STATE",
    "SEEN",
    "SHARE",
    "PINGS/S",
    "HANDLED/S",
    "FORWARDED/S",
    "IN FLIGHT",
    "PROBLEMS",
];

impl Row {
    fn cells(&self) -> [String; 9] {
        let seen: Vec<_> = match self.seen.len() {
            1 => self.seen.keys().map(|status| (*status).to_owned()).collect(),
            _ => self.seen.iter().map(|(status, by)| format!("{status} by {by}")).collect(),
        };
        [
            printable(&self.address),
            printable(&self.state),
            seen.join(", "),
            format!("{:.1} %", self.share * 100.0),
            format!("{:.1}", self.pings),
            format!("{:.1}", self.handled),
            format!("{:.1}", self.forwarded),
            self.in_flight.to_string(),
            self.problems.to_string(),
        ]
    }
}

impl Top {
    fn summary(&self) -> String {
        let members = self.members.len();
        match self.views {
            1 => format!("{members} members have one view"),
            views => format!("{members} members have {views} views"),
        }
    }
}

impl fmt::Display for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.summary())?;
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.members.iter().map(Row::cells));
        f.write_str(columns(&rows).trim_end())?;
        if !self.hot_keys.is_empty() {
            let mut rows = vec![hot_keys::HEAD.map(str::to_owned)];
            rows.extend(self.hot_keys.iter().map(HotKey::cells));
            write!(f, "\n\n{}", columns(&rows).trim_end())?;
        }
        f.write_str(&unreached_lines(&self.unreached))
    }
}
