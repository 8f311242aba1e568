//! What is still referred to when all workers leave: it is found, named, and made an error if so wished.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_rref::report::Handles;
use rpc::{LeakPolicy, Shutdown, ShutdownError, ShutdownReport};

use super::common::{LATE, Tally, after, all_gone, new_tally, until};
use super::lifecycle::{held, hold, let_go};

const GRACEFUL: Shutdown = Shutdown::Graceful { timeout: Some(LATE) };

/// A value that others can be put into.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Shelf {
    things: Vec<RRef<Shelf>>,
}

#[rpc::methods]
impl Shelf {
    fn put(&mut self, thing: RRef<Shelf>) {
        self.things.push(thing);
    }

    fn clear(&mut self) {
        self.things.clear();
    }
}

#[rpc::function]
fn new_shelf() -> Shelf {
    Shelf::default()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_leaks::rref_leak", 3, rref_leak),
        Scenario::new("rref_leaks::rref_leak_is_warned_of", 2, keeps_one).script(warned_of),
        Scenario::new("rref_leaks::ignore_rref_leak", 2, keeps_one).script(ignored),
        Scenario::new("rref_leaks::circular_dependency", 3, circular_dependency),
        Scenario::new("rref_leaks::circular_dependency_with_itself", 2, with_itself),
        Scenario::new("rref_leaks::circle_that_is_opened_in_time", 3, opened_in_time),
        Scenario::new("rref_leaks::killed_holder_leaks_nothing", 3, held_by_the_dead).script(kill_holder),
        Scenario::new("rref_leaks::rrefs_while_running", 3, while_running),
    ]
}

/// The leaks of a worker that calls them an error.
async fn leaks_of(worker: &Worker) -> Result<(String, Vec<rpc::Leak>)> {
    match worker.shutdown_with(GRACEFUL).await {
        Err(error @ ShutdownError::Leaked(_)) => {
            let text = error.to_string();
            let ShutdownError::Leaked(leaked) = error else { bail!("{text}") };
            Ok((text, leaked.0.leaks))
        }
        other => bail!("{other:?}"),
    }
}

/// Checks that this worker leaves with nothing leaked.
async fn leaks_nothing(worker: &Worker) -> Result<ShutdownReport> {
    let report = worker.shutdown_with(GRACEFUL).await?;
    ensure!(report.leaked() == 0, "{:?}", report.leaks);
    Ok(report)
}

/// Rank 0 keeps a reference to a value of worker1, and worker2 holds another to it: the owner names both, with
/// the lines at which they got them.
async fn rref_leak(part: Part) -> Result<()> {
    let worker = part.builder().leaks(LeakPolicy::Error).init().await?;
    let line = line!() + 1;
    let kept = (part.rank == 0).then(|| worker.remote("worker1", new_tally, (1,))).transpose()?;
    if let Some(kept) = &kept {
        worker.rpc_async("worker2", hold, (kept.clone(),)).await?;
    }
    if part.rank != 1 {
        leaks_nothing(&worker).await?;
        return Ok(());
    }
    let (text, leaks) = leaks_of(&worker).await?;
    let [leak] = &leaks[..] else { bail!("{text}") };
    let asked_at = format!("{}:{line}:", file!());
    ensure!(leak.rref.to_string() == "0:0@1" && leak.created.starts_with(&asked_at), "{text}");
    ensure!(leak.type_name.is_some_and(|name| name.ends_with("Tally")), "{text}");
    let holders: Vec<&str> = leak.holders.iter().map(|holder| holder.worker.name.as_str()).collect();
    ensure!(holders == ["worker0", "worker2"], "{text}");
    let places = |at: usize| match &leak.holders[at].handles {
        Handles::At(handles) => Ok(handles.iter().map(|handle| handle.place.to_string()).collect::<Vec<_>>()),
        other => bail!("{other:?}"),
    };
    ensure!(places(0)?.iter().all(|place| place.starts_with(&asked_at)), "{text}");
    ensure!(places(1)?.iter().all(|place| place.contains("hold")), "{text}");
    ensure!(!leak.is_on_cycle(), "{text}");
    for part in ["worker1", "Tally", "worker0", "worker2", &asked_at, "drop the references"] {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    Ok(())
}

/// Rank 0 keeps a reference, and the environment says what its owner is to make of it.
async fn keeps_one(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let kept = (part.rank == 0).then(|| worker.remote("worker1", new_tally, (1,))).transpose()?;
    if let Some(kept) = &kept {
        kept.created().await?;
    }
    let report = worker.shutdown_with(GRACEFUL).await?;
    ensure!(report.leaked() == u64::from(part.rank == 1), "{:?}", report.leaks);
    Ok(())
}

async fn with_policy(stage: &mut Stage, policy: &str) -> Result<()> {
    for rank in 0..stage.world_size() {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, command.env("RPC_LEAKS", policy))?;
    }
    stage.all_succeed().await
}

async fn warned_of(stage: &mut Stage) -> Result<()> {
    with_policy(stage, "warn").await?;
    stage.process(1)?.logs("leaked: 0:0@1").await?;
    ensure!(stage.process(0)?.logs("leaked").await.is_err(), "only the owner tells");
    Ok(())
}

async fn ignored(stage: &mut Stage) -> Result<()> {
    with_policy(stage, "ignore").await?;
    for process in stage.processes() {
        ensure!(process.logs("leaked").await.is_err(), "{} told of it", process.name);
    }
    Ok(())
}

