//! `rpcrun`, end to end: it starts the workers of a scenario in place of the runner.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say, variable};
use integration::runner::security::Security;
use integration::runner::stage::{Stage, clean};
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::StoreError;
use rustix::process::Signal;
use tokio::process::Command;

use super::security::{free_port_at, network_address};

#[rpc::function(inline)]
fn own_name() -> String {
    Worker::current().name().to_owned()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("launcher::rpcrun", 3, meet).script(all_end_well),
        Scenario::new("launcher::exit_code_of_the_first_failure", 3, one_fails).script(passes_the_code_on),
        Scenario::new("launcher::killed_worker", 3, one_dies).script(tells_the_signal),
        Scenario::new("launcher::ctrl_c", 3, waits).script(interrupt),
        Scenario::new("launcher::two_machines", 4, meet).script(two_launchers),
        Scenario::new("launcher::two_machines_of_a_network", 4, meet)
            .script(two_launchers_of_a_network)
            .secured(&[Security::Token, Security::Ca]),
        Scenario::new("launcher::nobody_joins_without_the_token", 2, guarded)
            .script(join_by_hand)
            .secured(&[Security::Open]),
        Scenario::new("launcher::no_such_program", 1, meet).script(no_such_program),
    ]
}

/// `rpcrun` with `options`, for the workers of this scenario.
fn rpcrun(stage: &Stage, options: &[&str]) -> Result<Command> {
    let runner = std::env::current_exe()?;
    let program: PathBuf = runner.with_file_name(format!("rpcrun{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.exists(), "there is no {}: cargo build --package rpcrun", program.display());
    let mut command = Command::new(program);
    clean(&mut command);
    stage.keys().give(u32::MAX, &mut command);
    stage.way().give_local(&mut command);
    command.args(options).args(["--backend", stage.backend(), "--"]);
    command.arg(runner).args(["worker", stage.scenario()]);
    Ok(command)
}

async fn meet(part: Part) -> Result<()> {
    let worker = part.init().await?;
    for info in worker.workers() {
        ensure!(worker.rpc_async(info, own_name, ()).await? == info.name.as_str());
    }
    say(format_args!("MET {}", worker.world_size()));
    leave(&worker).await
}

async fn all_end_well(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "3"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    for rank in 0..3 {
        ensure!(launcher.says(&format!("[worker{rank}] MET")).await? == "3");
    }
    launcher.succeeds().await
}

/// Rank 1 fails with 7 while the others wait for ever.
async fn one_fails(part: Part) -> Result<()> {
    let worker = part.init().await?;
    worker.rpc_async("worker0", own_name, ()).await?;
    if part.rank == 1 {
        say("FAILING");
        std::process::exit(7);
    }
    say("WAITING");
    std::future::pending().await
}

async fn passes_the_code_on(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "3"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    launcher.says("[worker1] FAILING").await?;
    let code = launcher.ended().await?.code();
    ensure!(code == Some(7), "{code:?}");
    launcher.logs("worker1").await
}

/// Rank 1 says who it is, so that it can be killed; the others wait for ever.
async fn one_dies(part: Part) -> Result<()> {
    let worker = part.init().await?;
    worker.rpc_async("worker0", own_name, ()).await?;
    say(format_args!("PID {}", std::process::id()));
    std::future::pending().await
}

async fn tells_the_signal(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "3"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    let pid = launcher.says("[worker1] PID").await?;
    let pid = rustix::process::Pid::from_raw(pid.parse()?).context("a pid")?;
    rustix::process::kill_process(pid, Signal::KILL)?;
    let code = launcher.ended().await?.code();
    ensure!(code == Some(128 + Signal::KILL.as_raw()), "{code:?}");
    launcher.logs("worker1").await
}

async fn waits(part: Part) -> Result<()> {
    let _worker = part.init().await?;
    say(format_args!("PID {}", std::process::id()));
    std::future::pending().await
}

/// The launcher passes the signal on, and nobody is left behind.
async fn interrupt(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "3"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    let mut pids = Vec::new();
    for rank in 0..3 {
        let pid = launcher.says(&format!("[worker{rank}] PID")).await?;
        pids.push(rustix::process::Pid::from_raw(pid.parse()?).context("a pid")?);
    }
    launcher.signal(Signal::INT)?;
    let code = launcher.ended().await?.code();
    ensure!(code == Some(128 + Signal::INT.as_raw()), "{code:?}");
    for pid in pids {
        let alive = rustix::process::test_kill_process(pid).is_ok();
        ensure!(!alive, "process {} has outlived its launcher", pid.as_raw_nonzero());
    }
    Ok(())
}

/// Two launchers, as if on two machines; the second comes first.
async fn two_launchers(stage: &mut Stage) -> Result<()> {
    let (host, port) = (stage.host().to_string(), stage.free_port()?.to_string());
    launch_at(stage, &host, &port).await
}

/// The same where other machines could listen in.
async fn two_launchers_of_a_network(stage: &mut Stage) -> Result<()> {
    let Some(host) = network_address() else {
        stage.note("skipped: this machine has no address but loopback");
        return Ok(());
    };
    stage.certify(&[host.to_string()])?;
    launch_at(stage, &host.to_string(), &free_port_at(host)?.to_string()).await
}

async fn launch_at(stage: &mut Stage, host: &str, port: &str) -> Result<()> {
    for node in ["1", "0"] {
        let shape = ["--nproc", "2", "--nnodes", "2", "--node-rank", node];
        let master = ["--master-addr", host, "--master-port", port];
        let mut command = rpcrun(stage, &[&shape[..], &master].concat())?;
        stage.spawn_named(format!("rpcrun of node {node}"), &mut command)?;
    }
    for (node, ranks) in [(1, [0, 1]), (0, [2, 3])] {
        for rank in ranks {
            ensure!(stage.process(node)?.says(&format!("[worker{rank}] MET")).await? == "4");
        }
    }
    stage.all_succeed().await
}

/// Rank 1 tells where the store is, and stays in the job until somebody has knocked there without the token.
async fn guarded(part: Part) -> Result<()> {
    if std::env::var_os("IMPOSTOR").is_some() {
        match part.builder().init().await {
            Err(InitError::Store(error @ StoreError::Denied { .. })) => say(format_args!("DENIED {error}")),
            other => bail!("{other:?}"),
        }
        return Ok(());
    }
    let worker = part.init().await?;
    ensure!(variable("RPC_JOIN_TOKEN").is_ok(), "rpcrun has made no token");
    if part.rank == 1 {
        say(format_args!("MEETS {} {}", variable("MASTER_ADDR")?, variable("MASTER_PORT")?));
    }
    worker.rpc_async("worker0", own_name, ()).await?;
    std::future::pending().await
}

async fn join_by_hand(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "2"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    let meeting = launcher.says("[worker1] MEETS").await?;
    let (host, port) = meeting.split_once(' ').context("a host and a port")?;
    let mut command = stage.at(0, port.parse()?);
    command.env("MASTER_ADDR", host).env("RPC_STORE_HOSTED", "1").env("IMPOSTOR", "1");
    let impostor = stage.spawn_named("impostor", &mut command)?;
    ensure!(impostor.says("DENIED").await?.contains("RPC_JOIN_TOKEN"));
    impostor.succeeds().await?;
    stage.process(0)?.signal(Signal::INT)
}

async fn no_such_program(stage: &mut Stage) -> Result<()> {
    let mut command = rpcrun(stage, &["--nproc", "2", "--", "/there/is/no/such/program"])?;
    let launcher = stage.spawn_named("rpcrun", &mut command)?;
    let code = launcher.ended().await?.code();
    ensure!(code == Some(127), "{code:?}");
    launcher.logs("/there/is/no/such/program").await
}
