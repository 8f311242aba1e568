//! Scenarios that fail on purpose: the runner's own test sees whether they are reported as they should be.

use anyhow::{Result, bail};
use integration::part::{Part, say};
use integration::scenario::Scenario;
use rpc::prelude::*;

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("selftest::passes", 2, async |_: &Worker| Ok(())),
        Scenario::new("selftest::one_worker_fails", 3, one_worker_fails),
        Scenario::new("selftest::hangs", 2, hangs),
    ]
}

async fn one_worker_fails(part: Part) -> Result<()> {
    let _worker = part.init().await?;
    say(format_args!("PID {}", std::process::id()));
    if part.rank == 1 {
        bail!("failed on purpose");
    }
    std::future::pending().await
}

async fn hangs(part: Part) -> Result<()> {
    let worker = part.init().await?.with_timeout(Duration::ZERO);
    say(format_args!("PID {}", std::process::id()));
    worker.rpc_async(worker.name(), hang, ()).await?;
    Ok(())
}
