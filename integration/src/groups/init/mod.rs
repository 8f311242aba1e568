//! How workers come to be: names and ranks, environments, rendezvous, backends, and each mistake in them.

use integration::scenario::Scenario;

mod backend;
mod environment;
mod identity;
mod rendezvous;
mod store;
mod twice;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        identity::scenarios(),
        twice::scenarios(),
        environment::scenarios(),
        rendezvous::scenarios(),
        store::scenarios(),
        backend::scenarios(),
    ]
    .concat()
}
