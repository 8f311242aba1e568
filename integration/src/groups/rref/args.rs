//! References in arguments and results: whoever gets one, its owner included, uses the same value.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

use super::common::{Tally, after, copy_of, new_tally, on_all, on_first, sum_of};

/// The sum of what two references refer to.
#[rpc::function]
async fn add_rrefs(a: RRef<i64>, b: RRef<i64>) -> Result<i64, CallError> {
    Ok(a.to_here().await? + b.to_here().await?)
}

#[rpc::function]
async fn add_rref_to_value(rref: RRef<i64>, n: i64) -> Result<i64, CallError> {
    Ok(rref.to_here().await? + n)
}

/// References to two values that `to` makes.
#[rpc::function]
async fn two_made_by(to: i64) -> Result<(RRef<i64>, RRef<i64>), CallError> {
    let worker = Worker::current();
    Ok((worker.remote(to, sum_of, (1, 2, 3))?, worker.remote(to, sum_of, (4, 5, 6))?))
}

#[rpc::function]
async fn made_by(to: i64, n: i64) -> Result<RRef<Tally>, CallError> {
    Worker::current().remote(to, new_tally, (n,))
}

#[rpc::function]
fn local_ones(numbers: Vec<i64>) -> Vec<RRef<Tally>> {
    let worker = Worker::current();
    numbers.into_iter().map(|n| RRef::new(&worker, Tally::new(n))).collect()
}

#[rpc::function(inline)]
fn echo(rrefs: Vec<RRef<Tally>>) -> Vec<RRef<Tally>> {
    rrefs
}

/// What stands behind the reference on its owner, changed in place.
#[rpc::function]
async fn add_in_place(rref: RRef<Tally>, by: i64) -> Result<i64, ReferenceError> {
    let mut value = rref.local_value_mut().await?;
    value.n += by;
    Ok(value.n)
}

/// A chain of values, each a reference to the next.
#[derive(Debug, Serialize, Deserialize)]
enum Link {
    Next(RRef<Link>),
    End(i64),
}

/// Passes `rref` from worker to worker, `ttl` times, and has each keep a link to the next.
#[rpc::function]
async fn rref_forward_chain(rref: RRef<i64>, ttl: u32) -> Result<Link, CallError> {
    let worker = Worker::current();
    if ttl == 0 {
        return Ok(Link::End(rref.to_here().await?));
    }
    Ok(Link::Next(worker.remote(after(&worker, 1), rref_forward_chain, (rref, ttl - 1))?))
}

/// References at every depth of a user's own types.
#[derive(Debug, Serialize, Deserialize)]
struct Shelf {
    named: BTreeMap<String, RRef<Tally>>,
    perhaps: [Option<RRef<Tally>>; 2],
    of_rref: RRef<RRef<Tally>>,
}

#[rpc::function]
async fn sum_of_shelf(shelf: Shelf) -> Result<i64, CallError> {
    let mut sum = shelf.of_rref.to_here().await?.rpc_async().get().await?;
    for rref in shelf.named.values().chain(shelf.perhaps.iter().flatten()) {
        sum += rref.rpc_async().get().await?;
    }
    Ok(sum)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_all("remote::self_remote_rref_as_rpc_arg", 2, async |worker| as_rpc_arg(worker, 1).await),
        on_all("remote::self_remote_rref_as_self_rpc_arg", 2, async |worker| as_rpc_arg(worker, 0).await),
        on_all("remote::self_remote_rref_as_remote_arg", 2, async |worker| as_remote_arg(worker, 1).await),
        on_all("remote::self_remote_rref_as_self_remote_arg", 2, async |worker| {
            as_remote_arg(worker, 0).await
        }),
        on_all("remote::rref_args", 3, async |worker| passes_to(worker, 1, 1).await),
        on_all("remote::rref_args_user_share", 3, async |worker| passes_to(worker, 1, 2).await),
        on_all("remote::rref_args_back_to_the_owner", 3, async |worker| passes_to(worker, 2, 2).await),
        on_all("remote::remote_same_worker", 2, remote_same_worker),
        on_all("remote::nested_rref", 3, nested_rref),
        on_all("remote::rpc_return_rref", 3, rpc_return_rref),
        on_all("remote::rref_forward_chain", 4, forward_chain),
        on_all("remote::return_local_rrefs", 3, return_local_rrefs),
        on_all("remote::pass_local_rrefs", 3, pass_local_rrefs),
        on_first("remote::call_method_on_rref", 2, call_method_on_rref),
        on_first("remote::rrefs_in_containers", 3, in_containers),
        on_first("remote::the_same_rref_twice_in_one_call", 3, the_same_twice),
    ]
}

async fn as_rpc_arg(worker: &Worker, steps: u32) -> Result<()> {
    let rref = worker.remote(worker.id(), sum_of, (1, 2, 3))?;
    let to = after(worker, steps);
    let first = worker.rpc_async(to, add_rref_to_value, (rref.clone(), 10));
    let second = worker.rpc_async(to, add_rref_to_value, (rref.clone(), 20));
    drop(rref);
    ensure!((first.await?, second.await?) == (16, 26));
    Ok(())
}

async fn as_remote_arg(worker: &Worker, steps: u32) -> Result<()> {
    let rref = worker.remote(worker.id(), sum_of, (1, 2, 3))?;
    let made = worker.remote(after(worker, steps), add_rref_to_value, (rref, 10))?;
    ensure!(made.to_here().await? == 16, "the reference lived until its value was needed");
    Ok(())
}

