//! Values that are made elsewhere and stay there.

use anyhow::{Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

use super::common::{after, is_confirmed, new_tally, not_made, on_all, on_first, reference_error, sum_of};

#[rpc::function]
async fn sum_later(a: i64, b: i64, c: i64) -> i64 {
    tokio::task::yield_now().await;
    a + b + c
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Refused {
    n: i64,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is refused", self.n)
    }
}

#[rpc::function]
fn refuse_or_inc(n: i64) -> Result<i64, Refused> {
    if n == 2 { Err(Refused { n }) } else { Ok(n + 1) }
}

#[rpc::function]
fn panics() -> i64 {
    panic!("no value today")
}

/// A value that `to` makes for the worker that runs this, copied to the caller.
#[rpc::function]
async fn made_by(to: i64, n: i64) -> Result<i64, CallError> {
    Worker::current().remote(to, sum_of, (n, 1, 1))?.to_here().await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_all("remote::self_py_udf_remote", 2, async |worker| makes(worker, 0).await),
        on_all("remote::builtin_remote_ret", 3, async |worker| makes(worker, 1).await),
        on_all("remote::py_udf_remote", 3, async |worker| makes(worker, 2).await),
        on_all("remote::builtin_remote_self", 2, builtin_remote_self),
        on_all("remote::multi_builtin_remote_ret", 3, async |worker| makes_many(worker, 1).await),
        on_all("remote::multi_py_udf_remote", 3, async |worker| makes_many(worker, 2).await),
        on_all("remote::nested_remote", 3, nested_remote),
        on_first("remote::remote_with_exception", 2, remote_with_exception),
        on_first("remote::remote_throw", 2, remote_throw),
        on_first("remote::remote_to_nobody", 2, remote_to_nobody),
        on_first("remote::blocking_from_threads", 2, from_threads),
    ]
}

/// By every kind of function, on the worker that is `steps` away, named in every way.
async fn makes(worker: &Worker, steps: u32) -> Result<()> {
    let to = worker.get_worker_info(after(worker, steps))?.clone();
    let rrefs = [
        worker.remote(&to, sum_of, (1, 2, 3))?,
        worker.remote(to.name.as_str(), sum_later, (1, 2, 3))?,
        worker.remote(to.id, sum_of, (1, 2, 3))?,
    ];
    for rref in &rrefs {
        ensure!(*rref.owner() == to && rref.owner_name() == to.name.as_str());
        ensure!(rref.is_owner() == (steps == 0));
        ensure!(rref.to_here().await? == 6);
        ensure!(rref.to_here().await? == 6, "a copy each time");
        is_confirmed(rref).await?;
    }
    Ok(())
}

/// The owner finds its own value behind the reference, not a copy.
async fn builtin_remote_self(worker: &Worker) -> Result<()> {
    let rref = worker.remote(worker.info(), new_tally, (1,))?;
    rref.created().await?;
    rref.local_value_mut().await?.n += 1;
    let value = rref.local_value().await?;
    ensure!(value.n == 2 && !value.is_copy());
    let copy = rref.to_here().await?;
    ensure!(copy.n == 2 && copy.is_copy());
    Ok(())
}

async fn makes_many(worker: &Worker, steps: u32) -> Result<()> {
    let made: Result<Vec<_>, _> =
        (0..100).map(|n| worker.remote(after(worker, steps), sum_later, (n, n, n))).collect();
    let made = made?;
    for (n, rref) in (0..).zip(&made) {
        ensure!(rref.to_here().await? == 3 * n);
    }
    ensure!(made[0] != made[1], "each is a value of its own");
    Ok(())
}

async fn nested_remote(worker: &Worker) -> Result<()> {
    for to in [after(worker, 0), after(worker, 1), after(worker, 2)] {
        let rref = worker.remote(after(worker, 1), made_by, (to, 40))?;
        ensure!(rref.to_here().await? == 42);
    }
    Ok(())
}

/// A function that does not return is an error each time, wherever it runs.
async fn remote_with_exception(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, panics, ())?;
        for _ in 0..3 {
            let error = not_made(rref.to_here().await)?;
            ensure!(error.to_string().contains("no value today"), "{error}");
        }
        not_made(rref.created().await)?;
        let other = worker.remote(to, panics, ())?;
        not_made(other.to_here().await)?;
        ensure!(worker.remote(to, sum_of, (1, 2, 3))?.to_here().await? == 6, "the worker lives on");
    }
    Ok(())
}

/// The function's own error arrives as what it is, each time.
async fn remote_throw(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        ensure!(worker.remote(to, refuse_or_inc, (1,))?.to_here().await? == 2);
        let rref = worker.remote(to, refuse_or_inc, (2,))?;
        for outcome in [rref.to_here().await.map(|_| ()), rref.created().await, rref.created().await] {
            let error = not_made(outcome)?;
            ensure!(error.creation_error::<Refused>() == Some(Refused { n: 2 }), "{error}");
            ensure!(error.creation_error::<String>().is_none(), "{error}");
        }
    }
    Ok(())
}

/// What is known to be wrong is an error at once.
async fn remote_to_nobody(worker: &Worker) -> Result<()> {
    let Err(error) = worker.remote("worker2", sum_of, (1, 2, 3)) else { bail!("there is no worker2") };
    ensure!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })), "{error}");
    ensure!(error.to_string().contains("worker0, worker1"), "{error}");
    Ok(())
}

/// The same on plain threads, with a thread for each.
async fn from_threads(worker: &Worker) -> Result<()> {
    let work = |n: i64| {
        let worker = worker.clone();
        move || -> Result<i64> {
            let rref = worker.remote("worker1", new_tally, (n,))?;
            rref.rpc_sync().add(1)?;
            let Err(error) = rref.local_value().wait() else { bail!("it is not here") };
            ensure!(matches!(error, ReferenceError::NotOwner { .. }), "{error}");
            let own = RRef::new(&worker, n);
            ensure!(*own.local_value().wait()? == n);
            reference_error(rref.remote().divided_by(0)?.to_here().wait())?;
            Ok(rref.to_here().wait()?.n)
        }
    };
    let threads: Vec<_> = (0..8).map(|n| std::thread::spawn(work(n))).collect();
    for (n, thread) in (0..).zip(threads) {
        let outcome = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        ensure!(outcome? == n + 1);
    }
    Ok(())
}
