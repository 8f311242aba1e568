//! [`Cluster`]: N workers in one process, over a [`MemoryNetwork`].

mod builder;
mod idle;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpc_core::{Agent, Client, Group, Shutdown, ShutdownError, ShutdownReport, Target, WorkerId, WorkerName};

use crate::MemoryNetwork;

pub use self::builder::{ClusterBuilder, ClusterError};

/// A group of workers that live in this process and reach each other over a [`MemoryNetwork`].
///
/// Each worker is an agent of its own, with an incarnation and links as in a process of its own, and serves
/// the functions of one table: those linked into the program, unless the builder was given others. Workers
/// are named by rank, by name, or by [`WorkerInfo`](rpc_core::WorkerInfo); the rank is the place in the list that the builder was
/// given. A function that calls on finds the [`Client`] of the worker on which it runs as
/// [`CallContext::host`](rpc_core::CallContext::host).
///
/// Everything runs on the runtime in which the cluster was built, except blocking handlers, which have
/// threads of their own, and whose time no paused clock stops.
pub struct Cluster {
    network: MemoryNetwork,
    group: Group,
    workers: Vec<Worker>,
    runtime: tokio::runtime::Handle,
}

struct Worker {
    /// Shared with the functions that run here, which find it as the host of their call.
    client: Arc<Client>,
    killed: AtomicBool,
}

impl Cluster {
    /// A cluster of `n` workers, `worker0` to `worker{n - 1}`.
    ///
    /// # Panics
    /// If the cluster cannot be built (see [`ClusterBuilder::build`]).
    pub async fn new(n: usize) -> Self {
        match Self::builder().workers((0..n).map(|rank| format!("worker{rank}"))).build().await {
            Ok(cluster) => cluster,
            Err(error) => panic!("{error}"),
        }
    }

    /// A cluster with names, functions, bounds or a network of one's own.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// The network between the workers.
    pub fn network(&self) -> &MemoryNetwork {
        &self.network
    }

    /// All workers.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// A client that calls from `worker`.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn client<'t>(&self, worker: impl Into<Target<'t>>) -> &Client {
        &self.worker(worker).client
    }

    /// The agent of `worker`.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn agent<'t>(&self, worker: impl Into<Target<'t>>) -> &Arc<dyn Agent> {
        self.client(worker).agent()
    }

    /// The address of `worker` on the [network](Self::network).
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn address<'t>(&self, worker: impl Into<Target<'t>>) -> &str {
        let id = self.id(worker);
        &self.group.members()[id.0 as usize].address
    }

    /// `worker` dies as its process would: its links are reset, it is dialled in vain, and its handlers
    /// are told to stop. Calls that it has in flight fail.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn kill<'t>(&self, worker: impl Into<Target<'t>>) {
        let worker = self.id(worker);
        self.network.kill(self.address(worker));
        let dead = &self.workers[worker.0 as usize];
        dead.killed.store(true, Ordering::Relaxed);
        // Nobody hears its farewell any more; it only ends what runs there.
        self.runtime.spawn(dead.client.agent().shutdown(Shutdown::Immediate));
    }

    /// Resets the links between two workers; the next call between them dials anew. Returns how many links
    /// there were.
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn cut<'a, 'b>(&self, a: impl Into<Target<'a>>, b: impl Into<Target<'b>>) -> usize {
        self.network.cut(self.address(a), self.address(b))
    }

    /// Keeps two workers apart until [`heal`](Self::heal) (see [`MemoryNetwork::partition`]).
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn partition<'a, 'b>(&self, a: impl Into<Target<'a>>, b: impl Into<Target<'b>>) {
        self.network.partition(self.address(a), self.address(b));
    }

    /// Ends a [`partition`](Self::partition).
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn heal<'a, 'b>(&self, a: impl Into<Target<'a>>, b: impl Into<Target<'b>>) {
        self.network.heal(self.address(a), self.address(b));
    }

    /// Has all workers that were not killed leave together, and returns their reports by rank. The workers
    /// wait for each other for ever; a test that wants less puts a timeout around it, or shuts single
    /// agents down.
    ///
    /// # Errors
    /// The first of [`ShutdownError`] by rank.
    pub async fn shutdown(&self) -> Result<Vec<ShutdownReport>, ShutdownError> {
        let how = Shutdown::Graceful { timeout: None };
        // Spawned, because each waits for all others.
        let leaving: Vec<_> =
            self.living().map(|worker| self.runtime.spawn(worker.client.agent().shutdown(how))).collect();
        let mut reports = Vec::new();
        for left in leaving {
            match left.await {
                Ok(report) => reports.push(report?),
                Err(failed) => panic!("a shutdown ended early: {failed}"),
            }
        }
        Ok(reports)
    }

    fn living(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(|worker| !worker.killed.load(Ordering::Relaxed))
    }

    #[track_caller]
    fn worker<'t>(&self, worker: impl Into<Target<'t>>) -> &Worker {
        &self.workers[self.id(worker).0 as usize]
    }

    #[track_caller]
    fn id<'t>(&self, worker: impl Into<Target<'t>>) -> WorkerId {
        match self.group.find(&worker.into()) {
            Ok(worker) => worker.id,
            Err(unknown) => panic!("{unknown}"),
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&WorkerName> = self.group.members().iter().map(|member| &member.info.name).collect();
        f.debug_struct("Cluster").field("workers", &names).finish_non_exhaustive()
    }
}
