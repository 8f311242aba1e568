//! [`TestCluster`]: the workers of a program, all in one process.
//!
//! Generic over what a worker is, because this crate knows no facade: whoever has one starts its workers as always, with
//! the backends that are given to it.

use std::ops::Index;

use rpc_core::{BackendRegistry, RegistryError};
use tokio::task::JoinSet;

use crate::{Faults, MemoryNetwork};

/// The workers of a program, all in this process, under [`Faults`].
///
/// The program starts each of them as it always does; what is different is the backends that it gives to its builder, and
/// that all meet in a store in memory. Nothing is known here of what a worker is, so it may be a type of your own.
///
/// ```
/// # // What `rpc::Worker` and its builder are, as far as this shows: this crate does not depend on them.
/// # struct Worker;
/// # impl Worker {
/// #     fn builder_named_by_rank() -> Self { Self }
/// #     fn rank(self, _: u32) -> Self { self }
/// #     fn world_size(self, _: u32) -> Self { self }
/// #     fn store(self, _: std::sync::Arc<MemoryStore>) -> Self { self }
/// #     fn backends(self, _: rpc_core::BackendRegistry) -> Self { self }
/// #     fn variables(self, _: fn(&str) -> Option<String>) -> Self { self }
/// #     async fn init(self) -> Result<Self, std::io::Error> { Ok(self) }
/// # }
/// # #[derive(Default)] struct MemoryStore;
/// use rpc_testing::{Fault, Faults, Message, TestCluster};
///
/// // In a test: #[tokio::test(start_paused = true)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = Faults::seeded(7);
/// let store = std::sync::Arc::new(MemoryStore::default()); // rpc::MemoryStore
/// let cluster = TestCluster::builder(3).faults(&faults).start(|place| {
///     Worker::builder_named_by_rank()
///         .rank(place.rank)
///         .world_size(place.world_size)
///         .store(store.clone())
///         .backends(place.backends)
///         .variables(|_| None) // not those of whoever runs the tests
///         .init()
/// });
/// let cluster = cluster.await?;
/// faults.add(Fault::fail().on(Message::Call).to("worker1").probability(0.2));
/// // .. run the program on &cluster[0], and check what it has done ..
/// # let _: &Worker = &cluster[0];
/// # Ok(()) }
/// ```
///
/// Over the in-memory network, which is the default, time is tokio's and can be paused. Over sockets it is real:
/// `.backends(rpc::default_backends())`.
#[derive(Debug)]
pub struct TestCluster<W> {
    faults: Faults,
    workers: Vec<W>,
}

/// Says what a [`TestCluster`] is to be.
#[derive(Clone, Debug)]
pub struct TestClusterBuilder {
    world_size: u32,
    faults: Faults,
    backends: Option<BackendRegistry>,
}

/// What one worker of a [`TestCluster`] is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Place {
    /// Its rank.
    pub rank: u32,
    /// How many there are.
    pub world_size: u32,
    /// Backends with the faults around their transports.
    pub backends: BackendRegistry,
}

/// Why a [`TestCluster`] did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestClusterError<E: std::error::Error + 'static> {
    /// The backends cannot have faults.
    #[error(transparent)]
    Backends(#[from] RegistryError),
    /// A worker did not start.
    #[error("the worker of rank {rank} did not start: {cause}")]
    Start {
        /// Its rank.
        rank: u32,
        /// What it says.
        #[source]
        cause: E,
    },
}

impl TestCluster<()> {
    /// A cluster of so many workers, without faults and over a new [`MemoryNetwork`] unless told otherwise.
    pub fn builder(world_size: u32) -> TestClusterBuilder {
        TestClusterBuilder { world_size, faults: Faults::seeded(0), backends: None }
    }
}

impl TestClusterBuilder {
    /// The faults that the workers meet.
    #[must_use]
    pub fn faults(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Backends to pick from, in place of the in-memory network's alone.
    #[must_use]
    pub fn backends(self, backends: BackendRegistry) -> Self {
        Self { backends: Some(backends), ..self }
    }

    /// Starts all workers at once, as tasks of this runtime, and waits for them.
    ///
    /// # Errors
    /// [`TestClusterError`]; the other workers are dropped then.
    ///
    /// # Panics
    /// If `start` does.
    pub async fn start<W, E, F>(
        self,
        start: impl Fn(Place) -> F,
    ) -> Result<TestCluster<W>, TestClusterError<E>>
    where
        W: Send + 'static,
        E: std::error::Error + Send + 'static,
        F: Future<Output = Result<W, E>> + Send + 'static,
    {
        let Self { world_size, faults, backends } = self;
        let backends = match backends {
            Some(backends) => backends,
            None => {
                let mut backends = BackendRegistry::new();
                backends.register(MemoryNetwork::new().backend())?;
                backends
            }
        };
        let backends = faults.around(&backends)?;
        let mut starting = JoinSet::new();
        for rank in 0..world_size {
            let started = start(Place { rank, world_size, backends: backends.clone() });
            starting.spawn(async move { (rank, started.await) });
        }
        let mut workers: Vec<(u32, W)> = Vec::new();
        while let Some(started) = starting.join_next().await {
            match started {
                Ok((rank, Ok(worker))) => workers.push((rank, worker)),
                Ok((rank, Err(cause))) => return Err(TestClusterError::Start { rank, cause }),
                Err(failed) => panic!("a worker did not start: {failed}"),
            }
        }
        workers.sort_by_key(|(rank, _)| *rank);
        Ok(TestCluster { faults, workers: workers.into_iter().map(|(_, worker)| worker).collect() })
    }
}

impl<W> TestCluster<W> {
    /// The faults that the workers meet.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// All workers, by rank.
    pub fn workers(&self) -> &[W] {
        &self.workers
    }

    /// As [`Faults::kill`].
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn kill(&self, worker: &str) {
        self.faults.kill(worker);
    }

    /// As [`Faults::cut`].
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn cut(&self, a: &str, b: &str) {
        self.faults.cut(a, b);
    }

    /// As [`Faults::partition`].
    ///
    /// # Panics
    /// If there is no such worker.
    #[track_caller]
    pub fn partition(&self, some: &[&str], others: &[&str]) {
        self.faults.partition(some, others);
    }

    /// As [`Faults::heal`].
    pub fn heal(&self) {
        self.faults.heal();
    }

    /// Has `leave` done for all workers at once: workers leave together.
    ///
    /// # Errors
    /// The first error by rank.
    ///
    /// # Panics
    /// If `leave` does.
    pub async fn all<T, E, F>(&self, leave: impl Fn(W) -> F) -> Result<Vec<T>, E>
    where
        W: Clone,
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let tasks: Vec<_> = self.workers.iter().map(|worker| tokio::spawn(leave(worker.clone()))).collect();
        let mut values = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await {
                Ok(value) => values.push(value?),
                Err(failed) => panic!("a worker did not end: {failed}"),
            }
        }
        Ok(values)
    }
}

/// A worker by rank.
impl<W> Index<usize> for TestCluster<W> {
    type Output = W;

    fn index(&self, rank: usize) -> &W {
        &self.workers[rank]
    }
}
