//! `cargo xtask ci`: what each step runs.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::flags::{CiFlags, StepName};
use crate::steps::{Done, run_all};
use crate::{bench, instructions, integration, tidy};

/// Runs the chosen steps.
///
/// # Errors
/// Names the first step that failed.
pub(crate) fn run(sh: &Shell, flags: &CiFlags) -> Result<()> {
    run_all(&flags.steps(), StepName::name, |step| run_step(sh, step))
}

fn run_step(sh: &Shell, step: StepName) -> Result<Done> {
    match step {
        StepName::Fmt => {
            cmd!(sh, "cargo fmt --all --check").run()?;
            cmd!(sh, "cargo fmt --manifest-path bench/Cargo.toml --check").run()?;
        }
        StepName::Tidy => tidy::run(&sh.current_dir())?,
        StepName::Clippy => {
            cmd!(sh, "cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?;
        }
        StepName::Features => features(sh)?,
        StepName::Docs => {
            cmd!(sh, "cargo doc --workspace --no-deps --all-features")
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()?;
        }
        StepName::Test => test(sh)?,
        // The examples of the macros are run by `macro-tests`; `--doc` does not ask the manifest whether they are to be.
        StepName::Doctest => {
            cmd!(sh, "cargo test --workspace --exclude rpc-macros --all-features --doc").run()?;
        }
        StepName::Deny => return deny(sh),
        StepName::Instructions => return instructions::run(sh),
        StepName::BenchCheck => bench::check(sh)?,
        StepName::Integration => {
            integration::run(sh, &["--backend", "all", "--security", "all"].map(Into::into))?;
        }
    }
    Ok(Done::Passed)
}

/// Features of the facade that no other code asks about than their own: each adds one thing to `rpc-core` or re-exports
/// it. Whether one of them is there changes nothing for the others, so every choice of them would be forty times the
/// builds and no news: they are chosen together, and each alone.
const LEAVES: [&str; 7] = ["collectives", "json", "messagepack", "metrics", "ndarray", "otel", "profiler"];

/// Features only add: the facade has to build with every choice of them.
fn features(sh: &Shell) -> Result<()> {
    let features = features_of(&sh.read_file("rpc/Cargo.toml")?);
    for chosen in choices(&features) {
        cmd!(sh, "cargo clippy --package rpc --lib --no-default-features --features {chosen} -- -D warnings")
            .run()?;
    }
    Ok(())
}

/// Every choice among `features`, of which the [`LEAVES`] count as one, and each leaf alone.
fn choices(features: &[String]) -> Vec<String> {
    let (leaves, others): (Vec<&str>, Vec<&str>) =
        features.iter().map(String::as_str).partition(|feature| LEAVES.contains(feature));
    let together = leaves.join(",");
    let groups = || others.iter().copied().chain([together.as_str()]);
    let chosen = |choice: u32| {
        let chosen = groups().enumerate().filter(|(place, _)| choice >> place & 1 == 1);
        chosen.map(|(_, group)| group).collect::<Vec<_>>().join(",")
    };
    let mut choices: Vec<String> = (0..1 << groups().count()).map(chosen).collect();
    choices.extend(leaves.into_iter().map(str::to_owned));
    choices
}

/// The names under `[features]` in a manifest, but `default`.
fn features_of(manifest: &str) -> Vec<String> {
    let section = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('['));
    let names = entries.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    names.filter(|name| !name.starts_with('#') && *name != "default").map(str::to_owned).collect()
}

/// `--tests` is every library and program too, unless its manifest says that it has none; `--bins` would build those all the same.
fn test(sh: &Shell) -> Result<()> {
    if has(sh, "nextest") {
        cmd!(sh, "cargo nextest run --workspace --all-features --tests --examples").run()?;
    } else {
        cmd!(sh, "cargo test --workspace --all-features --tests --examples").run()?;
    }
    Ok(())
}

fn deny(sh: &Shell) -> Result<Done> {
    if !has(sh, "deny") {
        return Ok(Done::Skipped("cargo-deny is not installed"));
    }
    cmd!(sh, "cargo deny check").run()?;
    Ok(Done::Passed)
}

/// Whether `cargo subcommand` is installed.
fn has(sh: &Shell, subcommand: &str) -> bool {
    cmd!(sh, "cargo {subcommand} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{choices, features_of};

    #[test]
    fn features_are_read_from_the_manifest() {
        let manifest = "[package]\nname = \"x\"\n[features]\ndefault = [\"a\"]\n# A = b.\na = []\nb = [\"a\"]\n\n[lib]\nc = 1\n";
        assert_eq!(features_of(manifest), ["a", "b"]);
    }

    #[test]
    fn leaves_are_chosen_together_and_each_alone() {
        let features = ["tcp", "json", "tls", "ndarray"].map(str::to_owned);
        let expected = [
            "",
            "tcp",
            "tls",
            "tcp,tls",
            "json,ndarray",
            "tcp,json,ndarray",
            "tls,json,ndarray",
            "tcp,tls,json,ndarray",
            "json",
            "ndarray",
        ];
        assert_eq!(choices(&features), expected);
    }
}
