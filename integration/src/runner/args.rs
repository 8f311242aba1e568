//! The command line. The comments here are the help text.

use clap::{Parser, Subcommand, ValueEnum};

use super::security::Security;

/// Run scenarios over real processes and sockets.
///
/// Each scenario has processes of its own, a store of its own and a timeout. When one fails, the whole output of
/// each of its processes is printed. The last line is `N passed, N failed`; the exit code is 0 if none failed.
#[derive(Debug, Parser)]
#[command(name = "integration", max_term_width = 100)]
pub(crate) struct Args {
    /// Backend to run the scenarios with, with local links off; `local` is `tcp` with them on, as it is by default;
    /// `all` runs them with each one that is compiled in, and locally
    #[arg(long, value_name = "NAME|local|all", default_value = "tcp")]
    pub(crate) backend: String,

    /// What workers have to show to each other: nothing, the job's token, or a certificate; `all` runs the
    /// scenarios in each of these ways
    #[arg(long, value_name = "open|token|ca|all", default_value = "open", value_parser = parse_security)]
    pub(crate) security: SecurityChoice,

    /// Run only scenarios whose name contains TEXT; may be repeated, any of them will do
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Vec<String>,

    /// Print the names of the scenarios and run none
    #[arg(long)]
    pub(crate) list: bool,

    /// Print one JSON object a scenario: name, backend, security, result, seconds, notes, error
    ///
    /// The output of failed processes then goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,

    /// How many scenarios to run at a time; most of their time is waiting
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) jobs: u8,

    /// After how many seconds a scenario has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,

    /// Run scenarios that fail on purpose, in place of all others
    #[arg(long, hide = true)]
    pub(crate) selftest: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// One way, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecurityChoice {
    One(Security),
    All,
}

fn parse_security(text: &str) -> Result<SecurityChoice, String> {
    match text {
        "all" => Ok(SecurityChoice::All),
        one => Security::from_str(one, false).map(SecurityChoice::One),
    }
}

/// What this program does when it was started by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be one worker of a scenario
    #[command(hide = true)]
    Worker(Place),
}

/// Which worker of which scenario.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The scenario
    pub(crate) scenario: String,

    /// The rank; otherwise that of the environment
    pub(crate) rank: Option<u32>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_scenario_at_a_time_is_refused() {
        assert!(Args::try_parse_from(["integration", "--jobs", "0"]).is_err());
    }
}
