//! `cargo xtask instructions`: how many instructions a small call takes, on both sides together. A count hardly depends
//! on how busy the machine is, so it can be asserted where times cannot.
//!
//! It depends on whose turn it is: with 64 calls at a time the two workers find more or fewer of them when they look, and
//! smaller batches cost more. Two counts of one build differ by up to a tenth for that reason. A run can only be dearer by it
//! than the calls have to be, never cheaper, so it is the least of several counts that is compared.

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::steps::Done;

/// What a call of each kind took when this was last set, with Rust 1.95.
/// Who has made calls cheaper sets it to what is printed; who has to raise it says in the commit what that is good for.
/// Those that are profiled are of an inline function, whose calls take 13,150 alone without.
const EXPECTED: [(&str, f64); 5] = [
    ("alone-async", 14_100.0),
    ("together-async", 7_800.0),
    ("together-inline", 7_200.0),
    ("alone-profiled", 19_100.0),
    ("together-profiled", 13_900.0),
];
/// How much more is a failure, in parts of one: more than what compilers and the system's library differ by.
const MARGIN: f64 = 0.1;
/// How often a kind is counted at most. Counts that are dear by chance are rare enough not to come five times together; calls
/// that have become dearer are so each time.
const TIMES: usize = 5;
/// Calls that are counted.
const CALLS: u32 = 6400;

/// Counts, prints and compares. Skipped where valgrind is not installed.
///
/// # Errors
/// If a call takes more instructions than it did.
pub(crate) fn run(sh: &Shell) -> Result<Done> {
    if cmd!(sh, "valgrind --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return Ok(Done::Skipped("valgrind is not installed"));
    }
    cmd!(sh, "cargo build --release --package instructions").run()?;
    let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1").quiet().read()?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("what cargo metadata prints")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    let mut failed = Vec::new();
    for (kind, expected) in EXPECTED {
        let limit = expected * (1.0 + MARGIN);
        let each = least(limit, || count(sh, target, kind))?;
        println!("instructions: {kind:<16} {each:>8.0} a call, {expected:.0} expected");
        if each > limit {
            failed.push(format!("{kind} takes {each:.0} instructions a call, {expected:.0} expected"));
        }
    }
    ensure!(failed.is_empty(), "{}; what for is said where EXPECTED is set", failed.join("; "));
    Ok(Done::Passed)
}

/// The least of up to [`TIMES`] counts; there are no more once one is within `limit`.
fn least(limit: f64, mut count: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..TIMES {
        least = least.min(count()?);
        if least <= limit {
            break;
        }
    }
    Ok(least)
}

/// Counts the instructions of a call of `kind` once.
fn count(sh: &Shell, target: &str, kind: &str) -> Result<f64> {
    let calls = CALLS.to_string();
    let output = cmd!(sh, "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=*instructions*measured* {target}/release/instructions {kind} {calls}")
        .quiet()
        .read_stderr()?;
    let counted = collected(&output).with_context(|| format!("callgrind says:\n{output}"))?;
    Ok(counted as f64 / f64::from(CALLS))
}

/// The count in what callgrind prints at its end.
fn collected(output: &str) -> Option<u64> {
    output.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`least`] makes of these counts, and how many it took.
    fn least_of(limit: f64, counts: &[f64]) -> (f64, usize) {
        let mut rest = counts.iter();
        let least = least(limit, || Ok(*rest.next().unwrap())).unwrap();
        (least, counts.len() - rest.len())
    }

    #[test]
    fn the_first_count_within_the_limit_is_enough() {
        assert_eq!(least_of(10.0, &[10.0, 9.0]), (10.0, 1));
        assert_eq!(least_of(10.0, &[12.0, 11.0, 9.5, 9.0]), (9.5, 3));
    }

    #[test]
    fn what_is_dear_each_time_is_compared_at_its_least() {
        assert_eq!(least_of(10.0, &[13.0, 12.0, 11.0, 12.5, 13.5, 9.0]), (11.0, TIMES));
    }

    #[test]
    fn a_count_that_fails_is_an_error() {
        assert!(least(10.0, || anyhow::bail!("valgrind crashed")).is_err());
    }

    #[test]
    fn the_count_is_read_from_callgrinds_summary() {
        let output = "==7== \n==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(output), Some(123_456));
        assert_eq!(collected("==7== nothing was collected"), None);
    }
}
