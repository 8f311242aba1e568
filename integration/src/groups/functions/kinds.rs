//! Kinds of functions beyond plain ones, and what a worker says of those that it serves.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::{CallLimit, FunctionTable};

use super::by_call;

/// A class of the user's, in torch's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: i64,
}

#[rpc::methods]
impl Point {
    #[rpc(function = new_point)]
    fn new(x: i64, y: i64) -> Self {
        Self { x, y }
    }

    #[rpc(function = origin, idempotent)]
    fn origin() -> Self {
        Self::new(0, 0)
    }

    /// The value travels along; through a reference it stays where it is.
    #[rpc(function = moved)]
    fn moved(&self, by: i64) -> Self {
        Self::new(self.x + by, self.y + by)
    }

    #[rpc(function = into_pair)]
    fn into_pair(self) -> (i64, i64) {
        (self.x, self.y)
    }
}

#[rpc::function(instances(i64, f64))]
fn total<T: Add<Output = T> + Default>(values: Vec<T>) -> T {
    values.into_iter().fold(T::default(), |sum, value| sum + value)
}

#[rpc::function(inline, instances((i64, String), (String, i64)))]
fn swap<A, B>(pair: (A, B)) -> (B, A) {
    (pair.1, pair.0)
}

#[rpc::function(idempotent, max_concurrency = 3, max_waiting = 5)]
async fn limited() {}

/// What it does is up to the worker: without a body of the worker's own it refuses.
#[rpc::function]
async fn take_number(who: String) -> Result<u64, String> {
    Err(format!("nobody counts for {who} here"))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        by_call("functions::py_class_constructor", 2, constructor),
        by_call("functions::py_class_instance_method", 2, instance_method),
        by_call("functions::py_class_static_method", 2, static_method),
        by_call("functions::generic_instances", 2, generic_instances),
        by_call("functions::listed", 2, listed),
        Scenario::new("functions::async_closure", 2, async_closure),
    ]
}

async fn constructor(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", new_point, (3, 4)).await? == Point { x: 3, y: 4 });
    ensure!(worker.remote("worker1", new_point, (3, 4))?.rpc_async().moved(1).await? == Point::new(4, 5));
    Ok(())
}

async fn instance_method(worker: &Worker) -> Result<()> {
    let point = Point::new(3, 4);
    ensure!(worker.rpc_async("worker1", moved, (point.clone(), 1)).await? == Point::new(4, 5));
    ensure!(worker.rpc_async("worker1", into_pair, (point,)).await? == (3, 4));
    Ok(())
}

async fn static_method(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", origin, ()).await? == Point::origin());
    ensure!(worker.rpc_sync("worker1", origin, ())? == origin());
    Ok(())
}

async fn generic_instances(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async("worker1", total::<i64>, (vec![1, 2],)).await? == 3);
    ensure!(worker.rpc_async("worker1", total::<f64>, (vec![0.5, 1.0],)).await? == 1.5);
    ensure!(worker.rpc_async("worker1", swap::<i64, String>, ((1, "a".into()),)).await? == ("a".into(), 1));
    ensure!(total::<u8>(vec![1, 2]) == 3, "here it is for any type");
    Ok(())
}

/// What a worker serves, as it says itself.
async fn listed(worker: &Worker) -> Result<()> {
    let functions = worker.functions();
    let names: Vec<&str> = functions.iter().map(|function| function.name()).collect();
    ensure!(names.is_sorted(), "{names:?}");
    let find = |end: &str| {
        let mut found = functions.iter().filter(|function| function.name().ends_with(end));
        found.next().with_context(|| format!("{end} is not among {names:?}"))
    };
    let function = find("functions::kinds::limited")?;
    ensure!(function.signature() == "async fn()", "{function:?}");
    ensure!(function.is_idempotent() && function.limit() == Some(CallLimit::new(3).waiting(5)));
    let plain = find("functions::kinds::Point::new")?;
    ensure!(plain.signature() == "fn(i64, i64) -> Point", "{plain:?}");
    ensure!(!plain.is_idempotent() && plain.limit().is_none());
    find("functions::kinds::total<f64>")?;
    Ok(())
}

/// A closure with something of its own stands in for a function's body, on the worker that wants it.
async fn async_closure(part: Part) -> Result<()> {
    let (mut functions, given) = (FunctionTable::linked()?, Arc::new(AtomicU64::new(100)));
    if part.rank == 1 {
        functions.bind(take_number, Arc::clone(&given), async |given, (who,)| {
            tokio::task::yield_now().await;
            match who.as_str() {
                "nobody" => Err("take your place in the queue".to_owned()),
                _ => Ok(given.fetch_add(1, Ordering::SeqCst)),
            }
        })?;
    }
    let worker = part.builder().functions(functions).init().await?;
    for n in 0..3 {
        let number = worker.rpc_async("worker1", take_number, ("me".into(),)).await?;
        // Both workers take numbers.
        ensure!((100 + n..108).contains(&number), "{number}");
    }
    let kept = worker.remote("worker1", take_number, ("me".into(),))?;
    ensure!(kept.to_here().await? > 100, "its value can stay there as well");
    drop(kept);
    let error = worker.rpc_async("worker1", take_number, ("nobody".into(),)).await.err();
    ensure!(error.as_ref().and_then(CallError::handler_error).is_some_and(|text| text.contains("queue")));
    let error = worker.rpc_async("worker0", take_number, ("me".into(),)).await.err();
    ensure!(
        error.as_ref().and_then(CallError::handler_error).is_some_and(|text| text.contains("nobody counts"))
    );
    leave(&worker).await?;
    ensure!(given.load(Ordering::SeqCst) == if part.rank == 1 { 108 } else { 100 });
    Ok(())
}
