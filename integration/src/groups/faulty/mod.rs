//! Messages that fail, are late, get lost, are repeated or overtaken, one by one: what torch's fault-injecting agent is
//! for, under the names of its tests where it has them, and what it cannot do.
//!
//! Every process has its own faults, which act on what it receives. They stand above the transport, so most scenarios
//! would show the same over each and run over TCP alone; those in which links and references have to do with each
//! other run over all.

mod beyond;
mod creation;
mod options;
mod times;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::runner::security::Security;
use integration::scenario::{Scenario, leave};
use rpc::default_backends;
use rpc::prelude::*;
use rpc_testing::{Fault, Faults};

use crate::groups::rref::common::all_gone;

/// How long callers wait for what comes late.
const SHORT: Duration = Duration::from_millis(100);
/// How late messages come: so far above [`SHORT`] that a caller on a busy machine still notices its own timeout first.
const DELAY: Duration = Duration::from_millis(800);

const SEED: u64 = 7;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [options::scenarios(), creation::scenarios(), times::scenarios(), beyond::scenarios()].concat()
}

/// Starts this process's worker under `faults`.
async fn start(part: &Part, faults: &Faults) -> Result<Worker> {
    let backends = faults.around(&default_backends())?;
    part.builder().backends(backends).init().await.context("init")
}

/// Leaves together with all others, none of which may be lost. Each fault of this process must have acted.
async fn finish(worker: &Worker, faults: &Faults) -> Result<()> {
    leave(worker).await?;
    let unfired = faults.unfired();
    ensure!(unfired.is_empty(), "{}", unfired.join("; "));
    Ok(())
}

/// Rank 0 does `body` while the others serve, each under the faults that `plan` has for its rank. At the end nothing of
/// any reference is left anywhere.
fn under(
    name: &'static str,
    workers: u32,
    plan: fn(u32) -> Vec<Fault>,
    body: impl AsyncFn(&Worker) -> Result<()> + 'static,
) -> Scenario {
    Scenario::new(name, workers, async move |part: Part| {
        let faults = Faults::seeded(SEED);
        plan(part.rank).into_iter().for_each(|fault| drop(faults.add(fault)));
        let worker = start(&part, &faults).await?;
        if part.rank == 0 {
            body(&worker).await?;
            all_gone(&worker, 0..workers).await?;
        }
        finish(&worker, &faults).await
    })
}

/// As [`under`], for what is the same over every backend.
fn once(
    name: &'static str,
    workers: u32,
    plan: fn(u32) -> Vec<Fault>,
    body: impl AsyncFn(&Worker) -> Result<()> + 'static,
) -> Scenario {
    anywhere(under(name, workers, plan, body))
}

fn anywhere(scenario: Scenario) -> Scenario {
    scenario.only("tcp").secured(&[Security::Open])
}
