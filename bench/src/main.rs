//! Measures this framework against bare sockets and against its peers, as pairs of processes on loopback.
//!
//! `cargo xtask bench` builds and runs it. The process that it starts is the [`driver`]: for each round, case and
//! system it starts two more of itself, one that [serves](child::serve) and one that [calls](child::call), so that
//! no measurement inherits heap, sockets or caches from another. Systems take turns within a round, since noise
//! lasts longer than a measurement; a ratio is the median of the ratios within the rounds.
//!
//! Every system runs on one single-threaded tokio runtime in each process (the blocking floor on plain threads),
//! which is the faster choice for all of them on few processors. Peers are set up as their authors would want
//! it; where there is a choice, the faster one is taken, and the system's file says so.
#![forbid(unsafe_code)]

// Reading order: what is measured, on what, and who drives it.
mod case;
mod workloads;

mod system;
mod systems;

mod child;
mod driver;

mod flags;
mod kept;
mod machine;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::{Bench, Role};

fn main() -> ExitCode {
    let flags = Bench::parse();
    let done = match flags.role {
        None => driver::run(&flags.run),
        Some(Role::Serve(place)) => child::serve(&place),
        Some(Role::Call(call)) => child::call(&call),
        Some(Role::Member(member)) => child::member(&member),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
