//! What can be said about faults, and that nothing else fails.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use integration::part::Part;
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::rpc_core::{Backend, BackendError, BindOptions, BoundBackend, BoxFuture, RegistryError};
use rpc::{BackendRegistry, default_backends};
use rpc_testing::{Fault, Faults, Message};

use super::{DELAY, SEED, anywhere, finish, once, start, under};
use crate::groups::rref::common::{copy_of, new_tally, sum_of};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        under("faulty::check_failed_messages", 4, failing_references, share_among_all),
        anywhere(Scenario::new("faulty::verify_backend_options", 1, verify_backend_options)),
        anywhere(Scenario::new("faulty::no_faulty_messages", 2, no_faulty_messages)),
        once("faulty::custom_faulty_messages", 2, custom_faulty, custom_faulty_messages),
        once("faulty::custom_messages_to_delay", 2, custom_delay, custom_messages_to_delay),
    ]
}

/// Torch's test has all retryable messages fail three times, and its retries send empty ones; here they are sent again
/// as they were. To the owner alone, which is certain to get more than three.
fn failing_references(rank: u32) -> Vec<Fault> {
    match rank {
        1 => vec![Fault::fail().on(Message::References).first(3)],
        _ => Vec::new(),
    }
}

async fn share_among_all(worker: &Worker) -> Result<()> {
    for n in 0..4 {
        let value = worker.remote("worker1", new_tally, (n,))?;
        let sum = ["worker0", "worker1", "worker2", "worker3"]
            .map(|to| worker.remote(to, copy_of, (value.clone(),)));
        for part in sum {
            ensure!(part?.to_here().await? == n);
        }
    }
    Ok(())
}

/// A backend that is an agent by itself.
#[derive(Debug)]
struct Whole;

impl Backend for Whole {
    fn name(&self) -> &str {
        "whole"
    }

    fn bind(&self, _: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
        let cause = "it is never used".to_owned();
        Box::pin(std::future::ready(Err(BackendError::Start { backend: "whole".into(), cause })))
    }
}

/// The backends are those that there are, and who has no messages that could fail is told so.
async fn verify_backend_options(part: Part) -> Result<()> {
    let faults = Faults::seeded(SEED);
    let around = faults.around(&default_backends())?;
    ensure!(around.names().eq(default_backends().names()));
    let mut own = BackendRegistry::new();
    own.register(Whole)?;
    match faults.around(&own) {
        Err(RegistryError::NoTransport { name }) => ensure!(name == "whole"),
        other => bail!("{other:?}"),
    }
    let worker = start(&part, &faults).await?;
    ensure!(worker.rpc_async(0, sum_of, (1, 2, 3)).await? == 6);
    finish(&worker, &faults).await
}

async fn no_faulty_messages(part: Part) -> Result<()> {
    let faults = Faults::seeded(SEED);
    let worker = start(&part, &faults).await?;
    if part.rank == 0 {
        ensure!(worker.rpc_async("worker1", sum_of, (1, 2, 3)).await? == 6);
        ensure!(worker.remote("worker1", new_tally, (1,))?.to_here().await?.n == 1);
    }
    finish(&worker, &faults).await?;
    ensure!(faults.injected().is_empty());
    Ok(())
}

/// By torch's names for them.
fn custom_faulty(rank: u32) -> Vec<Fault> {
    let names = ["PYTHON_RREF_FETCH_CALL", "SCRIPT_RREF_FETCH_CALL"];
    let messages = names.into_iter().filter_map(|name| name.parse().ok());
    match rank {
        1 => vec![messages.fold(Fault::fail().first(2), Fault::on)],
        _ => Vec::new(),
    }
}

async fn custom_faulty_messages(worker: &Worker) -> Result<()> {
    ensure!("RREF_FORK_REQUEST".parse() == Ok(Message::References));
    let Err(error) = "FAKE_MESSAGE".parse::<Message>() else { bail!("that is no message") };
    ensure!(error.to_string().contains("no message is called FAKE_MESSAGE"), "{error}");
    let value = worker.remote("worker1", new_tally, (1,))?;
    ensure!(worker.rpc_async("worker1", sum_of, (1, 2, 3)).await? == 6, "calls are of another kind");
    for _ in 0..2 {
        let Err(error) = value.to_here().await else { bail!("it is to fail") };
        ensure!(error.handler_ran() == HandlerRan::No, "{error}");
    }
    ensure!(value.to_here().await?.n == 1);
    Ok(())
}

fn custom_delay(rank: u32) -> Vec<Fault> {
    let message = "PYTHON_CALL".parse::<Message>().ok().filter(|_| rank == 1);
    message.map(|message| Fault::delay(DELAY).on(message).function(sum_of).first(1)).into_iter().collect()
}

async fn custom_messages_to_delay(worker: &Worker) -> Result<()> {
    let began = Instant::now();
    let late = worker.rpc_async("worker1", sum_of, (1, 2, 3));
    let value = worker.remote("worker1", new_tally, (1,))?;
    ensure!(value.to_here().await?.n == 1, "other messages are as always");
    ensure!(late.await? == 6 && began.elapsed() >= DELAY);
    Ok(())
}
