//! [`Process`]: one process of a scenario.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, watch};

use super::log::{Line, Log, Stream};

/// Lines that the script may be ahead of what the process reads. Reached: telling waits.
const TOLD_LEN: usize = 16;
/// Between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long to wait for the last output of a process that was killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A process of a scenario. Killed when this is dropped.
pub struct Process {
    /// For messages.
    pub name: String,
    pub(crate) log: Log,
    pid: Pid,
    stdin: mpsc::Sender<String>,
    status: watch::Receiver<Option<ExitStatus>>,
    /// Ends the task that owns the child, which kills it.
    _alive: mpsc::Sender<()>,
}

impl Process {
    /// Starts `command`; its streams become ours.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("the pid")?;
        let log = Log::default();
        log.read(child.stdout.take().context("stdout")?, Stream::Out);
        log.read(child.stderr.take().context("stderr")?, Stream::Err);
        let (stdin, told) = mpsc::channel(TOLD_LEN);
        tokio::spawn(pass_on(child.stdin.take().context("stdin")?, told));

        let (ended, status) = watch::channel(None);
        let (_alive, mut dropped) = mpsc::channel(1);
        tokio::spawn(async move {
            let exited = tokio::select! {
                exited = child.wait() => exited,
                _ = dropped.recv() => {
                    // It may have ended just now.
                    let _ = child.start_kill();
                    child.wait().await
                }
            };
            if let Ok(exited) = exited {
                ended.send_replace(Some(exited));
            }
        });
        Ok(Self { name, log, pid, stdin, status, _alive })
    }

    /// Waits for a line of standard output that is `word`, or `word` and a space and more. Returns that more.
    pub async fn says(&self, word: &str) -> Result<String> {
        self.says_times(word, 1).await
    }

    /// Waits until there are `count` such lines; returns the rest of the last.
    pub async fn says_times(&self, word: &str, count: usize) -> Result<String> {
        let wanted = |line: &Line| line.stream == Stream::Out && after(&line.text, word).is_some();
        let line = self.log.wait(count, wanted).await;
        let line = line.with_context(|| format!("{} ended without saying {word:?}", self.name))?;
        Ok(after(&line, word).unwrap_or_default().to_owned())
    }

    /// Waits for a line of standard error that contains `text`.
    pub async fn logs(&self, text: &str) -> Result<()> {
        let wanted = |line: &Line| line.stream == Stream::Err && line.text.contains(text);
        match self.log.wait(1, wanted).await {
            Some(_) => Ok(()),
            None => bail!("{} ended without logging {text:?}", self.name),
        }
    }

    /// Hands the process a line of standard input.
    pub async fn tell(&self, line: &str) -> Result<()> {
        self.stdin.send(line.to_owned()).await.with_context(|| format!("{} listens no more", self.name))
    }

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// SIGSTOP: it stays, and does nothing from when this returns.
    pub async fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // Its threads go on until one of them has had the signal, which takes a while on a busy machine.
        let look = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        // Asked again, because waiting for it would block the thread that serves the other processes.
        while waitid(WaitId::Pid(self.pid), look).context("waitid")?.is_none() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // The child is reaped on this very thread, which tells `status` in the same breath: a process that
        // has no status yet still owns its pid.
        ensure!(self.status.borrow().is_none(), "{} has ended before it got {signal:?}", self.name);
        kill_process(self.pid, signal).with_context(|| format!("{signal:?} for {}", self.name))
    }

    /// Waits until the process has ended and everything that it wrote is in its log.
    pub async fn ended(&self) -> Result<ExitStatus> {
        let mut status = self.status.clone();
        let exited = *status.wait_for(Option::is_some).await.context("the task that waits")?;
        self.log.ended().await;
        exited.context("an exit status")
    }

    /// Waits until the process has ended, with 0.
    pub async fn succeeds(&self) -> Result<()> {
        let exited = self.ended().await?;
        ensure!(exited.success(), "{} ended with {exited}", self.name);
        Ok(())
    }

    /// Kills the process if it still runs, and waits for its end.
    pub async fn end(&self) {
        if self.status.borrow().is_none() {
            // A stopped process takes this signal too.
            let _ = kill_process(self.pid, Signal::KILL);
        }
        // What it left behind may still hold its streams.
        let _ = tokio::time::timeout(END_TIMEOUT, self.ended()).await;
    }

    /// Most memory that was ever resident, in bytes; `None` where the system does not tell.
    pub fn resident_bytes_peak(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// Memory of its own that is resident now, without the pages of its program, in bytes; `None` where the system does
    /// not tell.
    pub fn own_bytes(&self) -> Option<u64> {
        self.memory("RssAnon:")
    }

    /// Memory that is resident now, in bytes; `None` where the system does not tell.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// How many files and sockets are open; `None` where the system does not tell.
    pub fn open_files(&self) -> Option<u64> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid.as_raw_nonzero())).ok()?;
        Some(files.count() as u64)
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }
}

/// What follows `word` in `line`, if the line begins with that word.
fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    match line.strip_prefix(word)? {
        "" => Some(""),
        rest => rest.strip_prefix(' '),
    }
}

/// Writes what is told, and then keeps the pipe: its end is how workers learn that the runner has gone.
async fn pass_on(mut stdin: ChildStdin, mut told: mpsc::Receiver<String>) {
    while let Some(line) = told.recv().await {
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert_eq!(after("READY", "READY"), Some(""));
        assert_eq!(after("PORT 17", "PORT"), Some("17"));
        assert_eq!(after("READYING", "READY"), None);
        assert_eq!(after("NOT READY", "READY"), None);
    }

    #[tokio::test]
    async fn a_process_is_heard_told_and_judged() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo READY; read word; echo GOT $word; echo oops >&2; exit 3"]);
        let process = Process::spawn("sh", &mut command).unwrap();
        process.says("READY").await.unwrap();
        process.tell("this").await.unwrap();
        assert_eq!(process.says("GOT").await.unwrap(), "this");
        process.logs("oops").await.unwrap();
        let error = process.succeeds().await.unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(process.says("MORE").await.unwrap_err().to_string().contains("without saying"));
        assert!(process.kill().is_err());
    }

    #[tokio::test]
    async fn a_stopped_process_does_nothing_until_it_is_resumed() {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo TICK; done"]);
        let process = Process::spawn("sh", &mut command).unwrap();
        process.says("TICK").await.unwrap();
        process.stop().await.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid.as_raw_nonzero()));
        if let Ok(status) = status {
            assert!(status.contains("State:\tT"), "{status}");
        }
        process.resume().unwrap();
        process.end().await;
        assert!(process.stop().await.is_err());
    }
}
