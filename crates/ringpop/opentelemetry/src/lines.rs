//! Spans as lines of JSON on standard output.

use std::io::Write as _;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Writes a line for each span that ends, so that the example needs no collector.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl SpanExporter for Lines {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut out = std::io::stdout().lock();
        for span in batch {
            let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
            let (parent, name) = (span.parent_span_id, span.name.escape_default());
            writeln!(
                out,
                r#"{{"trace":"{trace}","span":"{id}","parent":"{parent}","name":"{name}"}}"#
            )
            .map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?;
        }
        out.flush().map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
}
