//! From the first handle to the last: what a reference is to its holders, and when its value goes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say, store_security, variable};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc_rendezvous::TcpStore;

use super::common::{
    LATE, Tally, after, all_gone, copy_of, is_idle, live_tallies, new_tally, on_all, on_first,
    reference_error, sum_of, until,
};

/// What [`hold`] has put away in this process.
static HELD: Mutex<Vec<RRef<Tally>>> = Mutex::new(Vec::new());

#[rpc::function]
pub(super) fn hold(rref: RRef<Tally>) {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).push(rref);
    say("HOLDS");
}

/// Takes a reference that [`hold`] has put away in this process; waits until there is one.
pub(super) async fn held() -> Result<RRef<Tally>> {
    let mut taken = None;
    until("a reference has come", async || {
        taken = HELD.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(taken.is_some())
    })
    .await?;
    taken.context("a reference")
}

/// Lets go of what [`hold`] has put away.
#[rpc::function]
pub(super) fn let_go() {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Of each reference, whether the owner knew of it when this began, and whether it is the owner's.
#[rpc::function(inline)]
fn see_confirmed(rrefs: Vec<RRef<i64>>) -> Vec<(bool, bool)> {
    rrefs.iter().map(|rref| (rref.confirmed_by_owner(), rref.is_owner())).collect()
}

#[rpc::function]
async fn rrefs_to(to: i64, numbers: Vec<i64>) -> Result<Vec<RRef<i64>>, CallError> {
    let worker = Worker::current();
    numbers.into_iter().map(|n| worker.remote(to, sum_of, (n, 0, 0))).collect()
}

/// Writes a reference as a file would have it, and reads one that nobody sent.
#[rpc::function]
fn through_json(rref: RRef<i64>) -> (Result<String, String>, Result<String, String>) {
    let written = serde_json::to_string(&rref).map_err(|error| error.to_string());
    let read = serde_json::from_str::<RRef<i64>>("0").map_err(|error| error.to_string());
    (written, read.map(|rref| rref.to_string()))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_all("rref::nested_rref_stress", 3, nested_rref_stress),
        on_all("rref::local_rref_no_fork", 1, local_rref_no_fork),
        on_first("rref::local_value_not_on_owner", 2, local_value_not_on_owner),
        on_first("rref::owner_equality", 3, owner_equality),
        on_all("rref::rref_str", 2, rref_str),
        on_all("rref::user_rrefs_confirmed", 3, user_rrefs_confirmed),
        on_all("rref::user_rrefs_confirmed_remote", 3, user_rrefs_confirmed_remote),
        on_first("rref::rref_serialization_not_supported", 2, serialization_not_supported),
        on_first("rref::opaque_values_stay", 2, opaque_values_stay),
        on_first("rref::weak_rrefs_keep_nothing", 2, weak_rrefs_keep_nothing),
        Scenario::new("rref::value_goes_with_the_last_handle", 3, shares_and_drops).script(last_handle),
        Scenario::new("rref::rref_of_another_worker_of_the_process", 1, of_another_worker),
    ]
}

async fn nested_rref_stress(worker: &Worker) -> Result<()> {
    const LISTS: i64 = 20;
    let numbers: Vec<i64> = (0..10).collect();
    let (via, owner) = (after(worker, 1), after(worker, 2));
    let lists: Result<Vec<_>, _> =
        (0..LISTS).map(|_| worker.remote(via, rrefs_to, (owner, numbers.clone()))).collect();
    for list in lists? {
        for (n, rref) in (0..).zip(list.to_here().await?) {
            ensure!(rref.to_here().await? == n);
        }
    }
    Ok(())
}

async fn local_rref_no_fork(worker: &Worker) -> Result<()> {
    let rref = RRef::new(worker, 35);
    ensure!(*rref.local_value().await? == 35 && rref.to_here().await? == 35);
    ensure!(rref.is_owner() && rref.confirmed_by_owner() && rref.owner() == worker.info());
    *rref.local_value_mut().await? = 36;
    ensure!(*rref.clone().local_value().await? == 36);
    let guard = rref.local_value().await?;
    drop(rref);
    ensure!(*guard == 36, "a guard keeps what it has borrowed");
    Ok(())
}

