//! What is bounded: queues by refusing, memory and start-up by measuring.
//!
//! Figures are shown with the results. They are asserted loosely, because the machine may be busy and the
//! build may be one for debugging.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::EngineConfig;

/// From the start of four processes to the end of the first call of each.
const START_UP: Duration = Duration::from_secs(10);
/// What a worker that has just started may have of memory of its own, in bytes. The pages of its program, which processes
/// share, are not the framework's: most of them are scenarios.
const IDLE_MEMORY: u64 = 4 << 20;

#[rpc::function(inline)]
fn ping() {}

#[rpc::function]
async fn hang() {
    say("RUNNING");
    std::future::pending().await
}

#[rpc::function]
fn length(data: Vec<u8>) -> usize {
    data.len()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("bounds::startup_to_first_call", 4, first_call).script(measure),
        Scenario::new("bounds::in_flight_max", 2, too_many_calls),
        Scenario::new("bounds::message_bytes_max", 2, too_large),
    ]
}

async fn first_call(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let next = i64::from(part.rank + 1) % i64::from(part.world_size);
    worker.rpc_async(next, ping, ()).await?;
    say("CALLED");
    part.told("LEAVE").await?;
    leave(&worker).await
}

async fn measure(stage: &mut Stage) -> Result<()> {
    let began = Instant::now();
    stage.start().await?;
    stage.all_say("CALLED").await?;
    let took = began.elapsed();
    stage.note(format!("first calls after {} ms", took.as_millis()));
    ensure!(took < START_UP, "{took:?}");
    let own: Option<u64> = stage.processes().iter().filter_map(|process| process.own_bytes()).max();
    if let Some(bytes) = own {
        stage.note(format!("idle worker {} KiB", bytes >> 10));
        ensure!(bytes < IDLE_MEMORY, "{bytes} bytes");
    }
    stage.tell_all("LEAVE").await?;
    stage.all_succeed().await
}

async fn too_many_calls(part: Part) -> Result<()> {
    const LIMIT: usize = 8;
    let config = EngineConfig { in_flight_max: LIMIT, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    if part.rank == 0 {
        let running: Vec<_> = (0..LIMIT).map(|_| worker.rpc_async("worker1", hang, ())).collect();
        let error = worker.rpc_async("worker1", ping, ()).await.err().context("one call too many")?;
        let expected = Failure::Overloaded { bound: "in_flight_max".into(), limit: LIMIT as u64 };
        ensure!(error.failure() == Some(&expected), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        running.iter().for_each(RpcFuture::cancel);
        // Each place is free when the other side has let go of its handler, too.
        let began = Instant::now();
        while let Err(error) = worker.rpc_async("worker1", ping, ()).await {
            ensure!(error.failure() == Some(&expected), "{error}");
            ensure!(began.elapsed() < Duration::from_secs(20), "no place has become free");
            tokio::task::yield_now().await;
        }
    }
    leave(&worker).await
}

async fn too_large(part: Part) -> Result<()> {
    const LIMIT: u64 = 1 << 20;
    let config = EngineConfig { message_bytes_max: LIMIT, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    let other = i64::from(1 - part.rank);
    let error = worker.rpc_async(other, length, (vec![0; LIMIT as usize + 1],)).await.err();
    let error = error.context("a message over the bound")?;
    ensure!(matches!(error.failure(), Some(Failure::TooLarge { limit: LIMIT, .. })), "{error}");
    ensure!(error.to_string().contains("message_bytes_max"), "{error}");
    let most = LIMIT as usize - 16;
    ensure!(worker.rpc_async(other, length, (vec![0; most],)).await? == most);
    leave(&worker).await
}
