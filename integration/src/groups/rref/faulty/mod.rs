//! Messages that are late or lost: what torch's fault-injecting agent does to single messages is done here to
//! workers, which are stopped, refuse, or do not understand.
//!
//! Torch types the error of the first failed creation in a process; here every holder gets it, every time.

use integration::scenario::Scenario;

mod creation;
mod stopped;

pub(super) fn scenarios() -> Vec<Scenario> {
    [creation::scenarios(), stopped::scenarios()].concat()
}
