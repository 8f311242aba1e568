//! Names and ranks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc_rendezvous::JoinError;

#[rpc::function(inline)]
fn who() -> WorkerInfo {
    Worker::current().info().clone()
}

/// What came of a [`WorkerInfo`] on its way, as text too.
#[rpc::function]
fn through_text(info: WorkerInfo) -> Result<(WorkerInfo, String), String> {
    let text = serde_json::to_string(&info).map_err(|error| error.to_string())?;
    Ok((serde_json::from_str(&text).map_err(|error| error.to_string())?, text))
}

/// Who has called.
#[rpc::function(inline)]
fn caller() -> Option<u32> {
    Some(CallContext::current()?.caller().0)
}

/// Who has called the worker `to`, when this one does.
#[rpc::function]
fn caller_via(to: i64) -> RpcFuture<Option<u32>> {
    Worker::current().rpc_async(to, caller, ())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("init::worker_id", 4, worker_id),
        Scenario::on_all("init::get_worker_infos", 4, get_worker_infos),
        Scenario::on_first("init::worker_info_pickle", 2, worker_info_pickle).plain(),
        Scenario::on_all("init::expected_src", 3, expected_src).plain(),
        Scenario::new("init::hyphenated_names", 3, hyphenated_names),
        Scenario::new("init::world_size_one", 1, world_size_one),
        Scenario::new("init::invalid_names", 2, invalid_names),
        Scenario::new("init::duplicate_name", 3, duplicate_name).script(bystander_first),
        Scenario::new("init::duplicate_rank", 2, join_or_be_refused).script(two_of_one_rank),
        Scenario::new("init::world_size_mismatch", 2, world_size_mismatch),
    ]
}

async fn worker_id(worker: &Worker) -> Result<()> {
    let rank: u32 = std::env::var("RANK")?.parse()?;
    ensure!(worker.id() == WorkerId(rank) && worker.name() == format!("worker{rank}"));
    ensure!(worker.world_size() == 4 && worker.workers().len() == 4);
    let ids: BTreeSet<_> = worker.workers().map(|info| info.id).collect();
    ensure!(ids.len() == 4, "{ids:?}");
    for info in worker.workers() {
        ensure!(worker.get_worker_info(&info.name)? == info);
        ensure!(worker.get_worker_info(info.id)? == info);
    }
    let error = worker.get_worker_info("worker4").err().context("a worker that is not there")?;
    ensure!(error.to_string().contains("worker0, worker1, worker2, worker3"), "{error}");
    Ok(())
}

async fn get_worker_infos(worker: &Worker) -> Result<()> {
    for (rank, info) in worker.workers().enumerate() {
        ensure!(info.id.0 as usize == rank && info.name.as_str() == format!("worker{rank}"));
        ensure!(worker.rpc_async(info, who, ()).await? == *info, "it knows itself as others do");
    }
    Ok(())
}

/// It travels like any other value, and is of use where it arrives.
async fn worker_info_pickle(worker: &Worker) -> Result<()> {
    for info in worker.workers() {
        let (back, text) = worker.rpc_async("worker1", through_text, (info.clone(),)).await?;
        ensure!(back == *info && text.contains(info.name.as_str()), "{text}");
        ensure!(worker.rpc_async(&back, who, ()).await? == *info);
    }
    Ok(())
}

/// A function knows its caller: the worker that made this call, not the one that made a call before it.
async fn expected_src(worker: &Worker) -> Result<()> {
    for to in 0..3 {
        ensure!(worker.rpc_async(to, caller, ()).await? == Some(worker.id().0));
        for via in 0..3 {
            ensure!(worker.rpc_async(via, caller_via, (to,)).await? == Some(via as u32), "via {via} to {to}");
        }
    }
    Ok(())
}

