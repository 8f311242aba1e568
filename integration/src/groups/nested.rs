//! Handlers that call: in chains, in loops back to their caller, in numbers, and with threads that wait.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use serde::ser::SerializeTuple;

/// Calls of the chains that must not run out of threads: more than the threads of any fixed pool.
const AT_ONCE: usize = 200;
const DEPTH: u32 = 3;

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// The worker after the current one.
fn next(worker: &Worker) -> i64 {
    i64::from(worker.id().0 + 1) % worker.world_size() as i64
}

/// Adds on `to`, whoever that is.
#[rpc::function]
async fn add_on(to: String, a: i64, b: i64) -> Result<i64, String> {
    Worker::current().rpc_async(&to, add, (a, b)).await.map_err(|error| error.to_string())
}

/// As [`add_on`], with a thread that waits.
#[rpc::function]
fn add_on_blocking(to: String, a: i64, b: i64) -> Result<i64, String> {
    Worker::current().rpc_sync(&to, add, (a, b)).map_err(|error| error.to_string())
}

/// Goes from worker to worker until `left` is 0, and returns the ranks on its way.
#[rpc::function]
async fn wander(left: u32) -> Result<Vec<u32>, String> {
    let worker = Worker::current();
    let mut ranks = vec![worker.id().0];
    if left > 0 {
        let rest = worker.rpc_async(next(&worker), wander, (left - 1,)).await;
        ranks.extend(rest.map_err(|error| error.to_string())?);
    }
    Ok(ranks)
}

/// Splits in two calls to the next worker at each of `depth` levels; returns how many leaves there were.
#[rpc::function]
async fn tree(depth: u32) -> Result<u64, String> {
    if depth == 0 {
        return Ok(1);
    }
    let worker = Worker::current();
    let branch = || worker.rpc_async(next(&worker), tree, (depth - 1,));
    let (left, right) = (branch(), branch());
    let left = left.await.map_err(|error| error.to_string())?;
    Ok(left + right.await.map_err(|error| error.to_string())?)
}

/// `depth` levels, each of which occupies a thread that waits for the next.
#[rpc::function]
fn nest(depth: u32) -> Result<u32, String> {
    if depth == 0 {
        return Ok(0);
    }
    let worker = Worker::current();
    let below =
        worker.rpc_sync(next(&worker), nest, (depth - 1,)).map_err(|error| format!("{depth}: {error}"))?;
    Ok(below + 1)
}

#[rpc::function]
async fn blocks_in_async() -> Option<String> {
    let worker = Worker::current();
    worker.rpc_sync(next(&worker), add, (1, 2)).err().map(|error| error.to_string())
}

#[rpc::function]
async fn light(n: u64) -> u64 {
    n
}

/// The product of a square matrix with itself.
#[rpc::function]
fn square(matrix: Tensor) -> Result<Tensor, String> {
    let side = matrix.shape()[0];
    let values = matrix.as_slice::<f32>().map_err(|error| error.to_string())?;
    let mut product = vec![0.0_f32; side * side];
    for row in 0..side {
        for inner in 0..side {
            let factor = values[row * side + inner];
            for column in 0..side {
                product[row * side + column] += factor * values[inner * side + column];
            }
        }
    }
    Tensor::from_vec(product, [side, side]).map_err(|error| error.to_string())
}

/// A value that makes a call while it is written: its tensor travels twice, and what another worker made of it between.
struct Asking {
    worker: Worker,
    own: Tensor,
}

impl Serialize for Asking {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut written = to.serialize_tuple(3)?;
        written.serialize_element(&self.own)?;
        let squared = self.worker.rpc_sync(next(&self.worker), square, (self.own.clone(),));
        written.serialize_element(&squared.map_err(serde::ser::Error::custom)?)?;
        written.serialize_element(&self.own)?;
        written.end()
    }
}

/// What it is where it arrives.
#[derive(Serialize)]
#[serde(untagged)]
enum Asked {
    Asking(Asking),
    Answered(Tensor, Tensor, Tensor),
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (first, squared, last) = Deserialize::deserialize(from)?;
        Ok(Self::Answered(first, squared, last))
    }
}

