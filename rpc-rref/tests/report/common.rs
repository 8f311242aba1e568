//! Workers with registries that leave together, and values that hold references.

use std::panic::Location;
use std::sync::Arc;

use rpc_core::{Client, FunctionTable, Host, Shutdown};
use rpc_rref::{LeakReport, RRef, Registry};
use rpc_testing::Cluster;
use serde::{Deserialize, Serialize};

/// A cluster whose workers count references.
pub(crate) struct Refs {
    pub(crate) cluster: Cluster,
    registries: Vec<Arc<Registry>>,
    _hosts: Vec<Arc<dyn Host>>,
}

impl Refs {
    /// `n` workers, `worker0` and so on.
    pub(crate) async fn new(n: usize) -> Self {
        let cluster = Cluster::new(n).await;
        let functions = Arc::new(FunctionTable::linked().unwrap());
        let (mut registries, mut hosts) = (Vec::new(), Vec::new());
        for member in cluster.group().members() {
            let host: Arc<dyn Host> = Arc::new(cluster.client(member.info.id).clone());
            let client: Client = host.client();
            registries.push(Registry::start(&client, Arc::clone(&functions), Arc::downgrade(&host)).unwrap());
            hosts.push(host);
        }
        Self { cluster, registries, _hosts: hosts }
    }

    pub(crate) fn registry(&self, worker: usize) -> &Arc<Registry> {
        &self.registries[worker]
    }

    /// Has the workers `leaving` leave together, one after the other; returns what leaked there.
    pub(crate) async fn leave(&self, leaving: &[usize]) -> Vec<LeakReport> {
        let leaving: Vec<_> = leaving
            .iter()
            .map(|worker| {
                let registry = Arc::clone(&self.registries[*worker]);
                registry.begin_leaving();
                let left = registry.client().agent().shutdown(Shutdown::Graceful { timeout: None });
                tokio::spawn(async move {
                    left.await.unwrap();
                    let report = registry.leaks();
                    registry.close();
                    report
                })
            })
            .collect();
        let mut reports = Vec::new();
        for left in leaving {
            reports.push(left.await.unwrap());
        }
        reports
    }

    /// Has all workers leave together.
    pub(crate) async fn leave_all(&self) -> Vec<LeakReport> {
        self.leave(&(0..self.registries.len()).collect::<Vec<_>>()).await
    }
}

/// This line, as places are told.
#[track_caller]
pub(crate) fn here() -> String {
    Location::caller().to_string()
}

/// A value that may hold others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) next: Vec<RRef<Node>>,
}

#[rpc_macros::methods(crate = "rpc_rref")]
impl Node {
    pub(crate) fn put(&mut self, next: RRef<Node>) {
        self.next.push(next);
    }

    pub(crate) fn clear(&mut self) {
        self.next.clear();
    }
}

// Inline, so that a paused clock waits for it.
#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn new_node() -> Node {
    Node::default()
}

#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn shelve(shelf: RRef<Node>, value: RRef<Node>) -> Result<(), rpc_core::CallError> {
    shelf.rpc_async().put(value).await
}