async fn hyphenated_names(part: Part) -> Result<()> {
    let names = ["trainer-0", "ps:a_b-C", &"x".repeat(127)];
    let worker = Worker::builder(names[part.rank as usize]).init().await?;
    for name in names {
        ensure!(worker.rpc_async(name, who, ()).await?.name.as_str() == name);
    }
    leave(&worker).await
}

async fn world_size_one(part: Part) -> Result<()> {
    let worker = part.init().await?;
    ensure!(worker.rpc_async("worker0", who, ()).await? == *worker.info());
    leave(&worker).await
}

/// Refused before anybody is waited for: the other worker never comes.
async fn invalid_names(part: Part) -> Result<()> {
    if part.rank != 0 {
        return Ok(());
    }
    let began = Instant::now();
    for name in ["", "abc*", "w\u{f6}rker", "a b", "a/b", &"x".repeat(128)] {
        match Worker::builder(name).init().await {
            Err(InitError::Name(error)) => {
                ensure!(error.name == name && error.to_string().contains("A-Z a-z 0-9 - _ :"), "{error}");
            }
            other => bail!("{name:?}: {other:?}"),
        }
    }
    ensure!(began.elapsed() < Duration::from_secs(5));
    Ok(())
}

/// Both workers of the name learn of each other, and the third why nothing comes of it.
async fn duplicate_name(part: Part) -> Result<()> {
    let name = if part.rank == 2 { "other" } else { "same" };
    match Worker::builder(name).init_timeout(Duration::from_secs(30)).init().await {
        Err(InitError::Join(error @ JoinError::DuplicateName { .. })) => {
            let text = error.to_string();
            ensure!(["ranks 0 and 1", "same"].iter().all(|part| text.contains(part)), "{text}");
            Ok(())
        }
        Err(InitError::Join(JoinError::Refused { worker, reason })) if part.rank == 2 => {
            ensure!(worker.name.as_str() == "same" && reason.contains("ranks 0 and 1"), "{worker}: {reason}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

/// The third comes before them, because what was refused earlier may come again and is waited for.
async fn bystander_first(stage: &mut Stage) -> Result<()> {
    for rank in [2, 0, 1] {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, &mut command)?;
        if rank == 2 {
            stage.claimed(2).await?;
        }
    }
    stage.all_succeed().await
}

/// The name comes from the script, the rank from the environment.
async fn join_or_be_refused(_: Part) -> Result<()> {
    let name = integration::part::variable("NAME")?;
    match Worker::builder(&name).init_timeout(Duration::from_secs(30)).init().await {
        Ok(worker) => leave(&worker).await,
        Err(InitError::Join(JoinError::DuplicateRank { rank, first, second, .. })) => {
            ensure!(rank == WorkerId(0) && second.as_str() == name);
            say(format_args!("REFUSED {first} {second}"));
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

async fn two_of_one_rank(stage: &mut Stage) -> Result<()> {
    for name in ["first", "second"] {
        let mut command = stage.launched(0).await?;
        stage.spawn_named(name, command.env("NAME", name))?;
    }
    // One of the two is refused before there is a rank 1, and the other goes on waiting for that.
    let (first, second) = (stage.process(0)?, stage.process(1)?);
    let refused = tokio::select! {
        refused = first.says("REFUSED") => refused?,
        refused = second.says("REFUSED") => refused?,
    };
    ensure!(["first second", "second first"].contains(&refused.as_str()), "{refused}");
    let mut command = stage.launched(1).await?;
    stage.spawn_named("third", command.env("NAME", "third"))?;
    stage.all_succeed().await
}

async fn world_size_mismatch(part: Part) -> Result<()> {
    let builder = part.builder().world_size(2 + part.rank).init_timeout(Duration::from_secs(30));
    match builder.init().await {
        Err(InitError::Join(error @ JoinError::WorldSizeMismatch { .. })) => {
            let text = error.to_string();
            let parts = ["worker0 (rank 0) expects 2", "worker1 (rank 1) expects 3"];
            ensure!(parts.iter().all(|part| text.contains(part)), "{text}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}
