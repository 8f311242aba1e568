//! All scenarios. Groups and names are those of torch's own tests where they test the same.

mod basic;

use crate::scenario::Scenario;

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    [basic::scenarios()].into_iter().flatten().collect()
}
