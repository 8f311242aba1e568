//! What torch is known to do wrong with references, and what is done here: each time what makes it fail there, at its
//! smallest. Scenarios of the other groups go further.

use anyhow::{Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::Shutdown;
use rpc::prelude::*;

use super::common::{
    LATE, Tally, after, all_gone, is_confirmed, live_tallies, never, new_tally, not_made, on_first, until,
};
use super::lifecycle::hold;

const SHORT: Duration = Duration::from_millis(100);

#[rpc::function]
fn no_tally() -> Result<Tally, String> {
    Err("expected".into())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_first("torch_defects::second_failed_creation", 2, second_failed_creation).plain(),
        Scenario::new("torch_defects::reinit_with_live_rrefs", 2, reinit_with_live_rrefs).plain(),
        Scenario::new("torch_defects::dead_peer_at_shutdown", 3, dead_peer_at_shutdown)
            .script(kill_the_holder)
            .plain(),
    ]
}

/// The second value that is not made is told like the first, whichever of the reasons it has.
async fn second_failed_creation(worker: &Worker) -> Result<()> {
    let hasty = worker.with_timeout(SHORT);
    for _ in 0..2 {
        let late = hasty.remote("worker1", never, ())?;
        not_made(late.to_here().timeout(LATE).await)?;
        let failed = worker.remote("worker1", no_tally, ())?;
        let error = not_made(failed.to_here().timeout(LATE).await)?;
        ensure!(error.creation_error::<String>().as_deref() == Some("expected"), "{error}");
        for rref in [&late, &failed] {
            not_made(rref.created().await)?;
            not_made(rref.rpc_async().get().await)?;
        }
    }
    Ok(())
}

/// A process starts its second worker while it has references of its first. Those of the second are counted: the owner
/// hears of the last handle while it runs, not when it ends.
async fn reinit_with_live_rrefs(part: Part) -> Result<()> {
    let first = part.init().await?;
    let kept = [first.remote(after(&first, 1), new_tally, (1,))?, RRef::new(&first, Tally::new(2))];
    kept[0].created().await?;
    let report = first.shutdown_with(Shutdown::Graceful { timeout: Some(LATE) }).await?;
    ensure!(report.leaked() > 0, "it is told what it kept");
    until("its values are dropped", async || Ok(live_tallies() == 0)).await?;

    let second = part.init().await?;
    let rref = second.remote(after(&second, 1), new_tally, (3,))?;
    is_confirmed(&rref).await?;
    ensure!(rref.to_here().await?.n == 3);
    drop(kept);
    ensure!(rref.rpc_async().add(1).await? == 4, "what is dropped was another worker's");
    drop(rref);
    all_gone(&second, 0..2).await?;
    leave(&second).await
}

/// worker2 has a reference to a value of worker1's, and dies. Nobody says how long the shutdown may take.
async fn dead_peer_at_shutdown(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 1 {
        worker.rpc_async("worker2", hold, (RRef::new(&worker, Tally::new(1)),)).await?;
    }
    say("READY");
    part.told("LEAVE").await?;
    let report = worker.shutdown().await?;
    let lost: Vec<&str> = report.lost.iter().map(|info| info.name.as_str()).collect();
    ensure!(lost == ["worker2"], "{lost:?}");
    ensure!(report.leaked() == 0, "the dead hold nothing: {:?}", report.leaks);
    until("the value is dropped", async || Ok(live_tallies() == 0)).await
}

async fn kill_the_holder(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    stage.process(2)?.kill()?;
    stage.process(2)?.ended().await?;
    for rank in [0, 1] {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 2).await
}
