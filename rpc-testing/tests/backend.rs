//! The network as a backend that a registry picks by name.

use rpc_core::{
    AgentStart, BackendRegistry, BindOptions, EngineConfig, Group, Incarnation, Member, WorkerId, WorkerInfo,
    WorkerName,
};
use rpc_testing::MemoryNetwork;

#[tokio::test(start_paused = true)]
async fn the_memory_backend_is_picked_by_name_and_makes_agents() {
    let network = MemoryNetwork::new();
    let mut registry = BackendRegistry::new();
    registry.register(network.backend()).unwrap();
    let backend = registry.get("memory").unwrap();

    let (first, second) = (
        backend.bind(&BindOptions::new("127.0.0.1:0")).await.unwrap(),
        backend.bind(&BindOptions::new("127.0.0.1:0")).await.unwrap(),
    );
    assert_eq!((first.address(), second.address()), ("memory:0".into(), "memory:1".into()));

    let info = WorkerInfo::new(WorkerName::new("alone").unwrap(), WorkerId(0));
    let member = Member::new(info, Incarnation([1; 16]), first.address());
    let group = Group::new("job", vec![member]).unwrap();
    let agent = first.start(AgentStart::new(WorkerId(0), group, EngineConfig::default())).await.unwrap();
    assert_eq!(agent.id(), WorkerId(0));
    drop(second);
    assert!(format!("{network:?}").contains("memory:0"), "the agent keeps its transport");
}
