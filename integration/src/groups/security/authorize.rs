//! The hook that says who may call what: worker0 asks it, worker1 may do everything, worker2 may look only.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use serde::Deserializer;

/// How often this process has begun to decode an [`Amount`].
static DECODED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Serialize)]
struct Amount(u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        u64::deserialize(deserializer).map(Self)
    }
}

#[derive(Serialize, Deserialize)]
struct Account {
    balance: u64,
}

#[rpc::methods]
impl Account {
    fn look(&self) -> u64 {
        self.balance
    }

    fn pay(&mut self, amount: Amount) -> u64 {
        self.balance += amount.0;
        self.balance
    }
}

#[rpc::function]
fn open_account(amount: Amount) -> Account {
    Account { balance: amount.0 }
}

#[rpc::function]
fn double(amount: Amount) -> u64 {
    2 * amount.0
}

#[rpc::function]
async fn look_and_pay(account: RRef<Account>) -> Result<u64, String> {
    let looked = account.rpc_async().look().await.map_err(|error| error.to_string())?;
    match account.rpc_async().pay(Amount(1)).await {
        Err(error) if matches!(error.failure(), Some(Failure::Denied { .. })) => Ok(looked),
        other => Err(format!("{other:?}")),
    }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("security::authorize", 3, authorize)]
}

async fn authorize(part: Part) -> Result<()> {
    let mut builder = part.builder();
    if part.rank == 0 {
        builder = builder.authorize(|peer: &WorkerInfo, function: &str| match peer.name.as_str() {
            "worker1" => Ok(()),
            _ if function.ends_with("::look") => Ok(()),
            _ => Err("worker1 alone changes anything"),
        });
    }
    let worker = builder.init().await.context("init")?;
    match part.rank {
        1 => may_do_everything(&worker).await?,
        2 => may_look_only(&worker).await?,
        _ => {}
    }
    leave(&worker).await?;
    // What worker1 doubles, opens with, and pays. What was denied has not been looked at.
    let decoded = DECODED.load(Ordering::SeqCst);
    ensure!(part.rank != 0 || decoded == 3, "{decoded} amounts were decoded");
    Ok(())
}

async fn may_do_everything(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker0", double, (Amount(4),)).await? == 8);
    let account = worker.remote("worker0", open_account, (Amount(10),))?;
    ensure!(account.rpc_async().pay(Amount(5)).await? == 15);
    // Whoever is handed the reference is asked for its own name, not for the giver's.
    ensure!(worker.rpc_async("worker2", look_and_pay, (account.clone(),)).await? == 15);
    Ok(())
}

async fn may_look_only(worker: &Worker) -> Result<()> {
    let error = worker.rpc_async("worker0", double, (Amount(4),)).await.err().context("a denial")?;
    let Some(Failure::Denied { caller, reason }) = error.failure() else { anyhow::bail!("{error}") };
    ensure!(caller.contains("worker2") && reason == "worker1 alone changes anything", "{error}");
    ensure!(error.handler_ran() == HandlerRan::No, "{error}");
    let account = worker.remote("worker0", open_account, (Amount(10),))?;
    let error = account.to_here().await.err().context("a denial")?;
    ensure!(error.to_string().contains("worker1 alone"), "{error}");
    Ok(())
}
