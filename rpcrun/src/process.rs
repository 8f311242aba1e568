//! One worker as a process: started so that it cannot outlive its launcher, signalled with all it started.
//!
//! Each worker leads a process group of its own. Signals go to the group, so that they reach the program
//! behind a shell script too, and Ctrl-C at a terminal reaches the launcher alone, which decides what to pass
//! on. A worker is its first process: when that has ended, what is left of its group is killed.
//!
//! On Linux each worker also asks the kernel for SIGKILL at the death of its parent. The kernel means the
//! *thread* that forked, so one thread starts all workers and lives until the launch is over.

use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Its group's id, which is the leader's; `None` once the leader was reaped and the number can be
    /// somebody else's.
    group: Option<Pid>,
}

impl Process {
    fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// The process id; 0 once the process has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.group.map_or(0, |group| group.as_raw_nonzero().get().unsigned_abs())
    }

    /// Sends `signal` to the process and all that it started in its group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails only if the group has just ended, which is what signals are sent for.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Whether the process has ended, and how. What is left of its group is killed at once.
    ///
    /// The process is reaped by then, and its number free; the group's is not while anybody is left in it, so
    /// the signal reaches those who are. If nobody is left, the system would have to give the number to a new
    /// group between two lines here to make the signal reach a stranger, and systems go through all other
    /// numbers first.
    pub(crate) fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let ended = std::pin::pin!(self.child.wait()).poll(cx);
        if ended.is_ready() {
            self.signal(Signal::KILL);
            self.group = None;
        }
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The thread that started the workers. The kernel kills them when it ends, so keep this until they have
/// ended.
#[derive(Debug)]
pub(crate) struct Parent {
    _alive: mpsc::SyncSender<Infallible>,
}

/// Starts all of `commands`, in order.
///
/// # Errors
/// The index of the first one that cannot be started (`None`: no thread for them); those before it are
/// killed.
///
/// # Panics
/// Outside of a tokio runtime with I/O enabled.
pub(crate) async fn spawn_all(
    commands: Vec<Command>,
) -> Result<(Vec<Process>, Parent), (Option<usize>, io::Error)> {
    let runtime = tokio::runtime::Handle::current();
    let (report, started) = oneshot::channel();
    let (alive, ended) = mpsc::sync_channel::<Infallible>(0);
    let work = move || {
        let all = {
            let _context = runtime.enter();
            let start = |(index, mut command): (usize, Command)| {
                die_with_parent(&mut command);
                command.process_group(0).kill_on_drop(true);
                Process::spawn(&mut command).map_err(|error| (Some(index), error))
            };
            commands.into_iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()
        };
        // Nobody listens if the launch was dropped meanwhile; then the processes are dropped here, and so
        // killed.
        if report.send(all).is_ok() {
            let _ = ended.recv();
        }
    };
    thread::Builder::new().name("rpcrun-parent".to_owned()).spawn(work).map_err(|error| (None, error))?;
    let all =
        started.await.map_err(|_| (None, io::Error::other("the thread that starts the workers ended")))?;
    Ok((all?, Parent { _alive: alive }))
}

/// Lets the kernel kill the process when the thread that starts it ends.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the only way to run something between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask_the_kernel = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent can have died before the line above; then the kernel has nothing left to wait for.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed, since another thread can have
    // held a lock at the fork. These are two bare system calls, prctl and getppid, and an error made of an
    // integer; nothing allocates or locks.
    unsafe { command.pre_exec(ask_the_kernel) };
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
