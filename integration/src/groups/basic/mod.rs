//! Calls that work: every kind of target, argument and result, from tasks and from plain threads.

use integration::scenario::Scenario;

mod calls;
mod data;
mod parameter_server;
mod threads;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [calls::scenarios(), data::scenarios(), parameter_server::scenarios(), threads::scenarios()].concat()
}
