//! The seam between workloads and systems: what a system has to implement.
//!
//! Workloads are generic over it, so that calls through it cost nothing, and futures need not be `Send`: every
//! process runs on one thread.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::case::Feature;

/// What small calls carry, both ways.
pub(crate) const SMALL: [u8; 64] = *b"sixty-four bytes, which is what a small call carries here... end";

/// A framework, or a bare socket.
pub(crate) trait System {
    /// Makes calls. Clones share what it is connected by.
    type Client: Client;

    /// Whether its users would have large messages go through a connection of their own. True of those that
    /// cannot have two messages on their way at a time.
    const BULK_APART: bool = false;

    /// Why this system takes no part in workloads that need `feature`.
    fn lacks(_feature: Feature) -> Option<&'static str> {
        None
    }

    /// Why this build does not offer it.
    fn absent() -> Option<&'static str> {
        None
    }

    /// Makes what all processes of a measurement have to find in the folder that they share.
    fn prepare(_scratch: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Serves until the process ends, or fails. Calls `ready` once with the address for the clients.
    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()>;

    /// The `nth` client of the job.
    async fn connect(job: &Job<'_>, address: &str, nth: u32) -> anyhow::Result<Self::Client>;

    /// Is a member of a group: joins, makes one small call to another member, tells so and waits with
    /// [`Leave::called`], and leaves the group.
    async fn member(_job: &Job<'_>, _rank: u32, _leave: Leave) -> anyhow::Result<()> {
        bail!("has no groups")
    }
}

/// What a member of a group says to the driver, and hears from it.
pub(crate) struct Leave(pub(crate) fn() -> tokio::sync::oneshot::Receiver<()>);

impl Leave {
    /// Tells that this member's first call is done, and waits until all are to leave.
    pub(crate) async fn called(self) -> anyhow::Result<()> {
        Ok((self.0)().await?)
    }
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
///
/// Large messages are f32. Systems that carry bytes are given bytes, as that is the fastest that they do with
/// them; what arrives is looked at no further, though it may not be aligned for f32.
pub(crate) trait Client: Clone + 'static {
    /// A large message, as it is before it is sent.
    type Bulk: 'static;

    /// Sends [`SMALL`] and waits until it is back.
    fn echo(&self) -> impl Future<Output = anyhow::Result<()>>;

    /// Makes `count` echoes, `in_flight` at a time, and says how long that took.
    ///
    /// As users would: with a task for each that is in flight. Bare sockets have a way of their own, since they
    /// do not know which answer is whose.
    async fn echo_many(&self, in_flight: usize, count: usize) -> anyhow::Result<Duration> {
        many(self, in_flight, count, async |client| client.echo().await).await
    }

    /// A message of this size, all ones.
    fn bulk(bytes: usize) -> Self::Bulk;

    /// Sends `bulk`, has the server [take it](crate::kept::arrived), and waits for its length.
    fn upload(&self, bulk: &Self::Bulk) -> impl Future<Output = anyhow::Result<()>>;

    /// Sends `bulk` and waits until it is back.
    fn echo_bulk(&self, bulk: &Self::Bulk) -> impl Future<Output = anyhow::Result<()>>;

    /// Asks for a message of this size, and waits for it.
    fn download(&self, bytes: usize) -> impl Future<Output = anyhow::Result<()>>;

    /// Creates a counter at the server, adds to it once, and drops it.
    async fn cycle(&self) -> anyhow::Result<()> {
        bail!("has no references")
    }

    /// Does `count` cycles, `at_a_time`, and says how long that took. Bare sockets make bare calls.
    async fn cycle_many(&self, at_a_time: usize, count: usize) -> anyhow::Result<Duration> {
        many(self, at_a_time, count, async |client| client.cycle().await).await
    }
}

/// Does `operation` `count` times, with `at_a_time` tasks.
async fn many<C: Client>(
    client: &C,
    at_a_time: usize,
    count: usize,
    operation: impl AsyncFn(&C) -> anyhow::Result<()> + Copy + 'static,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..at_a_time)
        .map(|nth| {
            let client = client.clone();
            let share = count / at_a_time + usize::from(nth < count % at_a_time);
            tokio::task::spawn_local(async move {
                for _ in 0..share {
                    operation(&client).await?;
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

/// Fails unless an answer has the length that it should have.
pub(crate) fn expect(length: usize, expected: usize) -> anyhow::Result<()> {
    anyhow::ensure!(length == expected, "an answer of {length} in place of {expected}");
    Ok(())
}

/// A large message for systems that carry bytes.
pub(crate) fn ones(bytes: usize) -> Vec<u8> {
    1.0_f32.to_ne_bytes().repeat(bytes / size_of::<f32>())
}
