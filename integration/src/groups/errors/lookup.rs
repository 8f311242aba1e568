//! Calls to what is not there: workers, functions, signatures.

use anyhow::{Context, Result, bail, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::FunctionTable;
use rpc::prelude::*;
use rpc::rpc_core::{FunctionBody, Never, RemoteFunction};

/// The program of rank 0 knows these two functions.
mod ours {
    #[rpc::function(name = "shop::price", inline)]
    pub(super) fn price(item: u32) -> u32 {
        item * 2
    }

    #[rpc::function(name = "shop::discount", inline)]
    pub(super) fn discount(cents: u32) -> u32 {
        cents / 2
    }

    #[rpc::function(name = "counter::stock", inline)]
    pub(super) fn stock() -> u32 {
        17
    }
}

/// `shop::price` as the program of rank 1 has it, with another signature. It panics if it ever runs.
#[derive(Clone, Copy)]
struct OtherPrice;

impl RemoteFunction for OtherPrice {
    type Args = (u64, String);
    type Output = u64;
    type Error = Never;
    const NAME: &'static str = "shop::price";
    const SIGNATURE: &'static str = "fn(u64, String) -> u64";
    const BODY: FunctionBody<(u64, String), u64, Never> =
        FunctionBody::Inline(|_| panic!("ran with the arguments of another signature"));
}

/// `stock` is elsewhere in the program of rank 1.
#[derive(Clone, Copy)]
struct MovedStock;

impl RemoteFunction for MovedStock {
    type Args = ();
    type Output = u32;
    type Error = Never;
    const NAME: &'static str = "shop::counter::stock";
    const SIGNATURE: &'static str = "fn() -> u32";
    const BODY: FunctionBody<(), u32, Never> = FunctionBody::Inline(|()| Ok(18));
}

/// `shop::pay` as rank 0 has it.
#[derive(Debug, Serialize, Deserialize)]
struct Coins {
    cents: u8,
}

#[rpc::function(name = "shop::pay", inline)]
fn pay(coins: Coins) -> u32 {
    coins.cents.into()
}

/// The same text, and other fields behind it. It panics if it ever runs.
#[derive(Clone, Copy)]
struct OtherPay;

impl RemoteFunction for OtherPay {
    type Args = ((String, [u64; 4]),);
    type Output = u32;
    type Error = Never;
    const NAME: &'static str = "shop::pay";
    const SIGNATURE: &'static str = "fn(Coins) -> u32";
    const BODY: FunctionBody<Self::Args, u32, Never> =
        FunctionBody::Inline(|_| panic!("ran with arguments that are none"));
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("errors::unknown_worker", 2, unknown_worker),
        Scenario::new("errors::function_not_on_callee", 2, async |part: Part| {
            two_programs(part, function_not_on_callee).await
        }),
        Scenario::new("errors::signature_mismatch_between_two_programs", 2, async |part: Part| {
            two_programs(part, signature_mismatch).await
        }),
        Scenario::new("errors::op_with_invalid_args", 2, async |part: Part| {
            two_programs(part, op_with_invalid_args).await
        })
        .plain(),
    ]
}

async fn unknown_worker(worker: &Worker) -> Result<()> {
    for name in ["worker2", "", "WORKER0", "worker1 ", "abc*"] {
        let error = worker.rpc_async(name, ours::price, (1,)).await.err().context("an error")?;
        ensure!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        ensure!(error.to_string().contains("worker0, worker1"), "{error}");
        ensure!(worker.rpc_sync(name, ours::price, (1,)).is_err());
        ensure!(worker.get_worker_info(name).is_err());
    }
    Ok(())
}

/// Starts the two programs and runs `body` in the first.
async fn two_programs(part: Part, body: impl AsyncFn(&Worker) -> Result<()>) -> Result<()> {
    let mut functions = FunctionTable::new();
    match part.rank {
        0 => {
            functions.add(ours::price)?;
            functions.add(ours::discount)?;
            functions.add(ours::stock)?;
            functions.add(pay)?;
        }
        _ => {
            functions.add(OtherPrice)?;
            functions.add(MovedStock)?;
            functions.add(OtherPay)?;
        }
    }
    let worker = part.builder().functions(functions).init().await?;
    if part.rank == 0 {
        body(&worker).await?;
    }
    leave(&worker).await
}

async fn function_not_on_callee(worker: &Worker) -> Result<()> {
    let error = worker.rpc_async("worker1", ours::discount, (100,)).await.err().context("an error")?;
    ensure!(matches!(error.failure(), Some(Failure::UnknownFunction { .. })), "{error}");
    ensure!(error.handler_ran() == HandlerRan::No);
    for part in ["shop::discount", "worker1", "#[rpc::function]"] {
        ensure!(error.to_string().contains(part), "{error}");
    }
    let error = worker.rpc_async("worker1", ours::stock, ()).await.err().context("an error")?;
    ensure!(error.to_string().contains("shop::counter::stock"), "the likely one is named: {error}");
    ensure!(worker.rpc_async("worker0", ours::discount, (100,)).await? == 50);
    Ok(())
}

async fn signature_mismatch(worker: &Worker) -> Result<()> {
    let error = worker.rpc_async("worker1", ours::price, (100,)).await.err().context("an error")?;
    let Some(Failure::SignatureMismatch { ours, theirs }) = error.failure() else { bail!("{error}") };
    ensure!(ours == "fn(u32) -> u32" && theirs == "fn(u64, String) -> u64", "{error}");
    ensure!(error.handler_ran() == HandlerRan::No);
    ensure!(error.to_string().contains(ours) && error.to_string().contains(theirs), "{error}");
    Ok(())
}

/// Fields that differ are found when the arguments are decoded, before the function runs.
async fn op_with_invalid_args(worker: &Worker) -> Result<()> {
    for outcome in [
        worker.rpc_async("worker1", pay, (Coins { cents: 99 },)).await,
        worker.rpc_sync("worker1", pay, (Coins { cents: 99 },)),
    ] {
        let error = outcome.err().context("an error")?;
        ensure!(matches!(error.failure(), Some(Failure::BadArguments { .. })), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        ensure!(error.to_string().contains("shop::pay"), "{error}");
    }
    ensure!(worker.rpc_async("worker0", pay, (Coins { cents: 99 },)).await? == 99);
    Ok(())
}
