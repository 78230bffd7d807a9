//! What callers may hold of a member.

use std::time::Duration;

use clap::Args;
use humantime::format_duration;
use ringpop::Builder;
use ringpop::forward::{H2Config, ServerLimits};

use crate::duration::parse_duration;
use crate::failure::Failure;

/// Limits of callers. A limit that is not given is the library's default; the library checks the
/// others.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
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

    /// Bytes of requests of all callers that nobody can use yet [default: 50331648]
    #[arg(long, value_name = "BYTES")]
    request_bytes: Option<usize>,

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

    /// How long the first message of a call may take [default: 30s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_duration)]
    first_message_timeout: Option<Duration>,
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
        if let Some(timeout) = self.first_message_timeout {
            builder = builder.first_message_timeout(timeout);
        }
        if let Some(bytes) = self.header_list_bytes {
            let connections = H2Config::between_members().header_list_bytes(bytes);
            builder = builder.forward_connections(connections);
        }
        builder.server_limits(self.server_limits())
    }

    /// Fails when a limit of the server is out of bounds, before a process is started with it.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.server_limits().check().map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The options that give a member these limits.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let count = |value: Option<usize>| value.map(|value| value.to_string());
        let small = |value: Option<u32>| value.map(|value| value.to_string());
        let time = |value: Option<Duration>| value.map(|value| format_duration(value).to_string());
        [
            ("streams-per-connection", small(self.streams_per_connection)),
            ("connections-per-address", count(self.connections_per_address)),
            ("control-frames", small(self.control_frames)),
            ("half-open-calls", count(self.half_open_calls)),
            ("upload-idle-timeout", time(self.upload_idle_timeout)),
            ("request-bytes", count(self.request_bytes)),
            ("unread-timeout", time(self.unread_timeout)),
            ("unread-bytes", count(self.unread_bytes)),
            ("header-list-bytes", small(self.header_list_bytes)),
            ("max-in-flight", count(self.max_in_flight)),
            ("max-timeout", time(self.max_timeout)),
            ("first-message-timeout", time(self.first_message_timeout)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("--{name}={}", value?.replace(' ', ""))))
        .collect()
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
        limits = set(limits, self.request_bytes, ServerLimits::request_bytes);
        limits = set(limits, self.unread_timeout, ServerLimits::unread_timeout);
        limits = set(limits, self.unread_bytes, ServerLimits::unread_bytes);
        set(limits, self.header_list_bytes, ServerLimits::header_list_bytes)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parse(options: &str) -> LimitArgs {
        let words = std::iter::once("ringpop").chain(options.split_whitespace());
        Line::try_parse_from(words).unwrap().limits
    }

    fn limits(options: &str) -> ServerLimits {
        parse(options).server_limits()
    }

    /// `dev` gives its members every option that it takes.
    #[test]
    fn each_option_is_passed_on() {
        let names: Vec<_> = Line::command()
            .get_arguments()
            .filter_map(|option| option.get_long().map(str::to_owned))
            .filter(|name| name != "help")
            .collect();
        assert_eq!(names.len(), 12);
        for name in names {
            let is_time = name.ends_with("timeout");
            let value = if is_time { "1h30m1s500ms" } else { "7000" };
            let option = format!("--{name}={value}");
            let args = parse(&option);
            assert_eq!(args.arguments().len(), 1, "{option}");
            assert_eq!(parse(&args.arguments()[0]), args, "{option}");
        }
        assert!(parse("").arguments().is_empty());
    }

    #[test]
    fn a_limit_that_is_out_of_bounds_is_named() {
        let Err(Failure::Usage(message)) = parse("--unread-bytes 1").check() else {
            panic!("one byte is too little");
        };
        assert!(message.contains("unread_bytes is 1"), "{message}");
        assert!(parse("").check().is_ok());
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
            ("--request-bytes 7000000", default().request_bytes(7_000_000)),
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
                    --request-bytes 50331648 \
                    --header-list-bytes 16384";
        assert_eq!(limits(told), ServerLimits::default());
        assert_eq!((f::IN_FLIGHT, f::TIMEOUT_MAX_DEFAULT), (5000, Duration::from_secs(600)));
        assert_eq!(f::FIRST_MESSAGE_TIMEOUT, Duration::from_secs(30));
    }
}
