//! Calls that fail: each in a way that the caller's program can tell, and that costs no worker its life.

use integration::scenario::Scenario;

mod dead_peer;
mod handler;
mod lookup;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [handler::scenarios(), lookup::scenarios(), dead_peer::scenarios()].concat()
}
