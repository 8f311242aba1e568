//! `cargo xtask sim`: many random cases of the properties of reference counting, optimised.

use std::hash::{BuildHasher, RandomState};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::flags::SimFlags;

/// The test that runs the cases, and says on its output which seed failed.
const TEST: &str = "proto::tests::sim::sim";
const FAILED: &str = "sim-failed-seed=";

const CASES: u64 = 1_000_000;

/// Runs the cases that `flags` choose.
///
/// # Errors
/// If one fails; the last line of the text is the command that repeats it.
pub(crate) fn run(sh: &Shell, flags: SimFlags) -> Result<()> {
    // Half of the range, so that counting up does not reach its end.
    let seed = flags.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 1);
    let cases = flags.cases.unwrap_or(if flags.seed.is_some() { 1 } else { CASES });
    eprintln!("sim: {cases} cases of {} workers, seeds {seed:#x} and up", flags.workers);
    let test = cmd!(
        sh,
        "cargo test --quiet --release --package rpc-rref --lib {TEST} -- --exact --ignored --nocapture"
    );
    let test = test
        .env("RREF_SIM_SEED", seed.to_string())
        .env("RREF_SIM_CASES", cases.to_string())
        .env("RREF_SIM_WORKERS", flags.workers.to_string());
    let output = test.quiet().ignore_status().read()?;
    for line in output.lines().filter(|line| !line.starts_with(FAILED)) {
        println!("{line}");
    }
    match failed_seed(&output) {
        Some(seed) => bail!("a case fails; repeat it with:\n{}", replay(seed, flags.workers)),
        None if output.contains("cases passed") => Ok(()),
        None => bail!("the cases were not run to their end"),
    }
}

fn failed_seed(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_prefix(FAILED))
}

fn replay(seed: &str, workers: u32) -> String {
    let command = format!("cargo xtask sim --seed {seed}");
    if workers == SimFlags::WORKERS { command } else { format!("{command} --workers {workers}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_repeats_a_failure_has_its_seed_and_its_group() {
        let seed = failed_seed("running 1 test\nsim-failed-seed=0x2a\n").unwrap();
        assert_eq!(replay(seed, SimFlags::WORKERS), "cargo xtask sim --seed 0x2a");
        assert_eq!(replay(seed, 9), "cargo xtask sim --seed 0x2a --workers 9");
        assert_eq!(failed_seed("sim: 10 cases passed"), None);
    }
}
