//! Workers of one process, and what is asked of errors.

use std::future::Future;
use std::sync::Arc;

use rpc_collectives::{CollectiveError, Collectives, IncompleteCause, Team};
use rpc_core::{Client, Host, WorkerName};
use rpc_testing::Cluster;

#[rpc_macros::function(inline, crate = "rpc_core")]
pub(crate) fn square(n: i64) -> i64 {
    n * n
}

/// Workers of one process, all but `without` with collectives.
pub(crate) struct Job {
    pub(crate) cluster: Cluster,
    pub(crate) hosts: Vec<Arc<Client>>,
    pub(crate) collectives: Vec<Option<Collectives>>,
}

impl Job {
    pub(crate) async fn new(workers: usize) -> Self {
        Self::without(workers, usize::MAX).await
    }

    pub(crate) async fn without(workers: usize, without: usize) -> Self {
        let cluster = Cluster::new(workers).await;
        let hosts: Vec<_> = (0..workers).map(|rank| Arc::new(cluster.client(rank as i64).clone())).collect();
        let start = |(rank, host): (usize, &Arc<Client>)| {
            let weak: Arc<dyn Host> = Arc::clone(host) as _;
            (rank != without).then(|| Collectives::start(host, Arc::downgrade(&weak)))
        };
        let collectives = hosts.iter().enumerate().map(start).collect();
        Self { cluster, hosts, collectives }
    }

    /// The team of `members` as worker `rank` has it.
    pub(crate) fn team(&self, rank: usize, members: &[i64]) -> Team {
        let collectives = self.collectives[rank].as_ref().expect("it has collectives");
        collectives.team(&self.hosts[rank], members.iter().copied()).expect("they exist")
    }

    pub(crate) fn everybody(&self, rank: usize) -> Team {
        self.collectives[rank].as_ref().expect("it has collectives").everybody(&self.hosts[rank])
    }
}

/// Names the workers that are `missing`.
pub(crate) fn assert_missing(error: &CollectiveError, missing: &[&str]) {
    let named: Vec<&str> = error.missing().iter().map(WorkerName::as_str).collect();
    assert_eq!(named, missing, "{error}");
    assert!(missing.iter().all(|worker| error.to_string().contains(worker)), "{error}");
}

pub(crate) fn cause(error: &CollectiveError) -> &IncompleteCause {
    match error {
        CollectiveError::Incomplete(incomplete) => &incomplete.cause,
        other => panic!("{other}"),
    }
}

pub(crate) async fn all<R>(operations: impl IntoIterator<Item = impl Future<Output = R>>) -> Vec<R> {
    let begun: Vec<_> = operations.into_iter().collect();
    let mut results = Vec::new();
    for operation in begun {
        results.push(operation.await);
    }
    results
}
