//! Watches the workers of one launch until all have ended.
//!
//! ```text
//! running --- a worker fails ----------> stopping: SIGTERM to the others
//!    |                                       |
//!    '------- the launcher is signalled -> stopping: the same signal to all
//!                                            |
//!                     grace period over, or signalled again -> SIGKILL to all that are left
//! ```

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::outcome::{Cause, Outcome, WorkerExit};
use crate::process::Process;
use crate::stop::{StopSignal, StopSignals};

/// A worker that has not ended.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) rank: u32,
    pub(crate) process: Process,
    pub(crate) started: Instant,
    /// Closes when the worker has ended, which tells those that read its output.
    pub(crate) _running: watch::Sender<()>,
}

/// Watches `workers`. Dropping the future kills those that run.
///
/// # Errors
/// If the system cannot tell how a worker ended; then all are killed.
pub(crate) async fn supervise(
    workers: Vec<Worker>,
    grace: Duration,
    mut signals: Option<&mut StopSignals>,
) -> io::Result<Outcome> {
    let mut supervisor = Supervisor { running: workers, exits: Vec::new(), stopping: None, killed: false };
    while !supervisor.running.is_empty() {
        let kill_at = supervisor.kill_at(grace);
        tokio::select! {
            exit = poll_fn(|cx| supervisor.poll_exit(cx)) => supervisor.ended(exit?),
            signal = next_signal(&mut signals) => supervisor.signalled(signal),
            () = until(kill_at) => supervisor.kill(),
        }
    }
    let Supervisor { exits, stopping, .. } = supervisor;
    Ok(Outcome {
        workers: exits,
        cause: stopping.map(|stop| stop.cause),
        stopped: stopping.map_or(0, |stop| stop.running),
    })
}

struct Supervisor {
    running: Vec<Worker>,
    exits: Vec<WorkerExit>,
    stopping: Option<Stopping>,
    killed: bool,
}

#[derive(Clone, Copy)]
struct Stopping {
    cause: Cause,
    since: Instant,
    /// How many were running then.
    running: usize,
}

impl Supervisor {
    /// The next worker that has ended. Of several that did since the last look, the one with the lowest rank:
    /// the system does not tell in which order they ended.
    fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<WorkerExit>> {
        for index in 0..self.running.len() {
            let process = &mut self.running[index].process;
            let pid = process.pid();
            let Poll::Ready(status) = process.poll_exit(cx) else { continue };
            let Worker { name, rank, started, .. } = self.running.remove(index);
            let after = started.elapsed();
            return Poll::Ready(status.map(|status| {
                // One that ended by itself just before is not to be called killed.
                let killed = self.killed && status.signal() == Some(Signal::KILL.as_raw());
                WorkerExit { name, rank, pid, after, status, killed }
            }));
        }
        Poll::Pending
    }

    fn ended(&mut self, exit: WorkerExit) {
        let failed = !exit.status.success();
        self.exits.push(exit);
        if failed && self.stopping.is_none() {
            self.stop(Cause::Failure(self.exits.len() - 1), Signal::TERM);
        }
    }

    fn signalled(&mut self, signal: StopSignal) {
        match self.stopping {
            None => self.stop(Cause::Signal(signal), signal.signal()),
            Some(_) => self.kill(),
        }
    }

    fn stop(&mut self, cause: Cause, signal: Signal) {
        self.stopping = Some(Stopping { cause, since: Instant::now(), running: self.running.len() });
        self.send(signal);
    }

    fn kill(&mut self) {
        self.killed = true;
        self.send(Signal::KILL);
    }

    fn send(&self, signal: Signal) {
        self.running.iter().for_each(|worker| worker.process.signal(signal));
    }

    fn kill_at(&self, grace: Duration) -> Option<Instant> {
        // A grace period beyond the clock's end is one without end.
        self.stopping.filter(|_| !self.killed).and_then(|stop| stop.since.checked_add(grace))
    }
}

async fn next_signal(signals: &mut Option<&mut StopSignals>) -> StopSignal {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
