//! What callers may hold of a member.

use std::time::Duration;

use clap::Args;
use ringpop::Builder;
use ringpop::forward::{H2Config, ServerLimits};

use crate::args::parse_duration;

/// Limits of callers. A limit that is not given is the library's default; the library checks the others.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Limits of callers")]
pub(crate) struct LimitArgs {
    /// Streams that may be open on one connection [default: 1024]
    #[arg(long, value_name = "N")]
    streams_per_connection: Option<u32>,

    /// Connections of one address [default: 1024]
    #[arg(long, value_name = "N")]
    connections_per_address: Option<usize>,

    /// PING, SETTINGS and other control frames without requests between them [default: 1000]
    #[arg(long, value_name = "N")]
    control_frames: Option<u32>,

    /// Calls that were begun and of which nothing has come [default: 4096]
    #[arg(long, value_name = "N")]
    half_open_calls: Option<usize>,

    /// How long a request may stop while nothing is answered [default: 15m]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    upload_idle_timeout: Option<Duration>,

    /// How long an answer may stay unread [default: 1m]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    unread_timeout: Option<Duration>,

    /// Bytes of unread answers of all callers [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    unread_bytes: Option<usize>,

    /// Bytes of the header list of a request or response [default: 16384]
    #[arg(long, value_name = "BYTES")]
    header_list_bytes: Option<u32>,

    /// Calls in flight, handled and forwarded together [default: 5000]
    #[arg(long, value_name = "N")]
    max_in_flight: Option<usize>,

    /// How long a call without a deadline may take [default: 10m]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    max_timeout: Option<Duration>,
}

impl LimitArgs {
    /// The builder with these limits.
    pub(crate) fn apply(&self, mut builder: Builder) -> Builder {
        if let Some(calls) = self.max_in_flight {
            builder = builder.max_in_flight(calls);
        }
        if let Some(timeout) = self.max_timeout {
            builder = builder.max_timeout(timeout);
        }
        if let Some(bytes) = self.header_list_bytes {
            let connections = H2Config::between_members().header_list_bytes(bytes);
            builder = builder.forward_connections(connections);
        }
        builder.server_limits(self.server_limits())
    }

    fn server_limits(&self) -> ServerLimits {
        fn set<T: Copy>(
            limits: ServerLimits,
            value: Option<T>,
            set: impl FnOnce(ServerLimits, T) -> ServerLimits,
        ) -> ServerLimits {
            match value {
                Some(value) => set(limits, value),
                None => limits,
            }
        }

        let mut limits = ServerLimits::default();
        limits = set(limits, self.streams_per_connection, ServerLimits::streams_per_connection);
        limits = set(limits, self.connections_per_address, ServerLimits::connections_per_address);
        limits = set(limits, self.control_frames, ServerLimits::control_frames);
        limits = set(limits, self.half_open_calls, ServerLimits::half_open_calls);
        limits = set(limits, self.upload_idle_timeout, ServerLimits::upload_idle_timeout);
        limits = set(limits, self.unread_timeout, ServerLimits::unread_timeout);
        limits = set(limits, self.unread_bytes, ServerLimits::unread_bytes);
        set(limits, self.header_list_bytes, ServerLimits::header_list_bytes)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn limits(options: &str) -> ServerLimits {
        let words = std::iter::once("ringpop").chain(options.split_whitespace());
        Line::try_parse_from(words).unwrap().limits.server_limits()
    }

    #[test]
    fn each_option_sets_its_limit() {
        let default = ServerLimits::default;
        assert_eq!(limits(""), default());
        for (option, expected) in [
            ("--streams-per-connection 7", default().streams_per_connection(7)),
            ("--connections-per-address 7", default().connections_per_address(7)),
            ("--control-frames 700", default().control_frames(700)),
            ("--half-open-calls 7", default().half_open_calls(7)),
            ("--upload-idle-timeout 7s", default().upload_idle_timeout(Duration::from_secs(7))),
            ("--unread-timeout 7s", default().unread_timeout(Duration::from_secs(7))),
            ("--unread-bytes 70000", default().unread_bytes(70_000)),
            ("--header-list-bytes 7000", default().header_list_bytes(7000)),
        ] {
            assert_eq!(limits(option), expected, "{option}");
        }
    }

    /// What the help says of defaults is typed there.
    #[test]
    fn the_defaults_in_the_help_are_those_of_the_library() {
        use ringpop::forward as f;

        let told = "--streams-per-connection 1024 --connections-per-address 1024 --control-frames 1000 \
                    --half-open-calls 4096 --upload-idle-timeout 15m --unread-timeout 1m --unread-bytes 67108864 \
                    --header-list-bytes 16384";
        assert_eq!(limits(told), ServerLimits::default());
        assert_eq!((f::IN_FLIGHT, f::MAX_TIMEOUT), (5000, Duration::from_secs(600)));
    }
}
