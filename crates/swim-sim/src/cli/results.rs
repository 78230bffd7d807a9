//! What `run` finds, for the table, the page and the file.

use crate::scenario::{Outcome, Params, Scenario};

/// What a scenario measured on each implementation.
pub(super) struct Results {
    pub(super) scenario: &'static Scenario,
    pub(super) params: Params,
    pub(super) columns: Vec<(&'static str, Outcome)>,
}
