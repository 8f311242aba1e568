//! Scenarios over real processes and sockets: proves a build, or a new backend, from the outside.
//!
//! ```text
//! cargo xtask integration                          everything, with the default backend
//! cargo xtask integration --filter shutdown::      one group
//! cargo xtask integration --backend all --json     one JSON object a scenario
//! ```
//!
//! This program is the runner and, started again by itself, each worker of a scenario. What a scenario is
//! stands at [`scenario::Scenario`]; all of them are listed at [`groups`].
#![forbid(unsafe_code)]

// Reading order: what a scenario is, its two sides, who runs it, which ones there are.
mod scenario;

mod part;
mod runner;

mod groups;

use std::process::ExitCode;

use clap::Parser;

use crate::runner::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.command {
        Some(Command::Worker(place)) => part::run(&place),
        None => runner::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
