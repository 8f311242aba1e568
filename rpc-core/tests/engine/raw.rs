//! Requests below functions: what an agent sees.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Body, Handler, Incoming, Kind, Outcome, Reply, Request, Response, Served, WorkerId};
use rpc_testing::Cluster;

/// The kind of these tests' own requests.
pub(crate) const RAW: Kind = Kind::CUSTOM_FIRST;

struct ByClosure<F>(F);

impl<F: Fn(Incoming) -> Served + Send + Sync + 'static> Handler for ByClosure<F> {
    fn handle(&self, incoming: Incoming) -> Served {
        (self.0)(incoming)
    }
}

/// Has worker `rank` serve requests of `kind` by `handle`.
pub(crate) fn serve(
    cluster: &Cluster,
    rank: u32,
    kind: Kind,
    handle: impl Fn(Incoming) -> Served + Send + Sync + 'static,
) {
    cluster.agent(i64::from(rank)).serve(kind, Arc::new(ByClosure(handle)));
}

/// Sends `payload` from worker 0 to worker `to`.
pub(crate) fn send(cluster: &Cluster, to: u32, kind: Kind, payload: &[u8]) -> Reply {
    cluster.agent(0).send(WorkerId(to), request(kind, payload))
}

pub(crate) fn request(kind: Kind, payload: &[u8]) -> Request {
    let timeout = Some(Duration::from_secs(60));
    Request { kind, method: 0, codec: 0, timeout, body: Body::new(payload.to_vec()) }
}

pub(crate) fn ok(payload: &[u8]) -> Response {
    Response { outcome: Outcome::Ok, codec: 0, body: Body::new(payload.to_vec()) }
}

/// What an engine counts, as [`Agent::debug_info`](rpc_core::Agent::debug_info) has it.
pub(crate) fn count(agent: &dyn rpc_core::Agent, key: &str) -> u64 {
    let info = agent.debug_info();
    let (_, value) = info.iter().find(|(name, _)| name == key).expect("a count of that name");
    value.parse().expect("a number")
}

/// Lets the runtime run until `done`.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come to that");
}
