//! Development tasks, started with `cargo xtask`. This crate depends on none of ours, so that it can build
//! and judge them all.

mod bench;
mod ci;
mod flags;
mod instructions;
mod integration;
mod sim;
mod steps;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use xshell::Shell;

use crate::flags::{Task, Xtask};
use crate::steps::Done;

fn main() -> ExitCode {
    match run(Xtask::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies below the root")?;
    let sh = Shell::new()?;
    sh.change_dir(root);
    match task {
        Task::Bench { args } => bench::run(&sh, &args),
        Task::Ci(flags) => ci::run(&sh, &flags),
        Task::Instructions => match instructions::run(&sh)? {
            Done::Passed => Ok(()),
            Done::Skipped(reason) => anyhow::bail!("{reason}"),
        },
        Task::Integration { args } => integration::run(&sh, &args),
        Task::Sim(flags) => sim::run(&sh, flags),
        Task::Tidy => tidy::run(root),
    }
}
