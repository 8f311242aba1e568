//! What the benches share: a job of processes over loopback TCP, rounds that take turns, and a table.
//!
//! The process that cargo starts is rank 0. It starts the other workers as its own children, measures, and
//! ends together with them. Every worker drives its I/O on one thread, so that a figure says what the
//! framework costs and not how a scheduler moves its threads.
//!
//! Machines are noisy, and the noise lasts longer than a row. So rows take turns: a round of each, then again.
//! A row is the median of its rounds, and a ratio of two rows the median of the ratios within the rounds.
//! Where other programs run as well, `chrt -f 10` in front of the bench keeps them off its processors.

// Each bench uses its own part of it.
#![allow(dead_code, reason = "shared by programs that do not all use everything")]

pub(crate) mod job;
pub(crate) mod rows;
pub(crate) mod system;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// How a bench is run.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Measure only rows whose names contain this, and the plain calls that they are compared with.
    filter: Option<String>,
    /// Fewer and shorter rounds: to see that it works.
    #[arg(long)]
    pub(crate) quick: bool,
    /// One JSON object for each row and figure, a line each, in place of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which processors the workers run on.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) pin: Pin,
    /// How often the rows take turns.
    #[arg(long)]
    rounds: Option<usize>,
    /// Is given to the children: which worker this one is.
    #[arg(long, hide = true, default_value_t)]
    pub(crate) rank: u32,
    /// Is given to the children: where the workers meet.
    #[arg(long, hide = true)]
    pub(crate) store: Option<PathBuf>,
    /// Is given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Which processors the workers run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pin {
    /// Wherever the system puts them.
    #[default]
    None,
    /// All on the first processor: what a call costs in computing, without waking a processor that sleeps.
    Together,
    /// Each on one of its own, in turn.
    Apart,
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 15 }).max(1)
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| row.contains(filter.as_str()))
    }

    /// Scales how often something is done.
    pub(crate) fn count(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }
}
