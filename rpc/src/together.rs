//! What workers do together: teams of them, and shortcuts for the team of all.

use std::collections::BTreeMap;

use rpc_collectives::{Broadcast, Collective, CollectiveError, Team, TeamError, broadcast_call};
use rpc_core::{RemoteFunction, Target, WorkerName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::worker::Worker;

impl Worker {
    /// The team of `workers`, by name, rank or `&WorkerInfo`, in any order. Its operations wait as long as calls do.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # async fn example(worker: Worker) -> Result<(), Box<dyn std::error::Error>> {
    /// let trainers = worker.team(["worker1", "worker2"])?;
    /// if trainers.is_member() {
    ///     trainers.barrier().await?; // the others have nothing to do with it
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`TeamError`].
    pub fn team<'t, W: Into<Target<'t>>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> Result<Team, TeamError> {
        match self.collectives() {
            Some(collectives) => collectives.team(self.client(), workers),
            None => Err(self.without_collectives()),
        }
    }

    /// The team of all workers.
    ///
    /// # Errors
    /// [`TeamError::NotServed`] for a worker that this crate did not start.
    pub fn everybody(&self) -> Result<Team, TeamError> {
        match self.collectives() {
            Some(collectives) => Ok(collectives.everybody(self.client())),
            None => Err(self.without_collectives()),
        }
    }

    /// Gives `value` to all workers, and gets what each of them gives, by name. All workers have to call it. See
    /// [`Team::all_gather`].
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
    /// # let worker = |rank| Worker::builder_named_by_rank().rank(rank).world_size(2).store(store.clone());
    /// # let (worker, other) = tokio::try_join!(worker(0).init(), worker(1).init())?;
    /// # let theirs = other.all_gather(2);
    /// let counts = worker.all_gather(1).await?; // the other worker gives 2
    /// assert_eq!((counts["worker0"], counts["worker1"]), (1, 2));
    /// # assert_eq!(theirs.await?, counts);
    /// # tokio::try_join!(worker.shutdown(), other.shutdown())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CollectiveError`], through the future.
    ///
    /// # Cancel safety
    /// See [`Collective`].
    pub fn all_gather<T>(&self, value: T) -> Collective<BTreeMap<WorkerName, T>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        match self.everybody() {
            Ok(everybody) => everybody.all_gather(value),
            Err(_) => Collective::failed(self.client(), self.not_served("all_gather")),
        }
    }

    /// Resolves when all workers have called it. See [`Team::barrier`].
    ///
    /// # Errors
    /// [`CollectiveError`], through the future.
    ///
    /// # Cancel safety
    /// See [`Collective`].
    pub fn barrier(&self) -> Collective<()> {
        match self.everybody() {
            Ok(everybody) => everybody.barrier(),
            Err(_) => Collective::failed(self.client(), self.not_served("barrier")),
        }
    }

    /// Calls `function` on every worker, this one included, and gives what each returns, by name.
    /// [`Team::broadcast_call`] is the same for some.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn load(path: String) -> u64 { 0 }
    /// # async fn example(worker: Worker) {
    /// for (worker, loaded) in worker.broadcast_call(load, ("model.bin".into(),)).await {
    ///     println!("{worker}: {loaded:?}"); // a call that failed is one of them
    /// }
    /// # }
    /// ```
    pub fn broadcast_call<F: RemoteFunction>(
        &self,
        function: F,
        args: F::Args,
    ) -> Broadcast<F::Output, F::Error>
    where
        F::Args: Clone,
    {
        broadcast_call(self.client(), self.workers(), function, args)
    }

    fn without_collectives(&self) -> TeamError {
        TeamError::NotServed { worker: self.info().name.clone() }
    }

    fn not_served(&self, operation: &str) -> CollectiveError {
        CollectiveError::NotServed { operation: operation.into(), leader: self.info().name.clone() }
    }
}
