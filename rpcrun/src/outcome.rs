//! [`Outcome`]: how a job ended, and the one line that says it.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::stop::{StopSignal, signal_name};

/// How one worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerExit {
    /// Its name, as it stands before its lines.
    pub name: String,
    /// Its rank in the whole job.
    pub rank: u32,
    /// The id that its process had.
    pub pid: u32,
    /// From its start to its end.
    pub after: Duration,
    /// Its exit code or signal.
    pub status: ExitStatus,
    /// Whether the launcher sent it SIGKILL.
    pub killed: bool,
}

impl WorkerExit {
    /// The exit code, as a shell gives it: 128 plus the number of the signal that ended the process.
    pub fn exit_code(&self) -> i32 {
        // The system knows no third way to end, so the last alternative is never taken.
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).unwrap_or(1)
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rank, pid, after, status, .. } = self;
        write!(f, "{name} (rank {rank}, pid {pid}) ")?;
        match status.signal() {
            Some(signal) => match signal_name(signal) {
                Some(name) => write!(f, "was ended by {name}")?,
                None => write!(f, "was ended by signal {signal}")?,
            },
            None => write!(f, "exited with code {}", self.exit_code())?,
        }
        write!(f, " after {:.1} s", after.as_secs_f64())
    }
}

/// Why the workers were stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This one failed first: index into the exits.
    Failure(usize),
    /// The launcher was told to.
    Signal(StopSignal),
}

/// How a job ended on this machine. Its text is one line for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// All workers of this machine, in the order in which the launcher found that they had ended; those that
    /// it found at once are in the order of their ranks.
    pub workers: Vec<WorkerExit>,
    pub(crate) cause: Option<Cause>,
    /// How many workers were still running when the cause came.
    pub(crate) stopped: usize,
}

impl Outcome {
    /// Whether all workers exited with code 0.
    pub fn success(&self) -> bool {
        self.workers.iter().all(|worker| worker.status.success())
    }

    /// The worker that failed first, before anyone was told to stop. Of several that failed so close together
    /// that the launcher found them at once, it is the one with the lowest rank.
    pub fn first_failure(&self) -> Option<&WorkerExit> {
        match self.cause {
            Some(Cause::Failure(index)) => self.workers.get(index),
            _ => None,
        }
    }

    /// The signal that the launcher was ended with, if that came before any failure.
    pub fn stop_signal(&self) -> Option<StopSignal> {
        match self.cause {
            Some(Cause::Signal(signal)) => Some(signal),
            _ => None,
        }
    }

    /// The exit code for the launcher: 0 if all workers exited with 0; that of the first failure (128 plus
    /// the signal's number for a signal); 128 plus the number of the signal that the launcher got before any
    /// failure.
    pub fn exit_code(&self) -> i32 {
        match self.cause {
            _ if self.success() => 0,
            Some(Cause::Signal(signal)) => 128 + signal.number(),
            Some(Cause::Failure(_)) | None => self.first_failure().map_or(1, WorkerExit::exit_code),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cause, self.first_failure()) {
            (Some(Cause::Signal(signal)), _) => {
                write!(f, "passed {signal} on to {}", workers(self.stopped))?;
            }
            (_, Some(failure)) => {
                write!(f, "{failure}; ")?;
                match self.stopped {
                    0 => write!(f, "no other worker was running")?,
                    1 => write!(f, "stopped the other worker with SIGTERM")?,
                    n => write!(f, "stopped the {n} others with SIGTERM")?,
                }
            }
            (_, None) => return write!(f, "{} exited with code 0", workers(self.workers.len())),
        }
        let mut killed: Vec<&WorkerExit> = self.workers.iter().filter(|worker| worker.killed).collect();
        killed.sort_by_key(|worker| worker.rank);
        if !killed.is_empty() {
            let rest = killed.len().saturating_sub(NAMES_MAX);
            let names: Vec<&str> = killed.iter().take(NAMES_MAX).map(|worker| worker.name.as_str()).collect();
            write!(f, ", and had to kill {}", names.join(", "))?;
            if rest > 0 {
                write!(f, " and {rest} more")?;
            }
        }
        write!(f, "; exit code {}", self.exit_code())
    }
}

/// How many names the line lists.
const NAMES_MAX: usize = 8;

fn workers(count: usize) -> String {
    match count {
        1 => "1 worker".to_owned(),
        n => format!("{n} workers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(rank: u32, raw_status: i32, killed: bool) -> WorkerExit {
        let (name, status) = (format!("worker{rank}"), ExitStatus::from_raw(raw_status));
        WorkerExit { name, rank, pid: 100 + rank, after: Duration::from_millis(1234), status, killed }
    }

    #[test]
    fn the_line_names_the_worker_its_code_and_what_was_done() {
        let workers = vec![exit(1, 3 << 8, false), exit(0, 15, false), exit(2, 9, true)];
        let outcome = Outcome { workers, cause: Some(Cause::Failure(0)), stopped: 2 };
        assert_eq!(
            outcome.to_string(),
            "worker1 (rank 1, pid 101) exited with code 3 after 1.2 s; stopped the 2 others with SIGTERM, \
             and had to kill worker2; exit code 3"
        );
    }

    #[test]
    fn a_worker_ended_by_a_signal_counts_as_128_and_its_number() {
        let outcome =
            Outcome { workers: vec![exit(0, 9, false)], cause: Some(Cause::Failure(0)), stopped: 0 };
        assert_eq!(outcome.exit_code(), 137);
        assert!(outcome.to_string().contains("was ended by SIGKILL"), "{outcome}");
    }

    #[test]
    fn an_interrupt_that_all_workers_handled_is_a_success() {
        let cause = Some(Cause::Signal(StopSignal::Interrupt));
        let handled = Outcome { workers: vec![exit(0, 0, false)], cause, stopped: 1 };
        assert_eq!(handled.exit_code(), 0);
        let unhandled = Outcome { workers: vec![exit(0, 2, false)], cause, stopped: 1 };
        assert_eq!(unhandled.exit_code(), 130);
        assert_eq!(unhandled.to_string(), "passed SIGINT on to 1 worker; exit code 130");
    }
}
