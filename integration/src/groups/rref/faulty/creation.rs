//! Values that are not made: too late, refused, or not understood.

use anyhow::{Context, Result, bail, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::FunctionTable;
use rpc::prelude::*;
use rpc::rpc_core::EngineConfig;

use crate::groups::rref::common::{
    LATE, Tally, all_gone, copy_of, never, new_tally, not_made, on_first, see_tallies, until,
};

const SHORT: Duration = Duration::from_millis(200);

/// Ends long after the time that its caller has.
#[rpc::function]
fn dawdle() -> Tally {
    std::thread::sleep(3 * SHORT);
    Tally::new(1)
}

/// Arguments that can be sent, but not read.
#[derive(Debug, Serialize)]
struct Unreadable(Vec<RRef<Tally>>);

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The first of the references has been read when it fails.
        let (_count, _first) = <(u8, RRef<Tally>)>::deserialize(from)?;
        Err(serde::de::Error::custom("these arguments do not want to be"))
    }
}

#[rpc::function]
async fn of_unreadable(args: Unreadable) -> Tally {
    Tally::new(args.0.len() as i64)
}

#[rpc::function]
fn of_bytes(bytes: Vec<u8>, with: RRef<Tally>) -> usize {
    drop(with);
    bytes.len()
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        on_first("rref_faulty::udf_remote_message_delay_timeout", 3, async |worker| {
            delayed(worker, "worker1").await
        }),
        on_first("rref_faulty::udf_remote_message_delay_timeout_to_self", 3, async |worker| {
            delayed(worker, "worker0").await
        }),
        on_first("rref_faulty::remote_by_method_delay_timeout", 2, delayed_method),
        on_first("rref_faulty::function_outlives_its_request", 3, function_outlives_its_request),
        on_first("rref_faulty::rref_to_here_timeout", 2, to_here_timeout),
        on_first("rref_faulty::arguments_not_understood", 2, arguments_not_understood),
        Scenario::new("rref_faulty::function_not_on_owner", 2, function_not_on_owner),
        Scenario::new("rref_faulty::creation_refused_as_overloaded", 2, refused_as_overloaded),
        Scenario::new("rref_faulty::creation_refused_as_too_large", 2, refused_as_too_large),
    ]
}

/// Checks that `rref` is of no use, whatever is done with it and however often; `why` is in all errors.
async fn of_no_use(worker: &Worker, rref: &RRef<Tally>, why: &str) -> Result<()> {
    for _ in 0..2 {
        let mut errors = vec![
            not_made(rref.to_here().await)?,
            not_made(rref.created().await)?,
            not_made(rref.rpc_async().get().await)?,
            not_made(rref.rpc_sync().add(1))?,
        ];
        match rref.remote().get_later() {
            Ok(made) => errors.push(not_made(made.to_here().await)?),
            Err(at_once) => errors.push(not_made(Err::<(), _>(at_once))?),
        }
        for error in errors {
            ensure!(error.to_string().contains(why), "{error}");
        }
        for to in 0..worker.world_size() as i64 {
            passed_on(worker.rpc_async(to, copy_of, (rref.clone(),)).await)?;
            match worker.remote(to, copy_of, (rref.clone(),)) {
                Ok(made) => drop(not_made(made.to_here().await)?),
                Err(at_once) => drop(not_made(Err::<(), _>(at_once))?),
            }
        }
    }
    Ok(())
}

/// Checks that the value was never made: as the sender knows, or as the receiver was told.
fn passed_on(outcome: Result<i64, CallError<CallError>>) -> Result<()> {
    match outcome {
        Err(CallError::Handler { error, .. }) => not_made(Err::<(), _>(error)).map(drop),
        other => not_made(other).map(drop),
    }
}

/// The function takes longer than its caller waits. Asking for the value ends no later than that.
async fn delayed(worker: &Worker, to: &str) -> Result<()> {
    let hasty = worker.with_timeout(SHORT);
    for _ in 0..2 {
        let rref = hasty.remote(to, never, ())?;
        let asked_early = [rref.to_here(), rref.to_here()];
        let method = rref.rpc_async().get();
        let passed = worker.rpc_async("worker2", copy_of, (rref.clone(),));
        for asked in asked_early {
            not_made(asked.timeout(LATE).await)?;
        }
        not_made(method.timeout(LATE).await)?;
        passed_on(passed.timeout(LATE).await)?;
        until("its failure is known", async || Ok(rref.to_here().await.is_err())).await?;
        of_no_use(worker, &rref, "").await?;
    }
    Ok(())
}

/// As [`delayed`], for values that methods make.
async fn delayed_method(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, new_tally, (1,))?;
        rref.created().await?;
        worker.set_rpc_timeout(SHORT);
        let made = rref.remote().hang()?;
        worker.set_rpc_timeout(LATE);
        for _ in 0..3 {
            not_made(made.to_here().await)?;
            not_made(made.created().await)?;
        }
        ensure!(rref.to_here().await?.n == 1, "the method's own value is as good as before");
    }
    Ok(())
}

