//! Who gets in: the hook that authorizes calls, addresses that are refused, and workers with the wrong secrets or
//! none.

use integration::scenario::Scenario;

mod authorize;
mod joining;
mod refusal;

pub(crate) use self::refusal::{free_port_at, network_address};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [authorize::scenarios(), refusal::scenarios(), joining::scenarios()].concat()
}