#[rpc::function]
fn as_it_came(asked: Asked) -> Option<(Tensor, Tensor, Tensor)> {
    match asked {
        Asked::Answered(first, squared, last) => Some((first, squared, last)),
        Asked::Asking(_) => None,
    }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("nested::nested_rpc", 3, nested_rpc),
        Scenario::on_all("nested::nested_blocking", 3, nested_blocking),
        Scenario::on_all("nested::blocking_in_an_async_handler_is_refused", 2, blocking_in_async),
        Scenario::on_all("nested::multi_layer_nested_async_rpc", 4, multi_layer),
        Scenario::on_all("nested::nested_tree", 3, nested_tree),
        Scenario::on_all("nested::nested_pickle", 3, nested_pickle).plain(),
        Scenario::on_all("nested::stress_light_rpc", 3, stress_light),
        Scenario::on_all("nested::stress_heavy_rpc", 3, stress_heavy),
        Scenario::on_first("nested::two_hundred_blocking_three_deep", 2, many_blocking),
        Scenario::on_all("nested::two_hundred_blocking_three_deep_from_all", 3, many_blocking),
    ]
}

/// To another worker and back to the caller, and to a third.
async fn nested_rpc(worker: &Worker) -> Result<()> {
    let to = next(worker);
    for via in ["worker0", "worker1", "worker2"] {
        ensure!(worker.rpc_async(to, add_on, (via.into(), 1, 2)).await? == 3);
    }
    Ok(())
}

async fn nested_blocking(worker: &Worker) -> Result<()> {
    let to = next(worker);
    for via in ["worker0", "worker1", "worker2"] {
        ensure!(worker.rpc_async(to, add_on_blocking, (via.into(), 1, 2)).await? == 3);
        // This runtime has threads to spare, so waiting on one of them is fine.
        ensure!(worker.rpc_sync(to, add_on_blocking, (via.into(), 1, 2))? == 3);
    }
    Ok(())
}

/// It would stop the loop that brings the reply, so it is an error that says what to do instead.
async fn blocking_in_async(worker: &Worker) -> Result<()> {
    let text = worker.rpc_async(next(worker), blocks_in_async, ()).await?;
    ensure!(text.as_ref().is_some_and(|text| text.contains("await rpc_async instead")), "{text:?}");
    Ok(())
}

async fn multi_layer(worker: &Worker) -> Result<()> {
    const LAYERS: u32 = 40;
    let first = next(worker) as u32;
    let ranks = worker.rpc_async(next(worker), wander, (LAYERS,)).await;
    let ranks = ranks.map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(ranks == (0..=LAYERS).map(|step| (first + step) % 4).collect::<Vec<_>>());
    Ok(())
}

async fn nested_tree(worker: &Worker) -> Result<()> {
    ensure!(worker.rpc_async(next(worker), tree, (8,)).await? == 256);
    Ok(())
}

/// The tensors of the inner call are not those of the outer one.
async fn nested_pickle(worker: &Worker) -> Result<()> {
    let own = Tensor::from_vec(vec![0.0_f32, 1.0, 2.0, 3.0], [2, 2])?;
    for to in 0..3 {
        let asking = Asked::Asking(Asking { worker: worker.clone(), own: own.clone() });
        let (first, squared, last) =
            worker.rpc_async(to, as_it_came, (asking,)).await?.context("an answer")?;
        ensure!(first == own && last == own, "{first:?} {last:?}");
        ensure!(squared.as_slice::<f32>()? == [2.0, 3.0, 6.0, 11.0], "{squared:?}");
    }
    Ok(())
}

async fn stress_light(worker: &Worker) -> Result<()> {
    const CALLS: u64 = 1000;
    let calls: Vec<_> = (0..CALLS).map(|n| worker.rpc_async(next(worker), light, (n,))).collect();
    for (n, call) in (0..).zip(calls) {
        ensure!(call.await? == n);
    }
    Ok(())
}

async fn stress_heavy(worker: &Worker) -> Result<()> {
    const SIDE: usize = 100;
    let matrix = Tensor::from_vec(vec![1.0_f32; SIDE * SIDE], [SIDE, SIDE])?;
    let calls: Vec<_> = (0..20).map(|_| worker.rpc_async(next(worker), square, (matrix.clone(),))).collect();
    for call in calls {
        let product = call.await?;
        ensure!(product.as_slice::<f32>()?.iter().all(|value| *value == SIDE as f32));
    }
    Ok(())
}

/// What a pool of fixed size does not survive: every thread waits for a call that needs a thread.
async fn many_blocking(worker: &Worker) -> Result<()> {
    let calls: Vec<_> = (0..AT_ONCE)
        .map(|_| worker.rpc_async(next(worker), nest, (DEPTH,)).timeout(Duration::from_secs(30)))
        .collect();
    for call in calls {
        ensure!(call.await? == DEPTH);
    }
    Ok(())
}
