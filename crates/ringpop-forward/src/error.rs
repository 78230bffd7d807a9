//! What can be wrong with a configuration.

use std::time::Duration;

use thiserror::Error;

/// Why [`Builder::build`](crate::Builder::build) refused a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside of its range.
    #[error("{field} is {value}, it must be between {min} and {max}")]
    Range {
        /// The builder method.
        field: &'static str,
        /// The value.
        value: u64,
        /// Smallest allowed value.
        min: u64,
        /// Largest allowed value.
        max: u64,
    },
    /// A duration is outside of its range.
    #[error("{field} is {value:?}, it must be between {min:?} and {max:?}")]
    DurationRange {
        /// The builder method.
        field: &'static str,
        /// The value.
        value: Duration,
        /// Smallest allowed value.
        min: Duration,
        /// Largest allowed value.
        max: Duration,
    },
    /// The name of this process cannot be a header value.
    #[error("name {value:?} must be 1 to {max} visible ASCII characters without ';' and ','")]
    Name {
        /// The value.
        value: String,
        /// Longest name in bytes.
        max: usize,
    },
    /// A route's path is not a path.
    #[error("route path {path:?} must have the form /package.Service/Method")]
    RoutePath {
        /// The value.
        path: String,
    },
    /// A path has two routes.
    #[error("route {path} is given twice, remove one")]
    RouteTwice {
        /// The path.
        path: String,
    },
    /// A field path is empty or has a number that protobuf does not allow.
    #[error(
        "route {path} has field path {field:?}; it needs at least one number, each from 1 to 536870911"
    )]
    Field {
        /// The path of the route.
        path: String,
        /// The path of field numbers.
        field: Vec<u32>,
    },
    /// A method answers one message and is to end as a stream does.
    #[error(
        "route {path} is unary and ends when its key moves; only a stream does: leave end_when_moved out"
    )]
    UnaryEnds {
        /// The path of the route.
        path: String,
    },
    /// A modifier came before any route.
    #[error("{what}() refines the route before it, and there is none; name a method first")]
    NoRouteToRefine {
        /// The modifier.
        what: &'static str,
    },
}
