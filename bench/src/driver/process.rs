//! A child process that speaks in lines.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::case::Case;
use crate::child::Usage;
use crate::systems::Entry;

/// Longer than any process is silent that is not stuck.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// A child that speaks in lines. Killed when it is dropped.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Starts this program in another role.
    pub(super) fn start(
        role: &str,
        system: &Entry,
        case: &Case,
        scratch: &Path,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let mut child = Command::new(program)
            .arg(role)
            .args(["--system", system.name, "--case", case.id, "--scratch"])
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

    /// What it says next.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        match self.lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("is silent for {SILENCE_MAX:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("ended with {}", self.child.wait()?),
        }
    }

    pub(super) fn send(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// Of a server.
    pub(super) fn usage(&mut self) -> anyhow::Result<Usage> {
        self.send("usage")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }
}

impl Process {
    /// Waits until it ends by itself.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        if let Ok(line) = self.line() {
            bail!("says {line:?} in place of ending");
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "ended with {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, or nobody wants it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
