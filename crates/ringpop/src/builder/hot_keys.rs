//! Whether keys are counted.

use std::num::NonZeroU32;

use super::Builder;

impl Builder {
    /// Counts the keys of calls that this member handles, one call in `one_in`, for the
    /// administration service to tell which are the most frequent. It takes a few hundred bytes for
    /// each of 256 keys, and a call that is counted takes a microsecond more. Calls whose keys are
    /// only looked up are not counted.
    ///
    /// Callers that may give commands to the member can read these keys then, and keys may be names
    /// of people. Default: none are counted or kept.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// let one_in = NonZeroU32::new(16).expect("it is not zero");
    /// let builder = ringpop::Ringpop::builder("rides").hot_keys(one_in);
    /// # drop(builder);
    /// ```
    pub const fn hot_keys(mut self, one_in: NonZeroU32) -> Self {
        self.hot_keys = Some(one_in);
        self
    }
}
