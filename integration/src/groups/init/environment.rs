//! What launchers put into the environment, and what is wrong with it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc_rendezvous::LaunchError;
use tokio::process::Command;

#[rpc::function(inline)]
fn own_rank() -> u32 {
    Worker::current().id().0
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("init::environment", 3, meet).script(plain),
        Scenario::new("init::torchrun_environment", 3, meet).script(torchrun),
        Scenario::new("init::slurm_environment", 3, meet).script(slurm),
        Scenario::new("init::environment_missing", 2, refused).script(missing),
        Scenario::new("init::environment_malformed", 2, refused).script(malformed),
        Scenario::new("init::rank_out_of_range", 2, rank_out_of_range),
    ]
}

/// All workers reach each other.
async fn meet(part: Part) -> Result<()> {
    let worker = part.init().await?;
    ensure!(worker.id().0 == part.rank && worker.world_size() as u32 == part.world_size);
    for info in worker.workers() {
        ensure!(worker.rpc_async(info, own_rank, ()).await? == info.id.0);
    }
    leave(&worker).await
}

/// The four variables and nothing else: rank 0 hosts the store.
pub(crate) async fn plain(stage: &mut Stage) -> Result<()> {
    let port = stage.free_port()?;
    for rank in 0..stage.world_size() {
        let mut command = stage.at(rank, port);
        stage.spawn(rank, &mut command)?;
    }
    stage.all_succeed().await
}

/// As under `torchrun --no-python`: its launcher listens on `MASTER_PORT` itself and speaks another protocol.
async fn torchrun(stage: &mut Stage) -> Result<()> {
    let launcher = stage.listener().await?;
    let port = launcher.local_addr()?.port();
    for rank in 0..stage.world_size() {
        let mut command = stage.at(rank, port);
        command.env("LOCAL_RANK", rank.to_string()).env("GROUP_RANK", "0").env("ROLE_RANK", rank.to_string());
        command.env("TORCHELASTIC_USE_AGENT_STORE", "True").env("TORCHELASTIC_RUN_ID", "none");
        command.env("TORCHELASTIC_RESTART_COUNT", "0").env("TORCHELASTIC_MAX_RESTARTS", "3");
        stage.spawn(rank, &mut command)?;
    }
    tokio::select! {
        succeeded = stage.all_succeed() => succeeded,
        // Its clients speak first; whoever strays here hears nothing.
        _ = launcher.accept() => bail!("a worker mistook the launcher for our store"),
    }
}

/// As under `srun`, with the workers' host given by the list of nodes.
async fn slurm(stage: &mut Stage) -> Result<()> {
    // Jobs have numbers of their own there; two jobs of one number may share a store.
    let job = format!("{}", std::process::id());
    for rank in 0..stage.world_size() {
        let mut command = stage.bare(rank);
        command.env("SLURM_JOB_ID", &job).env("SLURM_STEP_ID", "0").env("SLURM_PROCID", rank.to_string());
        command.env("SLURM_NTASKS", stage.world_size().to_string()).env("SLURM_LOCALID", rank.to_string());
        command.env("SLURM_JOB_NODELIST", stage.host().to_string());
        stage.spawn(rank, &mut command)?;
    }
    stage.all_succeed().await
}

/// Says which kind of error `init` ends with, at once.
async fn refused(part: Part) -> Result<()> {
    let began = Instant::now();
    let Err(error) = part.builder().init().await else { bail!("it started") };
    match &error {
        InitError::Missing { .. } => say(format_args!("MISSING {error}")),
        InitError::Environment(LaunchError::Missing { .. }) => say(format_args!("MISSING {error}")),
        InitError::Environment(LaunchError::Malformed { .. }) => say(format_args!("MALFORMED {error}")),
        InitError::Environment(LaunchError::RankOutOfRange { .. }) => say(format_args!("RANGE {error}")),
        other => bail!("{other:?}"),
    }
    ensure!(began.elapsed() < Duration::from_secs(5), "it waited for somebody");
    // As a program would that passes the error on.
    Err(error.into())
}

/// Checks that worker 0, started after `change`, says `kind` and `parts`, and fails.
async fn check(stage: &mut Stage, kind: &str, parts: &[&str], change: impl Fn(&mut Command)) -> Result<()> {
    let mut command = stage.at(0, 29_500);
    change(&mut command);
    let process = stage.spawn_named(format!("worker0, {kind} {parts:?}"), &mut command)?;
    let text = process.says(kind).await?;
    ensure!(parts.iter().all(|part| text.contains(part)), "{text}");
    ensure!(process.ended().await?.code() == Some(1));
    Ok(())
}

async fn missing(stage: &mut Stage) -> Result<()> {
    for variable in ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] {
        check(stage, "MISSING", &[variable], |command| {
            command.env_remove(variable);
        })
        .await?;
        check(stage, "MISSING", &[variable], |command| {
            command.env(variable, "");
        })
        .await?;
    }
    Ok(())
}

async fn malformed(stage: &mut Stage) -> Result<()> {
    for (variable, value) in [
        ("RANK", "first"),
        ("RANK", "-1"),
        ("WORLD_SIZE", "0"),
        ("WORLD_SIZE", "two"),
        ("MASTER_PORT", "http"),
        ("MASTER_PORT", "65536"),
        ("RPC_STORE_HOSTED", "maybe"),
        ("TORCHELASTIC_USE_AGENT_STORE", "perhaps"),
    ] {
        let parts = [variable, value, "expected"];
        check(stage, "MALFORMED", &parts, |command| {
            command.env(variable, value);
        })
        .await?;
    }
    check(stage, "RANGE", &["RANK is 2", "WORLD_SIZE is 2"], |command| {
        command.env("RANK", "2");
    })
    .await
}

async fn rank_out_of_range(part: Part) -> Result<()> {
    match part.builder().rank(7).init().await {
        Err(InitError::RankOutOfRange { rank: 7, world_size: 2 }) => Ok(()),
        other => bail!("{other:?}"),
    }
}
