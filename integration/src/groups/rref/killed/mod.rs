//! Workers that are killed: owners, users, and those that have just passed a reference on.

mod between;
mod owner;
mod user;

use std::time::Instant;

use anyhow::{Result, ensure};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;

use crate::groups::rref::common::NOTICE;

pub(super) fn scenarios() -> Vec<Scenario> {
    [owner::scenarios(), user::scenarios(), between::scenarios()].concat()
}

/// Kills `doomed`, and waits until each of `survivors` has said `word`, which may not take long.
async fn kill(stage: &mut Stage, doomed: usize, survivors: &[usize], word: &str) -> Result<()> {
    let process = stage.process(doomed)?;
    process.kill()?;
    let killed = Instant::now();
    process.ended().await?;
    for survivor in survivors {
        stage.process(*survivor)?.tell("KILLED").await?;
    }
    for survivor in survivors {
        stage.process(*survivor)?.says(word).await?;
    }
    let noticed = killed.elapsed();
    ensure!(noticed < NOTICE, "{word} came {noticed:?} after the death of worker{doomed}");
    stage.note(format!("noticed after {} ms", noticed.as_millis()));
    Ok(())
}

/// Tells the survivors of `doomed` to leave, and waits until they have.
async fn leave(stage: &mut Stage, doomed: &[usize]) -> Result<()> {
    for (at, process) in stage.processes().iter().enumerate() {
        if !doomed.contains(&at) {
            process.tell("LEAVE").await?;
        }
    }
    stage.these_succeed(|at| !doomed.contains(&at)).await
}
