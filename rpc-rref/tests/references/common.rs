//! Workers with registries, and functions that they call.

use std::sync::Arc;

use rpc_core::{Client, FunctionTable, Host};
use rpc_rref::{RRef, Registry};
use rpc_testing::Cluster;

/// A cluster whose workers count references.
pub struct Refs {
    pub cluster: Cluster,
    registries: Vec<Arc<Registry>>,
    _hosts: Vec<Arc<dyn Host>>,
}

impl Refs {
    /// `n` workers, `worker0` and so on.
    pub async fn new(n: usize) -> Self {
        Self::over(Cluster::new(n).await)
    }

    pub fn over(cluster: Cluster) -> Self {
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

    pub fn registry(&self, worker: usize) -> &Arc<Registry> {
        &self.registries[worker]
    }

    pub fn client(&self, worker: u32) -> &Client {
        self.cluster.client(rpc_core::WorkerId(worker))
    }

    /// Lets everything that is on its way arrive, and asserts that nobody owns or uses anything any more.
    pub async fn assert_empty(&self) {
        for _ in 0..2_000 {
            if self.registries.iter().all(|registry| registry.is_idle()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let busy = self.registries.iter().filter(|registry| !registry.is_idle());
        let left: Vec<String> =
            busy.map(|registry| format!("{}: {registry:#?}", registry.worker())).collect();
        panic!("something is left:\n{}", left.join("\n"));
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub fn text_of(n: u32) -> String {
    format!("value {n}")
}

#[rpc_macros::function(crate = "rpc_core")]
pub async fn read(text: RRef<String>) -> Result<String, rpc_core::CallError> {
    text.to_here().await
}
