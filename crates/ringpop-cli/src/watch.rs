//! `--watch`: the same question again and again.

use std::fmt::Display;

use serde::Serialize;
use tokio::time::sleep;

use crate::args::WatchArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::stop::Stop;

/// Writes the answer, and with `--watch` the next ones until a signal comes or nobody reads. A
/// failure of a later question is told, and the next one is asked all the same. Gives the last
/// answer.
pub(crate) async fn answer<T, F>(
    watch: &WatchArgs,
    output: Output,
    mut ask: impl FnMut() -> F,
) -> Result<Option<T>, Failure>
where
    T: Display + Serialize,
    F: Future<Output = Result<T, Failure>>,
{
    let Some(period) = watch.watch else {
        let answer = ask().await?;
        output.emit(&answer);
        return Ok(Some(answer));
    };
    let mut stop = Stop::new(None, None)?;
    let mut last = None;
    loop {
        let answer = tokio::select! {
            answer = ask() => answer,
            _ = stop.next() => return Ok(last),
        };
        match answer {
            Ok(answer) => {
                output.clear();
                let is_read = output.emit(&answer);
                last = Some(answer);
                if !is_read {
                    return Ok(last);
                }
            }
            Err(failure) if last.is_none() => return Err(failure),
            Err(failure) => drop(failure.report()),
        }
        tokio::select! {
            () = sleep(period) => {}
            _ = stop.next() => return Ok(last),
        }
    }
}