async fn local_value_not_on_owner(worker: &Worker) -> Result<()> {
    let rref = worker.remote("worker1", sum_of, (1, 2, 3))?;
    for error in [rref.local_value().await.err(), rref.local_value_mut().await.err()] {
        let error = error.context("the value is not here")?;
        let ReferenceError::NotOwner { owner, .. } = &error else { bail!("{error}") };
        ensure!(owner.contains("worker1"), "{error}");
        ensure!(error.to_string().contains("to_here"), "the remedy is named: {error}");
    }
    Ok(())
}

async fn owner_equality(worker: &Worker) -> Result<()> {
    let make = |to: &str| worker.remote(to, sum_of, (1, 2, 3));
    let (a, b, c) = (make("worker1")?, make("worker1")?, make("worker2")?);
    ensure!(a.owner() == b.owner() && a.owner() != c.owner());
    ensure!(*a.owner() == *worker.get_worker_info("worker1")?);
    let owners: HashSet<WorkerId> = [&a, &b, &c].map(|rref| rref.owner().id).into();
    ensure!(owners.len() == 2);
    ensure!(a != b && a == a.clone());
    ensure!(HashSet::from([a.clone(), a.clone(), b, c]).len() == 3);
    Ok(())
}

/// The same text on all holders: who asked for the value, the how manieth it was, and whose it is.
async fn rref_str(worker: &Worker) -> Result<()> {
    let (me, to) = (worker.id().0, after(worker, 1));
    let rref = worker.remote(to, new_tally, (1,))?;
    let id = rref.id().to_string();
    ensure!(id.starts_with(&format!("{me}:")) && id.ends_with(&format!("@{to}")), "{id}");
    let text = rref.to_string();
    ensure!(text.starts_with("RRef<") && text.contains("Tally>") && text.contains(&id), "{text}");
    ensure!(format!("{rref:?}") == text && format!("{}", rref.clone()) == text);
    let own = RRef::new(worker, 1);
    ensure!(own.id().to_string().ends_with(&format!("@{me}")) && own.id().to_string() != id);
    Ok(())
}

/// References to values of all three workers, sent to each: a function begins when their owners know.
async fn user_rrefs_confirmed(worker: &Worker) -> Result<()> {
    for to in 0..3 {
        let rrefs: Result<Vec<_>, _> = (0..3).map(|owner| worker.remote(owner, sum_of, (1, 2, 3))).collect();
        check_confirmed(worker.rpc_async(to, see_confirmed, (rrefs?,)).await?, to)?;
    }
    Ok(())
}

async fn user_rrefs_confirmed_remote(worker: &Worker) -> Result<()> {
    for to in 0..3 {
        let rrefs: Result<Vec<_>, _> = (0..3).map(|owner| worker.remote(owner, sum_of, (1, 2, 3))).collect();
        check_confirmed(worker.remote(to, see_confirmed, (rrefs?,))?.to_here().await?, to)?;
    }
    Ok(())
}

fn check_confirmed(seen: Vec<(bool, bool)>, at: i64) -> Result<()> {
    for (owner, (confirmed, is_owner)) in (0..).zip(seen) {
        ensure!(confirmed, "worker{at} ran before worker{owner} knew");
        ensure!(is_owner == (owner == at));
    }
    Ok(())
}

/// A reference travels in calls and nowhere else, also within the handler of one.
async fn serialization_not_supported(worker: &Worker) -> Result<()> {
    let rref = worker.remote("worker1", sum_of, (1, 2, 3))?;
    let error = serde_json::to_string(&vec![&rref]).err().context("a file is no call")?;
    ensure!(error.to_string().contains("the arguments and results of calls"), "{error}");
    let error = serde_json::from_str::<RRef<i64>>("0").err().context("a file is no call")?;
    ensure!(error.to_string().contains("the arguments and results of calls"), "{error}");
    for to in ["worker1", "worker0"] {
        let (written, read) = worker.rpc_async(to, through_json, (rref.clone(),)).await?;
        ensure!(written.is_err() && read.is_err(), "{written:?} {read:?}");
    }
    ensure!(rref.to_here().await? == 6, "it is as good as before");
    Ok(())
}

