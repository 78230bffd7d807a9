//! What it costs to find the key in a message, beside decoding the message.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use prost::Message;
use ringpop_forward::Key;

use crate::api::Ask;
use crate::peek::{PeekError, Value, find};
use crate::report::{Bar, Report, Row};
use crate::spread::quantile;

/// Repetitions of one turn, and turns.
const REPETITIONS: u32 = 20_000;
const TURNS: usize = 60;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    for bytes in [64, 4096] {
        let ask = Ask { key: "user-42".to_owned(), payload: vec![7; bytes].into(), count: 3 };
        let message = bytes::Bytes::from(ask.encode_to_vec());
        let found = key(&message)?;
        ensure!(found.is_some_and(|key| key.as_bytes() == b"user-42"), "the key is not found");
        let (mut peeks, mut decodes) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            peeks.push(nanoseconds(|| key(black_box(&message)).is_ok()));
            decodes.push(nanoseconds(|| Ask::decode(black_box(message.clone())).is_ok()));
        }
        let row = Row::new(format!("peek a key, {bytes} B"), "ns", quantile(&mut peeks, 0.0))
            .peer("prost", quantile(&mut decodes, 0.0));
        report.add(&row.bar(Bar::AtMost(0.4)));
    }
    Ok(())
}

/// The key of a message, as the forwarder takes it.
fn key(message: &[u8]) -> Result<Option<Key>, PeekError> {
    Ok(find(message, &[1], false)?.and_then(|value| match value {
        Value::Bytes(bytes) => Some(bytes.into()),
        Value::Number(number) => Some(number.into()),
        Value::Group => None,
    }))
}

fn nanoseconds(mut operation: impl FnMut() -> bool) -> f64 {
    let begin = Instant::now();
    for _ in 0..REPETITIONS {
        black_box(operation());
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(REPETITIONS)
}
