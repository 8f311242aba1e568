//! The command `rpcrun`: starts the workers of a job and returns the exit code of the first that fails.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

/// When the launch itself fails, as with `env` and `timeout`, which start other programs too.
const CANNOT_LAUNCH: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

// One thread is enough: it only waits. The workers are started by one thread of their own, and printing has
// two.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = cli.check() {
        error.exit();
    }
    match cli.launch().run().await {
        Ok(outcome) => {
            if !outcome.success() {
                anstream::eprintln!("rpcrun: {outcome}");
            }
            // Exit codes have 8 bits here, and so have those that workers can have.
            ExitCode::from(u8::try_from(outcome.exit_code()).unwrap_or(1))
        }
        Err(error) => {
            anstream::eprintln!("rpcrun: {}", with_causes(&error));
            ExitCode::from(match error {
                rpcrun::LaunchError::ProgramNotFound { .. } => NOT_FOUND,
                rpcrun::LaunchError::Spawn { .. } => CANNOT_RUN,
                _ => CANNOT_LAUNCH,
            })
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