/// A thread cannot be ended from outside: it makes its value when the creator has given up. Nobody keeps it.
async fn function_outlives_its_request(worker: &Worker) -> Result<()> {
    let hasty = worker.with_timeout(SHORT);
    for to in ["worker1", "worker0"] {
        let rref = hasty.remote(to, dawdle, ())?;
        // Who has asked in time may get what is made after all.
        let passed = worker.rpc_async("worker2", copy_of, (rref.clone(),));
        if let Err(error) = rref.to_here().timeout(LATE).await {
            not_made(Err::<(), _>(error))?;
        }
        let passed = passed.timeout(LATE).await;
        if passed.as_ref().ok() != Some(&1) {
            passed_on(passed)?;
        }
    }
    Ok(())
}

/// One copy is late; the next is not.
async fn to_here_timeout(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, dawdle, ())?;
        for _ in 0..2 {
            let error = rref.to_here().timeout(SHORT / 4).await.err().context("too early")?;
            ensure!(error.is_timeout() && error.to_string().contains("to_here"), "{error}");
            let error = rref.to_here().timeout(SHORT / 4).wait().err().context("too early")?;
            ensure!(error.is_timeout(), "{error}");
        }
        ensure!(rref.to_here().await?.n == 1);
        ensure!(rref.to_here().timeout(LATE).await?.n == 1);
    }
    Ok(())
}

/// What came with the arguments is let go.
async fn arguments_not_understood(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let others = vec![worker.remote(0, new_tally, (1,))?, worker.remote(1, new_tally, (1,))?];
        let rref = worker.remote(to, of_unreadable, (Unreadable(others),))?;
        of_no_use(worker, &rref, "could not decode the arguments").await?;
    }
    Ok(())
}

async fn function_not_on_owner(part: Part) -> Result<()> {
    let mut functions = FunctionTable::new();
    functions.add(copy_of)?;
    see_tallies(&mut functions)?;
    if part.rank == 0 {
        functions.add(new_tally)?;
    }
    let worker = part.builder().functions(functions).init().await?;
    if part.rank == 0 {
        let rref = worker.remote("worker1", new_tally, (1,))?;
        of_no_use(&worker, &rref, "no such function").await?;
        ensure!(worker.remote("worker0", new_tally, (1,))?.to_here().await?.n == 1);
        drop(rref);
        all_gone(&worker, 0..2).await?;
    }
    leave(&worker).await
}

/// Nothing of a value is left whose request found no place.
async fn refused_as_overloaded(part: Part) -> Result<()> {
    const LIMIT: usize = 4;
    let config = EngineConfig { in_flight_max: LIMIT, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    if part.rank == 0 {
        let kept = RRef::new(&worker, Tally::new(1));
        let running: Vec<_> = (0..LIMIT).map(|_| worker.rpc_async("worker1", hang, ())).collect();
        for _ in 0..2 {
            let Err(error) = worker.remote("worker1", copy_of, (kept.clone(),)) else {
                bail!("there is no place for it")
            };
            ensure!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
        }
        running.iter().for_each(RpcFuture::cancel);
        until("there is room", async || Ok(worker.rpc_async("worker1", ping, ()).await.is_ok())).await?;
        ensure!(worker.remote("worker1", copy_of, (kept,))?.to_here().await? == 1);
        all_gone(&worker, 0..2).await?;
    }
    leave(&worker).await
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function(inline)]
fn ping() {}

/// Too large to be sent at all, or the value too large to be copied.
async fn refused_as_too_large(part: Part) -> Result<()> {
    const LIMIT: u64 = 1 << 20;
    let config = EngineConfig { message_bytes_max: LIMIT, ..EngineConfig::default() };
    let worker = part.builder().config(config).init().await?;
    if part.rank == 0 {
        for to in ["worker1", "worker0"] {
            let with = RRef::new(&worker, Tally::new(1));
            let bytes = vec![0; LIMIT as usize];
            let Err(error) = worker.remote(to, of_bytes, (bytes, with)) else { bail!("it cannot be sent") };
            ensure!(matches!(error.failure(), Some(Failure::TooLarge { .. })), "{error}");
            let large = worker.remote(to, zeros, (LIMIT as usize,))?;
            large.created().await?;
            for _ in 0..2 {
                let error = large.to_here().await.err().context("it does not fit")?;
                ensure!(error.to_string().contains("message_bytes_max"), "{error}");
            }
        }
        all_gone(&worker, 0..2).await?;
    }
    leave(&worker).await
}

#[rpc::function]
fn zeros(len: usize) -> Vec<u8> {
    vec![0; len]
}
