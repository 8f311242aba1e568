//! `cargo xtask integration`: builds the scenarios with all programs that they start, and runs them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// Passes `args` to the scenario runner.
///
/// # Errors
/// If something does not build or a scenario fails.
pub(crate) fn run(sh: &Shell, args: &[OsString]) -> Result<()> {
    // The launcher is one of the programs that scenarios start; they look for it beside themselves. All is
    // built in one command, so that no package is built twice with different features.
    cmd!(sh, "cargo build --package integration --package rpcrun --bins").run()?;
    let runner = target_dir(sh)?.join("debug").join("integration");
    cmd!(sh, "{runner} {args...}").run()?;
    Ok(())
}

fn target_dir(sh: &Shell) -> Result<PathBuf> {
    let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1").quiet().read()?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("what cargo metadata prints")?;
    let dir = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(Path::new(dir).to_owned())
}
