//! Graceful shutdown waits for all work, nested work included, and loses none of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use tokio::sync::oneshot;

/// Handlers that have run to their end in this process.
static DONE: AtomicU64 = AtomicU64::new(0);

/// Takes a moment, which a shutdown has to wait for, then counts.
#[rpc::function]
async fn work(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    DONE.fetch_add(1, Ordering::SeqCst);
}

/// As [`work`], on a thread.
#[rpc::function]
fn toil(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
    DONE.fetch_add(1, Ordering::SeqCst);
}

/// Has `left` more workers work, one after another; counts on the way back.
#[rpc::function]
async fn relay(left: u32) -> Result<(), String> {
    if left > 0 {
        let worker = Worker::current();
        let next = i64::from(worker.id().0 + 1) % worker.world_size() as i64;
        worker.rpc_async(next, relay, (left - 1,)).await.map_err(|error| error.to_string())?;
    }
    DONE.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// The other end of [`gate`].
static OPEN: std::sync::Mutex<Option<oneshot::Sender<()>>> = std::sync::Mutex::new(None);

/// Waits until the script opens the gate of this process; then has worker2 work.
#[rpc::function]
async fn gate() -> Result<(), String> {
    let (open, opened) = oneshot::channel();
    *OPEN.lock().map_err(|error| error.to_string())? = Some(open);
    say("RUNNING");
    opened.await.map_err(|error| error.to_string())?;
    Worker::current().rpc_async("worker2", work, (50,)).await.map_err(|error| error.to_string())?;
    say("NESTED-DONE");
    Ok(())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("shutdown::wait_all_workers", 4, async |_: &Worker| Ok(())),
        Scenario::new("shutdown::wait_all_workers_twice", 3, twice),
        Scenario::new("shutdown::wait_all_workers_dense", 4, async |part: Part| dense(&part).await),
        Scenario::new("shutdown::wait_all_workers_twice_dense", 4, async |part: Part| {
            dense(&part).await?;
            dense(&part).await
        }),
        Scenario::new("shutdown::graceful_shutdown_with_uneven_workload", 4, uneven),
        Scenario::new("shutdown::nested_work_under_way_is_drained", 4, nested).script(open_when_all_leave),
        Scenario::new("shutdown::shutdown_followed_by_rpc", 2, followed_by_rpc),
    ]
}

/// A second call ends like the first.
async fn twice(part: Part) -> Result<()> {
    let worker = part.init().await?;
    leave(&worker).await?;
    leave(&worker).await
}

/// Everybody has work under way at everybody else, for whose results nobody waits but the shutdown.
async fn dense(part: &Part) -> Result<()> {
    const CALLS: u64 = 40;
    DONE.store(0, Ordering::SeqCst);
    let worker = part.init().await?;
    for n in 0..CALLS {
        for info in worker.workers() {
            match n % 4 {
                0 => drop(worker.rpc_async(info, toil, (n,))),
                _ => drop(worker.rpc_async(info, work, (n,))),
            }
        }
    }
    leave(&worker).await?;
    let (done, all) = (DONE.load(Ordering::SeqCst), CALLS * worker.world_size() as u64);
    ensure!(done == all, "{done} of {all} handlers ran to their end");
    Ok(())
}

/// One worker has much to do while the others are done at once; chains go over those that have left off.
async fn uneven(part: Part) -> Result<()> {
    const CHAINS: u32 = 20;
    const LENGTH: u32 = 19;
    let worker = part.init().await?;
    if part.rank == 3 {
        for _ in 0..CHAINS {
            drop(worker.rpc_async("worker0", relay, (LENGTH,)));
            drop(worker.rpc_async("worker1", toil, (300,)));
        }
    }
    leave(&worker).await?;
    let done = DONE.load(Ordering::SeqCst);
    // The chains' 20 links go around evenly.
    let expected = u64::from(CHAINS * (LENGTH + 1) / 4 + if part.rank == 1 { CHAINS } else { 0 });
    ensure!(done == expected, "{done} of {expected} handlers ran to their end");
    Ok(())
}

/// All workers are about to leave when a handler makes another call.
async fn nested(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        drop(worker.rpc_async("worker1", gate, ()).timeout(Duration::ZERO));
    }
    part.told("LEAVE").await?;
    let leaving = tokio::spawn({
        let worker = worker.clone();
        async move { leave(&worker).await }
    });
    say("LEAVING");
    if part.rank == 1 {
        part.told("OPEN").await?;
        ensure!(!leaving.is_finished(), "it left with a handler running");
        let open = OPEN.lock().ok().and_then(|mut open| open.take());
        ensure!(open.context("the handler has begun")?.send(()).is_ok());
    }
    leaving.await??;
    ensure!(DONE.load(Ordering::SeqCst) == u64::from(part.rank == 2));
    Ok(())
}

async fn open_when_all_leave(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(1)?.says("RUNNING").await?;
    stage.tell_all("LEAVE").await?;
    stage.all_say("LEAVING").await?;
    stage.process(1)?.tell("OPEN").await?;
    stage.process(1)?.says("NESTED-DONE").await?;
    stage.all_succeed().await
}

async fn followed_by_rpc(part: Part) -> Result<()> {
    let worker = part.init().await?;
    worker.rpc_async(i64::from(1 - part.rank), work, (0,)).await?;
    leave(&worker).await?;
    for to in ["worker0", "worker1"] {
        let error = worker.rpc_async(to, work, (0,)).await.err().context("it has shut down")?;
        ensure!(error.failure() == Some(&Failure::ShutDown), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        ensure!(error.to_string().contains("shut down"), "{error}");
        ensure!(worker.rpc_sync(to, work, (0,)).is_err());
    }
    // What was known is still known.
    ensure!(worker.get_worker_info("worker1")?.id == WorkerId(1));
    Ok(())
}