/// Values of all three workers refer to each other in a circle, and nobody to any of them: each owner names the
/// whole circle.
async fn circular_dependency(part: Part) -> Result<()> {
    let worker = part.builder().leaks(LeakPolicy::Error).init().await?;
    if part.rank == 0 {
        let shelves: Result<Vec<_>, _> = (0..3).map(|to| worker.remote(to, new_shelf, ())).collect();
        let shelves = shelves?;
        for (at, shelf) in shelves.iter().enumerate() {
            shelf.rpc_async().put(shelves[(at + 1) % 3].clone()).await?;
        }
    }
    let (text, leaks) = leaks_of(&worker).await?;
    let [leak] = &leaks[..] else { bail!("{text}") };
    ensure!(leak.is_on_cycle() && text.contains("on the cycle"), "{text}");
    let owners: BTreeSet<u32> = leak.cycle.iter().map(|step| step.rref.owner.0).collect();
    ensure!(leak.cycle.len() == 3 && owners == BTreeSet::from([0, 1, 2]), "{text}");
    ensure!(leak.cycle[0].rref == leak.rref, "{text}");
    let typed =
        leak.cycle.iter().all(|step| step.type_name.as_ref().is_some_and(|name| name.ends_with("Shelf")));
    ensure!(typed, "{text}");
    Ok(())
}

/// A value refers to itself.
async fn with_itself(part: Part) -> Result<()> {
    let worker = part.builder().leaks(LeakPolicy::Error).init().await?;
    if part.rank == 0 {
        let shelf = worker.remote("worker1", new_shelf, ())?;
        shelf.rpc_async().put(shelf.clone()).await?;
        drop(shelf);
        leaks_nothing(&worker).await?;
        return Ok(());
    }
    let (text, leaks) = leaks_of(&worker).await?;
    ensure!(leaks.len() == 1 && leaks[0].cycle.len() == 1, "{text}");
    Ok(())
}

/// The program breaks its circle up, and nothing leaks.
async fn opened_in_time(part: Part) -> Result<()> {
    let worker = part.builder().leaks(LeakPolicy::Error).init().await?;
    if part.rank == 0 {
        let shelves: Result<Vec<_>, _> = (0..3).map(|to| worker.remote(to, new_shelf, ())).collect();
        let shelves = shelves?;
        for (at, shelf) in shelves.iter().enumerate() {
            shelf.rpc_async().put(shelves[(at + 1) % 3].clone()).await?;
        }
        shelves[0].rpc_async().clear().await?;
    }
    leaks_nothing(&worker).await?;
    Ok(())
}

/// What only a dead worker held is not leaked but lost.
async fn held_by_the_dead(mut part: Part) -> Result<()> {
    let worker = part.builder().leaks(LeakPolicy::Error).init().await?;
    if part.rank == 2 {
        let _kept = held().await?;
        say("READY");
        return std::future::pending().await;
    }
    if part.rank == 0 {
        let rref = worker.remote("worker1", new_tally, (1,))?;
        worker.rpc_async("worker2", hold, (rref,)).await?;
        say("GIVEN");
    }
    part.told("LEAVE").await?;
    let report = leaks_nothing(&worker).await?;
    ensure!(report.lost.len() == 1 && report.lost[0].name.as_str() == "worker2", "{:?}", report.lost);
    Ok(())
}

async fn kill_holder(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.says("GIVEN").await?;
    let holder = stage.process(2)?;
    holder.says("READY").await?;
    holder.kill()?;
    for survivor in [0, 1] {
        stage.process(survivor)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 2).await
}

/// The same list at any time, of what a worker has and of what it holds.
async fn while_running(part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let mine = RRef::new(&worker, Tally::new(1));
        worker.rpc_async("worker1", hold, (mine.clone(),)).await?;
        let theirs = worker.remote(after(&worker, 2), new_tally, (1,))?;
        theirs.created().await?;
        // That worker1 has taken it may be told after the call has returned.
        let shared =
            async || Ok(worker.rrefs().await.owned.first().is_some_and(|own| own.holders.len() == 2));
        until("worker1 is listed", shared).await?;
        let list = worker.rrefs().await;
        let [owned] = &list.owned[..] else { bail!("{list:?}") };
        let holders: BTreeSet<&str> =
            owned.holders.iter().map(|holder| holder.worker.name.as_str()).collect();
        ensure!(owned.rref == mine.id() && holders == BTreeSet::from(["worker0", "worker1"]), "{owned}");
        let placed = owned.holders.iter().find(|holder| holder.worker.name.as_str() == "worker1");
        let placed = placed.context("worker1")?;
        ensure!(matches!(&placed.handles, Handles::At(handles) if handles.len() == 1), "{owned}");
        let [held] = &list.held[..] else { bail!("{list:?}") };
        ensure!(held.rref == theirs.id() && held.owner.name.as_str() == "worker2", "{list:?}");
        ensure!(held.handle.place.contains("leaks.rs"), "{list:?}");
        drop((mine, theirs));
        worker.rpc_async("worker1", let_go, ()).await?;
        all_gone(&worker, 0..3).await?;
        let list = worker.rrefs().await;
        ensure!(list.owned.is_empty() && list.held.is_empty(), "{list:?}");
    }
    leave(&worker).await
}
