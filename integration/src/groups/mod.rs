//! All scenarios. Groups and names are those of torch's own tests where they test the same. `torch_defects` is what torch is
//! known to fail; each of those stands beside what it is about.

use integration::scenario::Scenario;

mod basic;
mod bounds;
mod codecs;
mod collectives;
mod errors;
mod exhaustion;
mod faulty;
mod functions;
mod futures;
mod hostile;
mod init;
mod launcher;
mod local;
mod nested;
mod observing;
mod profiling;
mod rref;
mod security;
mod selftest;
mod shutdown;
mod timeouts;

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    [
        init::scenarios(),
        basic::scenarios(),
        functions::scenarios(),
        nested::scenarios(),
        exhaustion::scenarios(),
        futures::scenarios(),
        collectives::scenarios(),
        rref::scenarios(),
        faulty::scenarios(),
        errors::scenarios(),
        timeouts::scenarios(),
        shutdown::scenarios(),
        security::scenarios(),
        hostile::scenarios(),
        launcher::scenarios(),
        local::scenarios(),
        codecs::scenarios(),
        observing::scenarios(),
        profiling::scenarios(),
        bounds::scenarios(),
    ]
    .concat()
}

/// Scenarios that test the runner.
pub(crate) fn selftest() -> Vec<Scenario> {
    selftest::scenarios()
}
