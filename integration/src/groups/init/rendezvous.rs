//! Where workers meet when not as the launcher says, and who does not come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use integration::part::{Part, say, variable};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc_rendezvous::JoinError;

#[rpc::function(inline)]
fn own_job() -> String {
    Worker::current().agent().group().job().to_owned()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("init::tcp_init_method", 2, meet_by_url).script(by_tcp),
        Scenario::new("init::file_store", 3, meet_by_url).script(by_file),
        Scenario::new("init::two_jobs_one_store", 2, own_job_only).script(two_jobs),
        Scenario::new("init::missing_worker_is_named", 4, names_the_missing).script(all_but_two),
        Scenario::new("init::killed_before_it_joined", 2, waits_for_a_successor).script(kill_and_replace),
    ]
}

/// Nothing in the environment says anything.
async fn meet_by_url(part: Part) -> Result<()> {
    let url = format!("{}?rank={}&world_size={}", variable("URL")?, part.rank, part.world_size);
    let worker = Worker::builder(format!("w{}", part.rank)).init_method(url).init().await?;
    for info in worker.workers() {
        ensure!(worker.rpc_async(info, own_job, ()).await.is_ok());
    }
    leave(&worker).await
}

async fn by_tcp(stage: &mut Stage) -> Result<()> {
    let url = format!("tcp://{}:{}", stage.host(), stage.free_port()?);
    by_url(stage, &url).await
}

async fn by_file(stage: &mut Stage) -> Result<()> {
    let url = format!("file://{}", stage.folder().join("meeting").display());
    by_url(stage, &url).await
}

async fn by_url(stage: &mut Stage, url: &str) -> Result<()> {
    for rank in 0..stage.world_size() {
        let mut command = stage.bare(rank);
        stage.spawn(rank, command.env("URL", url))?;
    }
    stage.all_succeed().await
}

async fn own_job_only(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let own = variable("RPC_JOB_ID")?;
    ensure!(worker.world_size() == 2);
    for info in worker.workers() {
        ensure!(worker.rpc_async(info, own_job, ()).await? == own);
    }
    leave(&worker).await
}

/// Two jobs with the same names and ranks meet at one port, at the same time.
async fn two_jobs(stage: &mut Stage) -> Result<()> {
    for job in ["red", "blue"] {
        for rank in 0..2 {
            let mut command = stage.launched(rank).await?;
            stage.spawn_named(format!("{job} worker{rank}"), command.env("RPC_JOB_ID", job))?;
        }
    }
    stage.all_succeed().await
}

async fn names_the_missing(mut part: Part) -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(1500);
    say("READY");
    part.told("GO").await?;
    let began = Instant::now();
    match part.builder().init_timeout(PATIENCE).init().await {
        Err(InitError::Join(error @ JoinError::TimedOut { .. })) => {
            let JoinError::TimedOut { missing, present, .. } = &error else { bail!("{error}") };
            ensure!(missing == &[1, 3], "{missing:?}");
            ensure!(present.len() == 2, "{present:?}");
            ensure!(error.to_string().contains("rank 1, rank 3"), "{error}");
        }
        other => bail!("{other:?}"),
    }
    let took = began.elapsed();
    ensure!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(5), "{took:?}");
    Ok(())
}

async fn all_but_two(stage: &mut Stage) -> Result<()> {
    for rank in [0, 2] {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, &mut command)?;
    }
    // Each is to see the other, however long it took to start.
    stage.all_say("READY").await?;
    for at in [0, 1] {
        stage.process(at)?.tell("GO").await?;
    }
    stage.all_succeed().await
}

/// The first process of rank 1 never gets to init.
async fn waits_for_a_successor(part: Part) -> Result<()> {
    if std::env::var_os("DOOMED").is_some() {
        say("READY");
        return std::future::pending().await;
    }
    let worker = part.init().await?;
    ensure!(worker.rpc_async(i64::from(1 - part.rank), own_job, ()).await.is_ok());
    leave(&worker).await
}

async fn kill_and_replace(stage: &mut Stage) -> Result<()> {
    for (rank, doomed) in [(0, false), (1, true)] {
        let mut command = stage.launched(rank).await?;
        if doomed {
            command.env("DOOMED", "1");
        }
        stage.spawn(rank, &mut command)?;
    }
    stage.process(1)?.says("READY").await?;
    stage.process(1)?.kill()?;
    stage.process(1)?.ended().await?;
    let mut command = stage.launched(1).await?;
    stage.spawn_named("worker1 again", &mut command)?;
    stage.these_succeed(|at| at != 1).await
}
