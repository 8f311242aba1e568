//! The recorder over engines in one process, mostly on a clock that stands still while nobody waits for it.

mod bounds;
mod calls;
mod exports;
mod references;
mod remote;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{CallContext, Client};
use rpc_testing::Cluster;

use super::Recorder;
use super::clock::Clock;
use crate::Profile;
use crate::model::{Call, Stage};

const MS: Duration = Duration::from_millis(1);

#[rpc_macros::function(crate = "rpc_core")]
async fn work(ms: u64) -> u64 {
    tokio::time::sleep(MS * ms as u32).await;
    ms
}

#[rpc_macros::function(crate = "rpc_core")]
async fn fail(text: String) -> Result<u64, String> {
    Err(text)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Odd;

#[rpc_macros::function(crate = "rpc_core")]
async fn fail_oddly() -> Result<u64, Odd> {
    Err(Odd)
}

/// Fails as what it calls does.
#[rpc_macros::function(crate = "rpc_core")]
async fn fail_below(to: u32) -> Result<u64, String> {
    let client = Client::current().unwrap();
    let call = client.rpc_async(rpc_core::WorkerId(to), fail, ("deep down".to_owned(),));
    call.await.map_err(|_| "below".to_owned())
}

/// Calls the last of `way`, through those before it.
#[rpc_macros::function(crate = "rpc_core")]
async fn relay(way: Vec<u32>, ms: u64) -> u64 {
    let client = Client::current().unwrap();
    let Some((next, rest)) = way.split_first() else { return work_in_span(ms).await };
    let next = rpc_core::WorkerId(*next);
    client.rpc_async(next, relay, (rest.to_vec(), ms)).await.unwrap_or(0)
}

async fn work_in_span(ms: u64) -> u64 {
    let recorder = Recorder::of(&CallContext::current().unwrap().client().unwrap()).unwrap();
    recorder.record_future("leaf", tokio::time::sleep(MS * ms as u32)).await;
    ms
}

/// Workers with recorders, 1 ms apart.
struct Workers {
    cluster: Cluster,
    recorders: Vec<Arc<Recorder>>,
}

impl Workers {
    async fn new(count: usize) -> Self {
        Self::with_clocks(&vec![0; count]).await
    }

    /// Workers whose clocks show so many nanoseconds more.
    async fn with_clocks(ahead: &[i64]) -> Self {
        let cluster = Cluster::new(ahead.len()).await;
        let clock = Clock::new();
        let mut recorders = Vec::new();
        for (rank, ahead) in ahead.iter().enumerate() {
            let client = cluster.client(rpc_core::WorkerId(rank as u32));
            recorders.push(Recorder::start_with(client, 1 << 20, clock.ahead(*ahead)).unwrap());
            for other in cluster.group().members() {
                let to = cluster.address(&other.info);
                cluster.network().set_delay(cluster.address(rpc_core::WorkerId(rank as u32)), to, MS);
            }
        }
        let workers = Self { cluster, recorders };
        // Links are there when it counts.
        for from in 0..ahead.len() as u32 {
            for to in 0..ahead.len() as u32 {
                workers.client(from).rpc_async(rpc_core::WorkerId(to), work, (0,)).await.unwrap();
            }
        }
        workers
    }

    fn client(&self, rank: u32) -> &Client {
        self.cluster.client(rpc_core::WorkerId(rank))
    }
}

fn keys(profile: &Profile) -> Vec<String> {
    profile.calls.iter().map(|call| profile.key(call).to_string()).collect()
}

fn outcomes(profile: &Profile) -> Vec<&str> {
    profile.calls.iter().map(|call| profile.name(call.outcome)).collect()
}

/// What went wrong with a call, in words.
fn error(profile: &Profile, call: usize) -> &str {
    profile.calls[call].error.map_or("", |error| profile.name(error))
}

/// In milliseconds, in the order of [`Stage::ALL`].
fn stages(call: &Call) -> [Option<u64>; 7] {
    Stage::ALL.map(|stage| call.times.stage_ns(stage).map(|ns| ns / 1_000_000))
}
