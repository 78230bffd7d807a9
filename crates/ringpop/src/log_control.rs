//! The level of the log of the process, which operators ask and change.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Asks and changes what the process logs, for the administration service: see
/// [`Builder::log_control`](crate::Builder::log_control). With feature `tracing-reload`,
/// [`TracingReload`] is one for `tracing-subscriber`.
///
/// Directives are text such as `info,ringpop=debug`.
pub trait LogControl: Send + Sync + 'static {
    /// The directives in use.
    ///
    /// # Errors
    ///
    /// When nobody logs any more.
    fn directives(&self) -> Result<String, LogControlError>;

    /// Uses other directives from now on.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or nobody logs any more. The former ones stay in use.
    fn set_directives(&self, directives: &str) -> Result<(), LogControlError>;
}

/// Why the level of the log was not told or changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogControlError {
    /// The text is none, as the cause says.
    #[error("these are no directives; give some such as info,ringpop=debug")]
    Invalid(#[source] Arc<dyn Error + Send + Sync>),
    /// The log cannot be reached, as the cause says.
    #[error("the log cannot be controlled; see that this process still logs")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

impl LogControlError {
    /// The directives are none.
    pub fn invalid(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Invalid(cause.into().into())
    }

    /// The log cannot be reached.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }
}

#[cfg(feature = "tracing-reload")]
pub use self::reload::TracingReload;

#[cfg(feature = "tracing-reload")]
mod reload {
    use tracing_subscriber::reload::{Handle, Layer};
    use tracing_subscriber::{EnvFilter, Registry};

    use super::{LogControl, LogControlError};

    /// Controls the filter of a `tracing-subscriber` registry.
    ///
    /// ```
    /// use ringpop::{LogControl as _, Ringpop, TracingReload};
    /// use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (filter, control) = TracingReload::new(EnvFilter::new("info"));
    /// tracing_subscriber::registry().with(filter).with(tracing_subscriber::fmt::layer()).init();
    /// assert_eq!(control.directives()?, "info");
    /// let builder = Ringpop::builder("rides").log_control(control);
    /// # drop(builder);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing-reload")))]
    #[derive(Clone, Debug)]
    pub struct TracingReload(Handle<EnvFilter, Registry>);

    impl TracingReload {
        /// A layer that filters everything by `filter`, and its control.
        #[must_use]
        pub fn new(filter: EnvFilter) -> (Layer<EnvFilter, Registry>, Self) {
            let (layer, handle) = Layer::new(filter);
            (layer, Self(handle))
        }
    }

    impl LogControl for TracingReload {
        fn directives(&self) -> Result<String, LogControlError> {
            self.0.with_current(EnvFilter::to_string).map_err(LogControlError::unavailable)
        }

        fn set_directives(&self, directives: &str) -> Result<(), LogControlError> {
            let filter = EnvFilter::try_new(directives).map_err(LogControlError::invalid)?;
            self.0.reload(filter).map_err(LogControlError::unavailable)
        }
    }
}

impl fmt::Debug for dyn LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogControl").finish_non_exhaustive()
    }
}
