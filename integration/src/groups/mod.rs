//! All scenarios. Groups and names are those of torch's own tests where they test the same.

mod basic;
mod errors;
mod init;
mod nested;
mod timeouts;

use crate::scenario::Scenario;

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    [init::scenarios(), basic::scenarios(), nested::scenarios(), errors::scenarios(), timeouts::scenarios()]
        .concat()
}