/// Values of one worker, used by another, by calls and for values.
async fn passes_to(worker: &Worker, owner: u32, user: u32) -> Result<()> {
    let (owner, user) = (after(worker, owner), after(worker, user));
    let a = worker.remote(owner, sum_of, (1, 2, 3))?;
    let b = worker.remote(owner, sum_of, (4, 5, 6))?;
    let made = worker.remote(user, add_rrefs, (a.clone(), b.clone()))?;
    let called = worker.rpc_async(user, add_rrefs, (a.clone(), b));
    ensure!((called.await?, made.to_here().await?) == (21, 21));
    ensure!(worker.rpc_async(user, add_rref_to_value, (a, 1)).await? == 7);
    Ok(())
}

async fn remote_same_worker(worker: &Worker) -> Result<()> {
    let to = after(worker, 1);
    let rrefs = (worker.remote(to, sum_of, (1, 2, 3))?, worker.remote(to, sum_of, (4, 5, 6))?);
    ensure!(worker.remote(to, add_rrefs, rrefs)?.to_here().await? == 21);
    Ok(())
}

async fn nested_rref(worker: &Worker) -> Result<()> {
    let rref_of_rrefs = worker.remote(after(worker, 1), two_made_by, (after(worker, 2),))?;
    let (a, b) = rref_of_rrefs.to_here().await?;
    let (again, _) = rref_of_rrefs.to_here().await?;
    ensure!(a == again, "references to one value are equal");
    drop(rref_of_rrefs);
    ensure!((a.to_here().await?, b.to_here().await?) == (6, 15));
    Ok(())
}

/// A result refers to a value of a third, of the callee, and of the caller, which finds its own.
async fn rpc_return_rref(worker: &Worker) -> Result<()> {
    let via = after(worker, 1);
    for owner in [after(worker, 2), via, after(worker, 0)] {
        let rref = worker.rpc_async(via, made_by, (owner, 7)).await?;
        ensure!(rref.to_here().await?.n == 7);
        ensure!(rref.is_owner() == (owner == after(worker, 0)));
        if rref.is_owner() {
            ensure!(!rref.local_value().await?.is_copy());
        }
    }
    Ok(())
}

async fn forward_chain(worker: &Worker) -> Result<()> {
    const TTL: u32 = 8;
    let rref = worker.remote(after(worker, 2), sum_of, (1, 2, 3))?;
    let mut links = 0;
    let mut link = Link::Next(worker.remote(after(worker, 1), rref_forward_chain, (rref, TTL))?);
    while let Link::Next(next) = link {
        link = next.to_here().await?;
        links += 1;
    }
    ensure!(matches!(link, Link::End(6)), "{link:?}");
    ensure!(links == TTL + 1);
    Ok(())
}

async fn return_local_rrefs(worker: &Worker) -> Result<()> {
    let rrefs = worker.rpc_async(after(worker, 1), local_ones, (vec![1, 2, 3],)).await?;
    for (n, rref) in (1..).zip(&rrefs) {
        ensure!(worker.rpc_async(rref.owner(), add_in_place, (rref.clone(), 10)).await? == n + 10);
        ensure!(rref.to_here().await?.n == n + 10, "the owner changed its own value");
    }
    Ok(())
}

/// A local value is shared with two others, that all change the one that there is.
async fn pass_local_rrefs(worker: &Worker) -> Result<()> {
    let own = RRef::new(worker, Tally::new(0));
    let mut back = worker.rpc_async(after(worker, 1), echo, (vec![own.clone(), own.clone()],)).await?;
    back.extend(worker.rpc_async(after(worker, 2), echo, (vec![own.clone()],)).await?);
    for rref in &back {
        ensure!(*rref == own && rref.is_owner());
        rref.local_value_mut().await?.n += 1;
    }
    ensure!(worker.rpc_async(after(worker, 1), copy_of, (own.clone(),)).await? == 3);
    ensure!(worker.rpc_async(worker.id(), copy_of, (own,)).await? == 3);
    Ok(())
}

async fn call_method_on_rref(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, new_tally, (10,))?;
        ensure!(worker.rpc_sync(rref.owner(), add_in_place, (rref.clone(), 2))? == 12);
        ensure!(worker.rpc_async(rref.owner(), add_in_place, (rref.clone(), 7)).await? == 19);
        let made = worker.remote(rref.owner(), add_in_place, (rref.clone(), 1))?;
        ensure!(made.to_here().await? == 20);
        ensure!(rref.to_here().await?.n == 20);
    }
    let elsewhere = worker.remote("worker1", new_tally, (10,))?;
    let error = worker.rpc_async("worker0", add_in_place, (elsewhere, 2)).await.err();
    let error = error.as_ref().and_then(CallError::handler_error);
    ensure!(matches!(error, Some(ReferenceError::NotOwner { .. })), "{error:?}");
    Ok(())
}

async fn in_containers(worker: &Worker) -> Result<()> {
    let made = |to: i64, n: i64| worker.remote(to, new_tally, (n,));
    let shelf = Shelf {
        named: [("one".to_owned(), made(0, 1)?), ("two".to_owned(), made(1, 2)?)].into(),
        perhaps: [None, Some(made(2, 3)?)],
        of_rref: worker.remote(1, made_by, (2, 4))?,
    };
    ensure!(worker.rpc_async("worker2", sum_of_shelf, (shelf,)).await? == 10);
    Ok(())
}

async fn the_same_twice(worker: &Worker) -> Result<()> {
    let rref = worker.remote("worker1", new_tally, (1,))?;
    let mut many = vec![rref; 50];
    for _ in 0..4 {
        for to in ["worker1", "worker2", "worker0"] {
            many = worker.rpc_async(to, echo, (many,)).await?;
        }
    }
    ensure!(many.len() == 50 && many.iter().all(|rref| *rref == many[0]));
    ensure!(many[49].rpc_async().get().await? == 1);
    Ok(())
}
