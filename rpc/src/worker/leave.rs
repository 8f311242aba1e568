//! How a worker leaves: its group first, then the store, then its own runtime, in a task that goes on whatever becomes of
//! who asked for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rpc_core::{Shutdown, timeout_or_forever};
use tokio::sync::watch;

use super::{Membership, Shared, Stay, Worker};
use crate::error::BlockingShutdownError;
use crate::leaving::{Outcome, ShutdownError, ShutdownReport};
use crate::runtime::block_on;

impl Worker {
    /// Meets all other workers, lets everything in flight finish, and leaves together with them. Waits for
    /// living workers at most [`shutdown_timeout`](crate::WorkerBuilder::shutdown_timeout), half an hour unless told
    /// otherwise; dead ones are not waited for.
    ///
    /// Values of this worker's that somebody still has references to are *leaks*: they are in the report, and
    /// logged as warnings or made an error, as [`LeakPolicy`](crate::LeakPolicy) says
    /// ([`WorkerBuilder::leaks`](crate::WorkerBuilder::leaks)). A reference that
    /// the program still has in a variable is one; drop references before.
    ///
    /// All workers have to call it. Until the last one has, this one goes on serving: a worker that does
    /// nothing but serve calls it at once, with
    /// [`shutdown_with`](Self::shutdown_with)`(Shutdown::Graceful { timeout: None })` if the job may take long.
    /// Not to be awaited in a handler, which it would wait for. Afterwards calls fail as
    /// [`Failure::ShutDown`](crate::Failure::ShutDown), and the process may start another worker. A second
    /// call ends like the first.
    ///
    /// # Errors
    /// [`ShutdownError`] names the workers that did not come, or under
    /// [`LeakPolicy::Error`](crate::LeakPolicy::Error) what leaked. This one has left nevertheless.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the shutdown to go on in the background.
    pub async fn shutdown(&self) -> Result<ShutdownReport, ShutdownError> {
        self.shutdown_with(self.graceful()).await
    }

    /// Leaves as `how` says; otherwise as [`shutdown`](Self::shutdown). Telling the store takes up to half a
    /// second more if it, or on rank 0 one of the others, does not answer.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown). [`Shutdown::Immediate`] does not fail.
    ///
    /// # Cancel safety
    /// As [`shutdown`](Self::shutdown).
    pub async fn shutdown_with(&self, how: Shutdown) -> Result<ShutdownReport, ShutdownError> {
        if how == Shutdown::Immediate {
            self.shared.hurried.store(true, Ordering::Relaxed);
        }
        let begun = self.shared.leave(how);
        if (begun || how != Shutdown::Immediate)
            && let Some(outcome) = self.shared.outcome().await
        {
            return outcome;
        }
        // It is to hurry up, or is not this crate's, or its runtime has gone and took the background task along.
        Ok(self.agent().shutdown(how).await?.into())
    }

    /// As [`shutdown`](Self::shutdown) for a plain thread, which it blocks.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and [`BlockingShutdownError::WouldBlock`] on a thread that drives
    /// this worker or runs one of its handlers.
    pub fn shutdown_blocking(&self) -> Result<ShutdownReport, BlockingShutdownError> {
        let within_handler = Self::try_current().is_some_and(|own| Arc::ptr_eq(&own.shared, &self.shared));
        if within_handler || !self.agent().may_block() {
            return Err(BlockingShutdownError::WouldBlock);
        }
        Ok(block_on(self.shutdown())?)
    }

    fn graceful(&self) -> Shutdown {
        Shutdown::Graceful { timeout: timeout_or_forever(self.shared.leaving.timeout) }
    }
}

impl Shared {
    /// Has a background task leave the group, then the store, then end the worker's own runtime. False if
    /// that was begun before, or is not for this crate to do.
    fn leave(self: &Arc<Self>, how: Shutdown) -> bool {
        let Some(runtime) = &self.runtime else { return false };
        let (end, ended) = watch::channel(None);
        let membership = {
            let mut membership = self.membership.lock();
            let Some(membership) = membership.take() else { return false };
            // Under the lock, so that who finds the membership taken finds this. It is taken once.
            let _ = self.ended.set(ended);
            membership
        };
        let Membership { joined, store, opened, thread } = membership;
        let is_graceful = matches!(how, Shutdown::Graceful { .. });
        if is_graceful && let Some(registry) = self.registry.get() {
            registry.begin_leaving();
        }
        let left_group = self.client.agent().shutdown(how);
        let shared = Arc::clone(self);
        runtime.spawn(async move {
            let left = left_group.await;
            let outcome = shared.judge(is_graceful, left);
            if let Some(registry) = shared.registry.get() {
                registry.close();
            }
            drop(shared);
            joined.leave().await;
            drop(store);
            if let Some(opened) = opened {
                opened.close().await;
            }
            // Nobody may be waiting: the worker may have been dropped.
            let _ = end.send(Some(outcome));
            drop(thread);
        });
        true
    }

    /// What has become of this worker's values, now that the agent has left.
    fn judge(
        &self,
        is_graceful: bool,
        left: Result<rpc_core::ShutdownReport, rpc_core::ShutdownError>,
    ) -> Outcome {
        let mut report = ShutdownReport::from(left?);
        // Told to hurry, it has not waited for references that were about to be dropped.
        let is_drained = is_graceful && !self.hurried.load(Ordering::Relaxed);
        if let Some(registry) = self.registry.get().filter(|_| is_drained) {
            registry.lost(report.lost.iter().map(|worker| worker.id));
            let leaked = registry.leaks().judge(self.leaving.leaks)?;
            (report.leaks, report.leaks_more) = (leaked.leaks, leaked.more);
        }
        Ok(report)
    }

    /// How the leaving ended, once it has; `None` if it was not begun here, or will not end.
    async fn outcome(&self) -> Option<Outcome> {
        let mut ended = self.ended.get()?.clone();
        ended.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        // Only starts a task. The last handle may be dropped anywhere, also in a handler of this worker.
        self.shared.leave(Shutdown::Immediate);
    }
}
