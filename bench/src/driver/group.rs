//! One measurement of a group: as many processes as it has members, from their start to their end.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::process::Process;
use crate::case::Case;
use crate::child::Metric;
use crate::systems::Entry;

/// Starts a group, waits until each member has made its first call, and has all of them leave.
pub(super) fn measure(system: &Entry, case: &Case, members: u32) -> anyhow::Result<Vec<Metric>> {
    let scratch = tempfile::tempdir()?;
    (system.prepare)(scratch.path())?;
    let started = Instant::now();
    let mut group = Vec::new();
    for rank in 0..members {
        let rank = rank.to_string();
        let member = Process::start("member", system, case, scratch.path(), &["--rank", &rank]);
        group.push(member.with_context(|| format!("member {rank}"))?);
    }
    for (rank, member) in group.iter_mut().enumerate() {
        let line = member.line().with_context(|| format!("member {rank}"))?;
        ensure!(line == "called", "member {rank} says {line:?}");
    }
    let start = started.elapsed();
    let leaving = Instant::now();
    for (rank, member) in group.iter_mut().enumerate() {
        member.send("leave").with_context(|| format!("member {rank}"))?;
    }
    for (rank, member) in group.into_iter().enumerate() {
        member.end().with_context(|| format!("member {rank}"))?;
    }
    let metric = |suffix: &str, time: Duration| Metric {
        suffix: suffix.to_owned(),
        value: time.as_secs_f64() * 1e3,
        unit: "ms".to_owned(),
    };
    Ok(vec![metric("-start", start), metric("-shutdown", leaving.elapsed())])
}
