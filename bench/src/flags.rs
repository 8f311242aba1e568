//! The command line. The comments here are the help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measure this framework against bare sockets and against its peers
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) run: Run,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Only workloads whose names begin with this; may be repeated
    #[arg(long, value_name = "W")]
    pub(crate) workload: Vec<String>,

    /// Only systems whose names contain this, and the floors that ours are compared with; may be repeated
    #[arg(long, value_name = "S")]
    pub(crate) system: Vec<String>,

    /// One JSON object a line in place of the tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Fewer and shorter rounds: to see that it works
    #[arg(long)]
    pub(crate) quick: bool,

    /// How often the systems take turns [default: 5, or 2 with --quick]
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,

    /// Name the workloads and systems, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
}

impl Run {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }
}

/// What the driver starts its children as.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    #[command(hide = true)]
    Serve(Place),
    #[command(hide = true)]
    Call(Call),
    #[command(hide = true)]
    Member(Member),
}

/// Which measurement a child takes part in.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    #[arg(long)]
    pub(crate) system: String,
    #[arg(long)]
    pub(crate) case: String,
    /// A folder that both sides see, for sockets and rendezvous files
    #[arg(long)]
    pub(crate) scratch: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where the server says that it is
    #[arg(long)]
    pub(crate) address: String,
    /// How long to measure
    #[arg(long)]
    pub(crate) seconds: f64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Member {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Which member of the group this is
    #[arg(long)]
    pub(crate) rank: u32,
}
