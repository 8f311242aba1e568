//! Calls that work: every kind of target, argument and result, from tasks and from plain threads.

mod calls;
mod data;
mod parameter_server;
mod threads;

use crate::scenario::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [calls::scenarios(), data::scenarios(), parameter_server::scenarios(), threads::scenarios()].concat()
}
