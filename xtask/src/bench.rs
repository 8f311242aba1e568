//! `cargo xtask bench`: builds and runs the measurements, which are a workspace of their own.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

const MANIFEST: &str = "bench/Cargo.toml";

/// Passes `args` to the bench.
///
/// # Errors
/// If it does not build, or a measurement fails.
pub(crate) fn run(sh: &Shell, args: &[OsString]) -> Result<()> {
    cmd!(sh, "cargo build --release --manifest-path {MANIFEST}").run()?;
    let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1 --manifest-path {MANIFEST}");
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata.quiet().read()?).context("what cargo metadata prints")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    let bench = PathBuf::from(target).join("release").join("bench");
    cmd!(sh, "{bench} {args...}").quiet().run()?;
    Ok(())
}

/// Lints and tests the bench itself.
///
/// # Errors
/// If it has lost touch with the crates that it measures.
pub(crate) fn check(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo clippy --manifest-path {MANIFEST} --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo test --manifest-path {MANIFEST}").run()?;
    Ok(())
}
