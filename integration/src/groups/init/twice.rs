//! More than one worker in the life of a process: one after another, and at the same time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use integration::part::{Part, store_security, variable};
use integration::scenario::{Scenario, leave};
use rpc::Shutdown;
use rpc::prelude::*;
use rpc_rendezvous::{JoinError, TcpStore};

#[rpc::function(inline)]
fn own_name() -> String {
    Worker::current().name().to_owned()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("init::reinit", 3, reinit),
        Scenario::new("init::reinit_after_local_shutdown", 2, reinit_after_local_shutdown),
        Scenario::new("init::reinit_where_rank_0_hosts", 2, reinit).script(super::environment::plain),
        Scenario::new("init::init_after_a_failed_init", 2, init_after_a_failed_init).plain(),
        Scenario::new("init::init_rpc_twice", 1, init_twice),
        Scenario::new("init::two_workers_in_one_process", 1, two_workers_in_one_process),
    ]
}

/// Shut down together and start again, several times, over the same store.
async fn reinit(part: Part) -> Result<()> {
    for round in 0..3 {
        let worker = part.init().await?;
        for info in worker.workers() {
            ensure!(worker.rpc_async(info, own_name, ()).await? == info.name.as_str(), "round {round}");
        }
        leave(&worker).await?;
    }
    Ok(())
}

async fn reinit_after_local_shutdown(part: Part) -> Result<()> {
    for _ in 0..3 {
        let worker = part.init().await?;
        worker.shutdown_with(Shutdown::Immediate).await?;
    }
    let worker = part.init().await?;
    ensure!(worker.rpc_async(i64::from(1 - part.rank), own_name, ()).await.is_ok());
    leave(&worker).await
}

/// Rank 0 fails to start, more often than rank 1 and in several ways. Both meet all the same: who has failed is not ahead.
async fn init_after_a_failed_init(part: Part) -> Result<()> {
    if part.rank == 0 {
        for builder in [
            Worker::builder("abc*"),
            part.builder().backend("carrier-pigeon"),
            part.builder().rank(7),
            part.builder().init_method("pigeon://post"),
        ] {
            ensure!(builder.init().await.is_err());
        }
    }
    let worker = part.init().await?;
    ensure!(worker.rpc_async(i64::from(1 - part.rank), own_name, ()).await.is_ok());
    leave(&worker).await
}

/// A second worker of the same rank is refused, and the first does not notice.
async fn init_twice(part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.builder().init_timeout(Duration::from_secs(10)).init().await {
        Err(InitError::Join(JoinError::DuplicateRank { first, second, .. })) => {
            ensure!(first.as_str() == "worker0" && second.as_str() == "worker0");
        }
        other => bail!("{other:?}"),
    }
    ensure!(worker.rpc_async("worker0", own_name, ()).await? == "worker0");
    leave(&worker).await
}

/// Nothing of a worker is process-wide: two workers of one job and one of another live side by side.
async fn two_workers_in_one_process(part: Part) -> Result<()> {
    let address = format!("{}:{}", variable("MASTER_ADDR")?, variable("MASTER_PORT")?);
    let (patience, security) = (Duration::from_secs(10), store_security()?);
    let store = Arc::new(TcpStore::connect_secured(&address, patience, &security).await?);
    let start = |rank: u32| {
        let builder = Worker::builder(format!("side{rank}")).rank(rank).world_size(2);
        tokio::spawn(builder.store(store.clone()).job("side by side").init())
    };
    let (first, second) = (start(0), start(1));
    let (first, second, other) = (first.await??, second.await??, part.init().await?);
    ensure!(first.rpc_async("side1", own_name, ()).await? == "side1");
    ensure!(second.rpc_async("side0", own_name, ()).await? == "side0");
    ensure!(other.rpc_async("worker0", own_name, ()).await? == "worker0");
    ensure!(other.rpc_async("side0", own_name, ()).await.is_err(), "that is another job");
    leave(&other).await?;
    ensure!(first.rpc_async("side1", own_name, ()).await? == "side1", "the other job goes on");
    let (first, second) = tokio::join!(leave(&first), leave(&second));
    first.and(second)
}
