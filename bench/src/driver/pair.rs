//! One measurement: a server and a client, as processes of their own.

use anyhow::Context;

use super::process::Process;
use crate::case::{Case, Work};
use crate::child::{Measured, Metric, Usage};
use crate::systems::Entry;

/// Measures `case` once with fresh processes.
pub(super) fn measure(system: &Entry, case: &Case, seconds: f64) -> anyhow::Result<Vec<Metric>> {
    let scratch = tempfile::tempdir()?;
    (system.prepare)(scratch.path())?;
    let start = |role, more: &[&str]| Process::start(role, system, case, scratch.path(), more);
    let mut server = start("serve", &[]).context("server")?;
    let ready = server.line().context("server")?;
    let address = ready.strip_prefix("ready ").with_context(|| format!("the server says {ready:?}"))?;
    let at_first = server.usage().context("server")?;
    let seconds = seconds.to_string();
    let more = ["--address", address, "--seconds", &seconds];
    let mut client = start("call", &more).context("client")?;
    let warm = client.line().context("client")?;
    anyhow::ensure!(warm == "begin", "the client says {warm:?}");
    let before = server.usage().context("server")?;
    client.send("go").context("client")?;
    let measured: Measured = serde_json::from_str(&client.line().context("client")?)?;
    let after = server.usage().context("server")?;
    Ok(with_usage(case, measured, [at_first, before, after]))
}

/// Adds what only both sides together know. The server's usage is from when it could be connected to, from when the
/// measurement began, and from its end.
fn with_usage(case: &Case, measured: Measured, server: [Usage; 3]) -> Vec<Metric> {
    let [at_first, before, after] = server;
    let mut metrics = measured.metrics;
    let mut add = |suffix: &str, value, unit: &str| {
        metrics.push(Metric { suffix: suffix.to_owned(), value, unit: unit.to_owned() });
    };
    match case.work {
        Work::Overlap { .. } => {
            let seconds = measured.cpu_seconds + after.cpu_seconds - before.cpu_seconds;
            add("-cpu", seconds / measured.operations as f64 * 1e6, "CPU s/M");
        }
        Work::Clients { count } => {
            let bytes = after.resident_bytes.saturating_sub(at_first.resident_bytes);
            add("-memory", bytes as f64 / 1024.0 / f64::from(count), "KiB/client");
        }
        _ => {}
    }
    metrics
}
