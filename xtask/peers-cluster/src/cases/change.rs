//! From a change of the membership to the view that has it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use ringpop::PlacementChoice;

use crate::crowd::Crowd;
use crate::measure::{median, micros};
use crate::process::runtime_of;
use crate::report::{Bar, Report, Row};
use crate::spread::quantile;

const MEMBERS: usize = 1_000;
const CHANGES: usize = 1_000;
/// Time between two changes: a hundred in a second, more than any cluster of this size has. Without
/// it a view would wait for the processor behind the work of the one before.
const CHANGE_INTERVAL: Duration = Duration::from_millis(10);
/// Members that change at once.
const BATCH: usize = 10;
/// The figure by which a member measures the same itself.
const PUBLISHED: &str = "ringpop_view_publish_seconds";

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let recorder = Published::default();
    let published = recorder.clone();
    // A second run in one process records into the first recorder, which is still read here.
    let _ = metrics::set_global_recorder(recorder);
    let runtime = runtime_of(2)?;
    for placement in [PlacementChoice::Ring { points: 100 }, PlacementChoice::Rendezvous] {
        let published = published.clone();
        let rows = runtime.block_on(runtime.handle().spawn(measure(placement, published)))??;
        rows.iter().for_each(|row| report.add(row));
    }
    Ok(())
}

async fn measure(placement: PlacementChoice, published: Published) -> Result<Vec<Row>> {
    let mut crowd = Crowd::gather(MEMBERS, placement).await?;
    let placement = crowd.placement();
    let mut published_in = Vec::new();
    let mut whole = Vec::with_capacity(CHANGES);
    for n in [1, BATCH] {
        published.take();
        for i in 0..CHANGES / n {
            tokio::time::sleep(CHANGE_INTERVAL).await;
            let began = Instant::now();
            // Each weight goes up and down again, so that the ring keeps its size.
            crowd.change(i / 2 * n, n).await?;
            if n == 1 {
                whole.push(micros(began.elapsed()));
            }
        }
        published_in.push(published.take());
    }
    let [mut one, mut ten] = <[Vec<f64>; 2]>::try_from(published_in).unwrap_or_default();
    let case = format!("change to view p99, {MEMBERS} members, {placement}");
    let all = Row::new(case, "us", quantile(&mut one, 0.99)).bar(Bar::ValueAtMost(1_000.0));
    let all = all.note(format!(
        "p50 {:.0} us; with the message that brings it p99 {:.0} us",
        median(&mut one),
        quantile(&mut whole, 0.99)
    ));
    let case = format!("batch of {BATCH} to view p50, {placement}");
    let batch = Row::new(case, "us", median(&mut ten)).peer("one change", median(&mut one));
    Ok(vec![all, batch.bar(Bar::AtMost(2.0))])
}

/// Records how long views take, in microseconds.
#[derive(Clone, Default)]
struct Published(Arc<Mutex<Vec<f64>>>);

impl Published {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HistogramFn for Published {
    fn record(&self, seconds: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(seconds * 1e6);
    }
}

impl Recorder for Published {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == PUBLISHED {
            return Histogram::from_arc(Arc::new(self.clone()));
        }
        Histogram::noop()
    }
}
