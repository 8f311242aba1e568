//! Which way links on one machine take: the one that was chosen, where both ends can.

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say, variable};
use integration::runner::security::Security;
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use tokio::process::Command;

/// A user without an account.
const ANOTHER_USER: u32 = 65_501;
/// For scenarios that make a choice of their own.
const CHOICE: &str = "CHOICE";

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("local::links_are_what_was_chosen", 3, as_chosen).script(all_as_chosen),
        Scenario::new("local::one_end_that_is_off_is_enough", 3, goes_to_all)
            .script(one_is_off)
            .only("local")
            .secured(&[Security::Open]),
        Scenario::new("local::the_program_goes_before_the_variable", 2, off_by_program)
            .script(off_by_program_alone)
            .only("local")
            .secured(&[Security::Open]),
        Scenario::new("local::a_variable_that_means_nothing", 1, refused)
            .script(with_nonsense)
            .only("local")
            .secured(&[Security::Open]),
        Scenario::new("local::workers_of_two_users_use_tcp", 2, called_or_calls)
            .script(two_users)
            .only("local"),
    ]
}

/// Calls all others, and returns what its links run over, by rank, itself left out.
async fn ways_to_others(worker: &Worker) -> Result<Vec<String>> {
    let own = worker.info().clone();
    let mut ways = Vec::new();
    for info in worker.workers().filter(|info| **info != own) {
        worker.rpc_async(info, ping, ()).await?;
        let link = format!("peer.{}.link", info.name);
        let infos = worker.debug_info().agent.flat();
        let (_, link) = infos.iter().find(|(name, _)| *name == link).context("a peer's link")?;
        let way = link.strip_prefix("up, number 1, ").with_context(|| link.clone())?;
        let shown = format!("{:?}: {way:?}", info.name.as_str());
        ensure!(format!("{worker:?}").contains(&shown), "no {shown} in {worker:?}");
        ways.push(way.to_owned());
    }
    Ok(ways)
}

async fn goes_to_all(part: Part) -> Result<()> {
    let worker = part.init().await?;
    say(format_args!("WAYS {}", ways_to_others(&worker).await?.join("|")));
    leave(&worker).await
}

async fn as_chosen(part: Part) -> Result<()> {
    let wanted = variable(CHOICE)?;
    let worker = part.init().await?;
    for way in ways_to_others(&worker).await? {
        ensure!(way == wanted, "{way:?} is not {wanted:?}");
    }
    leave(&worker).await
}

async fn all_as_chosen(stage: &mut Stage) -> Result<()> {
    let wanted = match (stage.way().name(), stage.security()) {
        ("tcp", Security::Ca) => "tcp, encrypted".to_owned(),
        (way, _) => way.to_owned(),
    };
    for rank in 0..stage.world_size() {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, command.env(CHOICE, &wanted))?;
    }
    stage.all_succeed().await
}

/// Rank 2 has them off. The others have the local way between them, and TCP to it.
async fn one_is_off(stage: &mut Stage) -> Result<()> {
    for rank in 0..3 {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, command.env("RPC_LOCAL", if rank == 2 { "off" } else { "on" }))?;
    }
    for (rank, wanted) in [(0, ["local", "tcp"]), (1, ["local", "tcp"]), (2, ["tcp", "tcp"])] {
        let ways = stage.process(rank)?.says("WAYS").await?;
        let found: Vec<&str> = ways.split('|').collect();
        ensure!(found == wanted, "worker{rank}: {ways}");
    }
    stage.all_succeed().await
}

async fn off_by_program(part: Part) -> Result<()> {
    let worker = part.builder().local_links(false).init().await?;
    for way in ways_to_others(&worker).await? {
        ensure!(way == "tcp", "{way}");
    }
    leave(&worker).await
}

async fn off_by_program_alone(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_succeed().await
}

async fn refused(part: Part) -> Result<()> {
    match part.builder().init().await {
        Err(error @ InitError::LocalLinks { .. }) => {
            let text = error.to_string();
            ensure!(["RPC_LOCAL", "maybe", "on or off"].iter().all(|part| text.contains(part)), "{text}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

async fn with_nonsense(stage: &mut Stage) -> Result<()> {
    let mut command = stage.launched(0).await?;
    stage.spawn(0, command.env("RPC_LOCAL", "maybe"))?;
    stage.all_succeed().await
}

async fn called_or_calls(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 1 {
        say(format_args!("WAYS {}", ways_to_others(&worker).await?.join("|")));
    }
    // Until then the other has no reason to dial.
    part.told("LEAVE").await?;
    leave(&worker).await
}

/// worker1 is of another user than worker0. Each end finds out for itself, and they talk over TCP.
async fn two_users(stage: &mut Stage) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        stage.note("skipped: only root can start a process of another user");
        return Ok(());
    }
    let mut first = stage.launched(0).await?;
    stage.spawn(0, first.env("RUST_LOG", "rpc_transport_tcp=debug"))?;
    let mut second = of_another_user(&stage.launched(1).await?);
    if let Err(error) = stage.spawn(1, &mut second) {
        stage.note(format!("skipped: no process of another user here: {error:#}"));
        return Ok(());
    }
    let ways = stage.process(1)?.says("WAYS").await?;
    ensure!(ways == "tcp", "{ways}");
    stage.process(0)?.logs(&format!("runs as user {ANOTHER_USER}, this one as user 0")).await?;
    stage.process(1)?.logs(&format!("runs as user 0, this one as user {ANOTHER_USER}")).await?;
    stage.tell_all("LEAVE").await?;
    stage.all_succeed().await
}

/// The same, run by somebody to whom this program's folder may be closed.
fn of_another_user(command: &Command) -> Command {
    let from = command.as_std();
    let mut other = Command::new("/proc/self/exe");
    other.args(from.get_args()).uid(ANOTHER_USER);
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}