/// A value that cannot be copied is used through its methods.
async fn opaque_values_stay(worker: &Worker) -> Result<()> {
    let own = RRef::new_opaque(worker, Tally::new(1));
    ensure!(own.rpc_async().add(1).await? == 2);
    let error = reference_error(own.to_here().await)?;
    ensure!(matches!(error, ReferenceError::NotCopyable { .. }), "{error}");
    let error = worker.rpc_async("worker1", copy_of, (own.clone(),)).await.err();
    let error = error.as_ref().and_then(CallError::handler_error).and_then(CallError::failure);
    let error = error.and_then(Failure::reference).context("it cannot be copied from elsewhere either")?;
    ensure!(matches!(error, ReferenceError::NotCopyable { .. }), "{error}");
    ensure!(error.to_string().contains("call its methods"), "{error}");
    ensure!(own.local_value().await?.n == 2);
    Ok(())
}

async fn weak_rrefs_keep_nothing(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, new_tally, (1,))?;
        rref.created().await?;
        let weak = rref.downgrade();
        ensure!(weak.id() == rref.id() && weak.upgrade().as_ref() == Some(&rref));
        drop(rref);
        // The request that has just been answered may hold it for a moment.
        until("nobody holds it", async || Ok(weak.upgrade().is_none())).await?;
        until("the value is gone", async || Ok(is_idle(worker))).await?;
    }
    Ok(())
}

/// Rank 0 has worker1 make a value, shares it with worker2 and drops its own handles first.
async fn shares_and_drops(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let rref = worker.remote("worker1", new_tally, (1,))?;
        let clones = vec![rref.clone(); 10];
        worker.rpc_async("worker2", hold, (rref,)).await?;
        drop(clones);
        // Its release has arrived when this worker has nothing left to say.
        until("this worker is done with it", async || Ok(is_idle(&worker))).await?;
        ensure!(worker.rpc_async("worker1", live_tallies, ()).await? == 1, "worker2 still holds it");
        worker.rpc_async("worker2", let_go, ()).await?;
        say("LET-GO");
        part.told("LEAVE").await?;
        all_gone(&worker, 0..3).await?;
    }
    leave(&worker).await
}

async fn last_handle(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.says("LET-GO").await?;
    stage.process(1)?.says("DROPPED").await?;
    stage.process(0)?.tell("LEAVE").await?;
    stage.all_succeed().await
}

/// Two groups in one process: a reference of one is refused by the other, and is as good as before.
async fn of_another_worker(part: Part) -> Result<()> {
    let address = format!("{}:{}", variable("MASTER_ADDR")?, variable("MASTER_PORT")?);
    let (patience, security) = (Duration::from_secs(10), store_security()?);
    let store = Arc::new(TcpStore::connect_secured(&address, patience, &security).await?);
    let side = Worker::builder("side0").rank(0).world_size(1).store(store).job("side by side");
    let (side, worker) = (side.init().await?, part.init().await?);
    let rref = RRef::new(&side, Tally::new(1));
    for outcome in [
        worker.rpc_async("worker0", hold, (rref.clone(),)).await,
        worker.remote("worker0", hold, (rref.clone(),)).map(|_| ()),
    ] {
        let error = reference_error(outcome)?;
        ensure!(matches!(error, ReferenceError::Foreign { .. }), "{error}");
    }
    ensure!(side.rpc_async("side0", copy_of, (rref.clone(),)).timeout(LATE).await? == 1);
    drop(rref);
    ensure!(is_idle(&side) && is_idle(&worker));
    let (first, second) = tokio::join!(leave(&side), leave(&worker));
    first.and(second)
}
