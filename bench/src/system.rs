//! The seam between workloads and systems: what a system has to implement.
//!
//! Workloads are generic over it, so that calls through it cost nothing, and futures need not be `Send`: every
//! process runs on one thread.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::case::Feature;

/// What small calls carry, both ways.
pub(crate) const SMALL: [u8; 64] = *b"sixty-four bytes, which is what a small call carries here... end";

/// A framework, or a bare socket.
pub(crate) trait System {
    /// Makes calls. Clones share what it is connected by.
    type Client: Client;

    /// Why this system takes no part in workloads that need `feature`.
    fn lacks(_feature: Feature) -> Option<&'static str> {
        None
    }

    /// Serves until the process ends, or fails. Calls `ready` once with the address for the clients.
    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()>;

    /// The `nth` client of the job.
    async fn connect(job: &Job<'_>, address: &str, nth: u32) -> anyhow::Result<Self::Client>;
}

/// What both sides know before they meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// A folder of this job's own.
    pub(crate) scratch: &'a Path,
    /// How many clients there will be.
    pub(crate) clients: u32,
}

/// One side of a connection.
pub(crate) trait Client: Clone + 'static {
    /// Sends [`SMALL`] and waits until it is back.
    fn echo(&self) -> impl Future<Output = anyhow::Result<()>>;

    /// Makes `count` echoes, `in_flight` at a time, and says how long that took.
    ///
    /// As users would: with a task for each that is in flight. Bare sockets have a way of their own, since they
    /// do not know which answer is whose.
    async fn echo_many(&self, in_flight: usize, count: usize) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let tasks: Vec<_> = (0..in_flight)
            .map(|nth| {
                let client = self.clone();
                let share = count / in_flight + usize::from(nth < count % in_flight);
                tokio::task::spawn_local(async move {
                    for _ in 0..share {
                        client.echo().await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(start.elapsed())
    }
}
