//! `cargo xtask integration`: builds the scenarios with all programs that they start, and runs them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// What is built: these two programs, out of exactly what the step `test` of `cargo xtask ci` builds them of. Which features
/// dependencies have depends on the packages that are chosen, and on whether tests are among what is built, for which
/// reason one is. Without that all of it, the runtime and our own crates included, would be compiled once more.
const BUILT: [&str; 8] =
    ["--workspace", "--all-features", "--bin", "integration", "--bin", "rpcrun", "--test", "runner"];

/// Passes `args` to the scenario runner.
///
/// # Errors
/// If something does not build or a scenario fails.
pub(crate) fn run(sh: &Shell, args: &[OsString]) -> Result<()> {
    // The launcher is one of the programs that scenarios start; they look for it beside themselves.
    cmd!(sh, "cargo build {BUILT...}").run()?;
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
