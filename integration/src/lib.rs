//! What scenarios over real processes and sockets are made of, and who runs them: it proves a build, or a new backend, from
//! the outside. The scenarios themselves are in the program of this package.
//!
//! That program is the runner and, started again by itself, each worker of a scenario. [`main()`] is both.
#![forbid(unsafe_code)]

// Reading order: what a scenario is, its two sides, who runs it.
pub mod scenario;

pub mod part;
pub mod runner;

mod scenarios;

use std::process::ExitCode;

use clap::Parser;

use crate::runner::args::{Args, Command};
pub use crate::scenarios::Scenarios;

/// Does what the command line says with `scenarios`, and prints what came of it.
pub fn main(scenarios: &Scenarios) -> ExitCode {
    let args = Args::parse();
    let outcome = match args.command {
        Some(Command::Worker(place)) => part::run(&place, scenarios),
        None => runner::run(&args, scenarios),
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
