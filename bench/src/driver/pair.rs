//! One measurement: a server and a client, as processes of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::case::{Case, Work};
use crate::child::{Measured, Metric, Usage};
use crate::systems::Entry;

/// Longer than any process is silent that is not stuck.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Measures `case` once with fresh processes.
pub(super) fn measure(system: &Entry, case: &Case, seconds: f64) -> anyhow::Result<Vec<Metric>> {
    let scratch = tempfile::tempdir()?;
    let place = ["--system", system.name, "--case", case.id, "--scratch"];
    let mut server = Process::start("serve", &place, scratch.path(), &[]).context("server")?;
    let ready = server.line().context("server")?;
    let address = ready.strip_prefix("ready ").with_context(|| format!("the server says {ready:?}"))?;
    let seconds = seconds.to_string();
    let more = ["--address", address, "--seconds", &seconds];
    let mut client = Process::start("call", &place, scratch.path(), &more).context("client")?;
    let warm = client.line().context("client")?;
    anyhow::ensure!(warm == "begin", "the client says {warm:?}");
    let before = server.usage().context("server")?;
    client.send("go").context("client")?;
    let measured: Measured = serde_json::from_str(&client.line().context("client")?)?;
    let after = server.usage().context("server")?;
    Ok(with_usage(case, measured, before, after))
}

/// Adds what only both sides together know.
fn with_usage(case: &Case, measured: Measured, before: Usage, after: Usage) -> Vec<Metric> {
    let mut metrics = measured.metrics;
    if let Work::Overlap { cpu: true, .. } = case.work {
        let seconds = measured.cpu_seconds + after.cpu_seconds - before.cpu_seconds;
        let value = seconds / measured.operations as f64 * 1e6;
        metrics.push(Metric { suffix: "-cpu".to_owned(), value, unit: "CPU s/M".to_owned() });
    }
    metrics
}

/// A child that speaks in lines. Killed when it is dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    fn start(role: &str, place: &[&str], scratch: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let mut child = Command::new(program)
            .arg(role)
            .args(place)
            .arg(scratch)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("a child without input")?;
        let output = BufReader::new(child.stdout.take().context("a child without output")?);
        let (sender, lines) = sync_channel(16);
        // Ends with the child.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, input, lines })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        match self.lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("is silent for {SILENCE_MAX:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("ended with {}", self.child.wait()?),
        }
    }

    fn send(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    fn usage(&mut self) -> anyhow::Result<Usage> {
        self.send("usage")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, or nobody wants it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
