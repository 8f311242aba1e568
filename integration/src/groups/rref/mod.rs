//! References to values on other workers: how they come to be and travel, and what becomes of them when
//! messages are late, and workers die or leave.

use integration::scenario::Scenario;

pub(super) mod common;

mod args;
mod futures;
mod lifecycle;
mod proxy;
mod remote;
mod types;

mod defects;
mod faulty;
mod killed;
mod leaks;
mod leaving;
mod stress;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        remote::scenarios(),
        args::scenarios(),
        lifecycle::scenarios(),
        types::scenarios(),
        proxy::scenarios(),
        futures::scenarios(),
        faulty::scenarios(),
        killed::scenarios(),
        leaks::scenarios(),
        leaving::scenarios(),
        defects::scenarios(),
        stress::scenarios(),
    ]
    .concat()
}
