//! Messages that are late or lost: what torch's fault-injecting agent does to single messages is done here to
//! workers, which are stopped, refuse, or do not understand.
//!
//! Torch types the error of the first failed creation in a process; here every holder gets it, every time.

mod creation;
mod stopped;

use crate::scenario::Scenario;

pub(super) fn scenarios() -> Vec<Scenario> {
    [creation::scenarios(), stopped::scenarios()].concat()
}
