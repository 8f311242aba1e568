//! Whether anything is left behind when a test thinks that all is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc_core::Agent;

use super::{Cluster, Worker};

/// How long to wait for the last moves, such as a reply that is on its way to a caller who has left: on
/// tokio's clock, which may be a paused one and run ahead,
const SETTLE: Duration = Duration::from_secs(1);
/// and then, with that clock at rest, for handlers that have threads of their own.
const SETTLE_THREADS: Duration = Duration::from_secs(2);

/// What [`Agent::debug_info`] counts that has to be zero, by the last word of the key.
const COUNTS: [&str; 4] = ["active", "in_flight", "serving", "queued_bytes"];

impl Cluster {
    /// Waits until no worker that lives has a call in flight, a handler running or bytes queued, and no
    /// frame is between any two of them.
    ///
    /// # Panics
    /// If that is not so after a few seconds; the message lists what is left.
    #[track_caller]
    pub fn assert_idle(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let start = tokio::time::Instant::now();
            let mut settled: Option<Instant> = None;
            loop {
                let left = self.left_behind();
                if left.is_empty() {
                    return;
                }
                if start.elapsed() < SETTLE {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                let waiting = settled.get_or_insert_with(Instant::now).elapsed();
                assert!(
                    waiting < SETTLE_THREADS,
                    "at {caller} the cluster was not idle:\n  {}",
                    left.join("\n  ")
                );
                tokio::task::yield_now().await;
            }
        }
    }

    fn left_behind(&self) -> Vec<String> {
        let counts = self.living().flat_map(|worker| busy(worker.client.agent()));
        let addresses: Vec<&str> = self.living().map(|worker| self.address_of(worker)).collect();
        let ours = |address: &String| addresses.contains(&address.as_str());
        let frames = self.network.in_flight().into_iter();
        let frames = frames.filter(|frame| ours(&frame.from) && ours(&frame.to));
        counts.chain(frames.map(|frame| format!("{frame:?}"))).collect()
    }

    fn address_of(&self, worker: &Worker) -> &str {
        self.address(worker.client.agent().id())
    }
}

/// The counts of `agent` that are not zero.
fn busy(agent: &Arc<dyn Agent>) -> Vec<String> {
    let counted = |key: &str| key.rsplit('.').next().is_some_and(|word| COUNTS.contains(&word));
    let counts: Vec<(String, String)> =
        agent.debug_info().into_iter().filter(|(key, _)| counted(key)).collect();
    assert!(!counts.is_empty(), "worker {} does not report what it is doing", agent.id());
    let busy = counts.into_iter().filter(|(_, count)| count != "0");
    busy.map(|(key, count)| format!("rank {}: {key} = {count}", agent.id())).collect()
}
