//! [`ClusterBuilder`]: what a cluster is made of.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use rpc_core::{
    Agent, AgentStart, Client, Codecs, EngineConfig, FunctionHandler, FunctionTable, Group, Incarnation,
    InvalidGroup, InvalidName, Kind, Member, TableError, Transport, TransportAgent, WorkerId, WorkerInfo,
    WorkerName,
};

use super::{Cluster, Worker};
use crate::{MemoryNetwork, MemoryTransport};

/// Builds a [`Cluster`].
///
/// ```
/// use rpc_core::EngineConfig;
/// use rpc_testing::{Cluster, MemoryNetwork};
/// # async fn build() -> Result<(), rpc_testing::ClusterError> {
/// let cluster = Cluster::builder()
///     .workers(["ps", "trainer0", "trainer1"])
///     .config(EngineConfig { in_flight_max: 16, ..EngineConfig::default() })
///     .network(MemoryNetwork::builder().seed(7).build())
///     .build()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClusterBuilder {
    names: Vec<String>,
    functions: Option<FunctionTable>,
    config: EngineConfig,
    codecs: Codecs,
    network: MemoryNetwork,
}

impl ClusterBuilder {
    /// The workers' names, by rank. Default: none, which makes an empty cluster.
    #[must_use]
    pub fn workers<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// The functions that every worker serves. Default: those linked into the program.
    #[must_use]
    pub fn functions(self, functions: FunctionTable) -> Self {
        Self { functions: Some(functions), ..self }
    }

    /// Bounds and times of every worker.
    #[must_use]
    pub fn config(self, config: EngineConfig) -> Self {
        Self { config, ..self }
    }

    /// The codecs of every worker.
    #[must_use]
    pub fn codecs(self, codecs: Codecs) -> Self {
        Self { codecs, ..self }
    }

    /// The network between the workers, which may have others on it. Default: one of their own.
    #[must_use]
    pub fn network(self, network: MemoryNetwork) -> Self {
        Self { network, ..self }
    }

    /// Starts the workers in the current runtime.
    ///
    /// # Errors
    /// [`ClusterError`]: a name that is none or is taken, two functions of one name, or an engine that does
    /// not start.
    pub async fn build(self) -> Result<Cluster, ClusterError> {
        let functions = Arc::new(self.functions.map_or_else(FunctionTable::linked, Ok)?);
        let codecs = Arc::new(self.codecs);
        let transports: Vec<MemoryTransport> = self.names.iter().map(|_| self.network.transport()).collect();
        let members: Vec<Member> = self
            .names
            .iter()
            .zip(&transports)
            .enumerate()
            .map(|(rank, (name, transport))| member(&self.network, rank, name, transport))
            .collect::<Result<_, _>>()?;
        let group = Group::new("test", members)?;

        let mut workers = Vec::with_capacity(transports.len());
        for (transport, member) in transports.into_iter().zip(group.members()) {
            let start = AgentStart::new(member.info.id, group.clone(), self.config.clone());
            let agent = TransportAgent::start(Arc::new(transport), start).map_err(|cause| {
                ClusterError::Start { worker: member.info.clone(), cause: cause.to_string() }
            })?;
            let agent: Arc<dyn Agent> = Arc::new(agent);
            let client = Arc::new(Client::new(Arc::clone(&agent), Arc::clone(&codecs)));
            let host: Weak<Client> = Arc::downgrade(&client);
            let handler = FunctionHandler::new(Arc::clone(&functions), Arc::clone(&codecs), host)
                .observed(Arc::clone(client.observers()));
            agent.serve(Kind::CALL, Arc::new(handler));
            workers.push(Worker { client, killed: AtomicBool::new(false) });
        }
        let runtime = tokio::runtime::Handle::current();
        Ok(Cluster { network: self.network, group, workers, runtime })
    }
}

fn member(
    network: &MemoryNetwork,
    rank: usize,
    name: &str,
    transport: &MemoryTransport,
) -> Result<Member, InvalidName> {
    let info = WorkerInfo::new(WorkerName::new(name)?, WorkerId(rank as u32));
    let incarnation = Incarnation(network.random_bytes());
    Ok(Member::new(info, incarnation, transport.local_address()))
}

/// Why a cluster could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A name breaks the rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Two workers have one name.
    #[error(transparent)]
    Group(#[from] InvalidGroup),
    /// Two linked functions have one name.
    #[error(transparent)]
    Functions(#[from] TableError),
    /// An engine did not start.
    #[error("worker {worker} did not start: {cause}")]
    Start {
        /// The worker.
        worker: WorkerInfo,
        /// The engine's words.
        cause: String,
    },
}
