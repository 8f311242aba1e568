//! Calls that fail: each in a way that the caller's program can tell, and that costs no worker its life.

mod dead_peer;
mod handler;
mod lookup;

use crate::scenario::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [handler::scenarios(), lookup::scenarios(), dead_peer::scenarios()].concat()
}
