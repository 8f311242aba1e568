//! The command line. The comments here are the help text.

use std::ffi::OsString;
use std::num::ParseIntError;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Development tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Build and run the measurements against bare sockets and peers
    ///
    /// All arguments go to the bench; `cargo xtask bench --help` is its help. Among them: --workload W,
    /// --system S, --json, --quick, --list.
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments of the bench
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Everything that must pass before a change is merged; stops at the first failure
    Ci(CiFlags),
    /// Count the instructions of a small call, and compare them with what they were; needs valgrind
    Instructions,
    /// Build and run the scenarios over real processes
    ///
    /// All arguments go to the scenario runner; `cargo xtask integration --help` is its help. Among them:
    /// --backend NAME|local|all, --security open|token|ca|all, --filter TEXT, --list, --json.
    #[command(disable_help_flag = true)]
    Integration {
        /// Arguments of the scenario runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run many random cases of the properties of reference counting; a failing one is shortened
    ///
    /// Each case has a seed, and seeds are counted up. The last line of a failure is the command that repeats
    /// it.
    Sim(SimFlags),
    /// Check what no compiler checks: module comments, invariants and their tests, versions, the changelog
    Tidy,
}

#[derive(Debug, Args)]
pub(crate) struct CiFlags {
    /// Begin with this step
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    pub(crate) from: Option<StepName>,

    /// Run this step alone; may be repeated
    #[arg(long, value_name = "STEP")]
    pub(crate) only: Vec<StepName>,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SimFlags {
    /// How many cases [default: 1 with --seed, else 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) cases: Option<u64>,

    /// Seed of the first case, decimal or 0x… [default: random]
    #[arg(long, value_name = "S", value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,

    /// Size of the group
    #[arg(long, value_name = "W", default_value_t = SimFlags::WORKERS, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) workers: u32,
}

impl SimFlags {
    pub(crate) const WORKERS: u32 = 4;
}

fn parse_seed(text: &str) -> Result<u64, ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

impl CiFlags {
    /// The chosen steps, in their order.
    pub(crate) fn steps(&self) -> Vec<StepName> {
        let all = StepName::value_variants().iter().copied();
        all.filter(|step| self.from.is_none_or(|from| *step >= from))
            .filter(|step| self.only.contains(step) || self.only.is_empty() && !step.is_on_request())
            .collect()
    }
}

/// A step of `ci`, in the order in which they run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum StepName {
    /// Formatting
    Fmt,
    /// Module comments, invariants, versions, changelog
    Tidy,
    /// Lints of everything with all features; warnings are errors
    Clippy,
    /// The facade with every choice of its features
    Features,
    /// The documentation builds without a warning
    Docs,
    /// Unit, compile-fail and process tests
    Test,
    /// Examples in the documentation
    Doctest,
    /// Licences, advisories, sources of dependencies
    Deny,
    /// Instructions of a small call are as many as they were; needs valgrind
    Instructions,
    /// Scenarios over real processes, with every backend, without credentials and with each kind
    Integration,
    /// Lints and tests of the bench with all of its peers; only with --only, as it takes minutes to build
    BenchCheck,
}

impl StepName {
    /// Whether it runs only if it is named.
    fn is_on_request(self) -> bool {
        self == Self::BenchCheck
    }

    /// As it is written on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn steps(line: &str) -> Vec<StepName> {
        match Xtask::try_parse_from(line.split(' ')).unwrap().task {
            Task::Ci(flags) => flags.steps(),
            other => panic!("{other:?} is not ci"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Xtask::command().debug_assert();
    }

    #[test]
    fn from_and_only_choose_steps_in_their_order() {
        assert_eq!(steps("xtask ci").len(), StepName::value_variants().len() - 1);
        assert_eq!(
            steps("xtask ci --from deny"),
            [StepName::Deny, StepName::Instructions, StepName::Integration]
        );
        assert_eq!(steps("xtask ci --only test --only fmt"), [StepName::Fmt, StepName::Test]);
        assert_eq!(steps("xtask ci --only bench-check"), [StepName::BenchCheck]);
    }

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        let seed = |text: &str| match Xtask::try_parse_from(["xtask", "sim", "--seed", text]) {
            Ok(Xtask { task: Task::Sim(flags) }) => flags.seed,
            _ => None,
        };
        assert_eq!(seed("0x1F"), Some(31));
        assert_eq!(seed("31"), Some(31));
        assert_eq!(seed("1F"), None);
    }

    #[test]
    fn the_bench_gets_its_arguments_as_they_are() {
        let line = "xtask bench --workload W1 --json --help";
        let Task::Bench { args } = Xtask::try_parse_from(line.split(' ')).unwrap().task else { panic!() };
        assert_eq!(args, ["--workload", "W1", "--json", "--help"]);
    }

    #[test]
    fn the_scenario_runner_gets_its_arguments_as_they_are() {
        let line = "xtask integration --backend all --help";
        let Task::Integration { args } = Xtask::try_parse_from(line.split(' ')).unwrap().task else {
            panic!()
        };
        assert_eq!(args, ["--backend", "all", "--help"]);
    }
}
