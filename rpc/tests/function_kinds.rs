//! Kinds of remote functions beyond plain ones: associated functions, methods by value, instances of generic functions,
//! and functions that return a future.

// The expansion must be usable in crates that forbid all of this.
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]

use std::ops::Add;
use std::pin::Pin;

use rpc::prelude::*;
use rpc::rpc_core::{BoxFuture, FunctionTable, RemoteFunction};
use rpc_testing::Cluster;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    n: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Overflow;

#[rpc::methods]
impl Counter {
    /// Starts to count.
    #[rpc(function = new_counter)]
    fn new(start: u64) -> Self {
        Self { n: start }
    }

    #[rpc(function = largest, inline)]
    fn largest(of: Vec<Self>) -> Option<Self> {
        of.into_iter().max_by_key(|counter| counter.n)
    }

    // The value travels as the first argument; through a reference it stays where it is.
    #[rpc(function = plus)]
    fn plus(&self, value: u64) -> u64 {
        self.n + value
    }

    #[rpc(function = advanced, idempotent, max_concurrency = 2, max_waiting = 5)]
    fn advanced(mut self, (by, times): (u64, u64)) -> Result<Self, Overflow> {
        self.n = by.checked_mul(times).and_then(|more| self.n.checked_add(more)).ok_or(Overflow)?;
        Ok(self)
    }

    #[rpc(function = later)]
    async fn later(&self) -> u64 {
        tokio::task::yield_now().await;
        self.n
    }

    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }
}

/// Any number of them.
#[rpc::function(instances(i64, f64, u128))]
fn total<T: Add<Output = T> + Default>(values: Vec<T>) -> T
where
    T: Clone,
{
    values.into_iter().fold(T::default(), |sum, value| sum + value)
}

/// Several parameters, a projection and a nested use.
#[rpc::function(instances((u8, u16), (bool, Vec<u8>)), name = "pairs")]
pub async fn swap<A: Send + 'static, B>(pair: (A, B)) -> Result<(B, A), Vec<A>>
where
    B: Send + 'static,
{
    std::future::ready(()).await;
    Ok((pair.1, pair.0))
}

/// Visible from above.
pub mod inner {
    /// Parses.
    #[rpc::function(instances(u8, f32), inline)]
    pub(super) fn parse<T: std::str::FromStr>(text: String) -> Option<T> {
        text.parse::<T>().ok()
    }
}

#[rpc::function]
async fn add(a: f64, b: f64) -> f64 {
    a + b
}

// What `rpc.functions.async_execution` is for: the call of another worker is the result.
#[rpc::function]
fn add_on(to: String, a: f64, b: f64) -> RpcFuture<f64> {
    Worker::current().rpc_async(&to, add, (a, b))
}

#[rpc::function]
fn counted(to: String, start: u64) -> RpcFuture<Counter> {
    rpc::Client::current().expect("it runs on a worker").rpc_async(&to, new_counter, (start,))
}

#[rpc::function]
fn add_chained(to: String, numbers: Vec<f64>) -> impl Future<Output = Result<f64, CallError>> + Send {
    let worker = Worker::current();
    let step = async move |sum: f64, number: f64| worker.rpc_async(&to, add, (sum, number)).await;
    async move {
        let mut sum = 0.0;
        for number in numbers {
            sum = step(sum, number).await?;
        }
        Ok(sum)
    }
}

#[rpc::function]
fn boxed(n: u64) -> BoxFuture<'static, u64> {
    Box::pin(async move { n * 2 })
}

#[rpc::function]
fn pinned(n: u64) -> Pin<Box<dyn Future<Output = Option<u64>> + Send>> {
    Box::pin(std::future::ready(n.checked_sub(1)))
}

/// What a callback makes of another worker's call.
#[rpc::function]
fn halved(to: String, a: f64, b: f64) -> SharedFuture<f64> {
    Worker::current().rpc_async(&to, add, (a, b)).map(|sum| sum / 2.0)
}

async fn cluster() -> Cluster {
    Cluster::new(3).await
}

#[tokio::test]
async fn associated_functions_are_called_by_the_names_they_were_given() {
    let cluster = cluster().await;
    let client = cluster.client("worker0");
    let counter = client.rpc_async("worker1", new_counter, (4,)).await.unwrap();
    assert_eq!(counter, Counter::new(4));
    assert_eq!(new_counter(4), counter);
    let many = vec![Counter { n: 1 }, counter];
    assert_eq!(client.rpc_async("worker1", largest, (many,)).await.unwrap(), Some(Counter { n: 4 }));
    assert_eq!(<new_counter as RemoteFunction>::NAME, "function_kinds::Counter::new");
    assert_eq!(<new_counter as RemoteFunction>::SIGNATURE, "fn(u64) -> Counter");
}

#[tokio::test]
async fn methods_as_functions_take_their_value_along() {
    let cluster = cluster().await;
    let client = cluster.client("worker0");
    let mut counter = Counter::new(7);
    assert_eq!(counter.add(1), 8);
    assert_eq!(client.rpc_async("worker1", plus, (counter.clone(), 2)).await, Ok(10));
    assert_eq!(client.rpc_async("worker1", later, (counter.clone(),)).await, Ok(8));
    assert_eq!(client.rpc_async("worker1", advanced, (counter.clone(), (2, 3))).await, Ok(Counter { n: 14 }));
    let error = client.rpc_async("worker1", advanced, (counter.clone(), (u64::MAX, 2))).await.unwrap_err();
    assert_eq!(error.handler_error(), Some(&Overflow));
    assert_eq!(plus(counter.clone(), 1), counter.plus(1));
    let limit = <advanced as RemoteFunction>::LIMIT.expect("it has one");
    assert_eq!((limit.running_max(), limit.waiting_max()), (2, 5));
    const { assert!(<advanced as RemoteFunction>::IDEMPOTENT && !<plus as RemoteFunction>::IDEMPOTENT) };
}

#[tokio::test]
async fn each_instance_of_a_generic_function_is_a_function_of_its_own() {
    let cluster = cluster().await;
    let client = cluster.client("worker0");
    assert_eq!(client.rpc_async("worker1", total::<i64>, (vec![1, 2],)).await, Ok(3));
    assert_eq!(client.rpc_async("worker1", total::<f64>, (vec![0.5, 2.0],)).await, Ok(2.5));
    assert_eq!(client.rpc_async("worker1", inner::parse::<u8>, ("300".into(),)).await, Ok(None));
    assert_eq!(client.rpc_async("worker1", inner::parse::<f32>, ("300".into(),)).await, Ok(Some(300.0)));
    let swapped = client.rpc_async("worker1", swap::<bool, Vec<u8>>, ((true, vec![1]),)).await;
    assert_eq!(swapped.unwrap(), (vec![1], true));
    // Here, it is for any type.
    assert_eq!(total::<u8>(vec![1, 2]), 3);
    assert_eq!(total(vec![1_i64, 2]), 3);
    assert_eq!(swap::<u8, u16>((1, 2)).await, Ok((2, 1)));
    assert_eq!(<total<i64> as RemoteFunction>::NAME, "function_kinds::total<i64>");
    assert_eq!(<total<i64> as RemoteFunction>::SIGNATURE, "fn(Vec<i64>) -> i64");
    assert_eq!(<swap<bool, Vec<u8>> as RemoteFunction>::NAME, "pairs<bool,Vec<u8>>");
    assert_eq!(
        <swap<bool, Vec<u8>> as RemoteFunction>::SIGNATURE,
        "async fn((bool, Vec<u8>)) -> Result<(Vec<u8>, bool), Vec<bool>>"
    );
    let table = FunctionTable::linked().unwrap();
    let of_total = table.iter().filter(|entry| entry.name().starts_with("function_kinds::total<"));
    assert_eq!(of_total.count(), 3);
}

#[tokio::test]
async fn a_function_may_return_the_call_of_another_worker() {
    let cluster = rpc_workers().await;
    let worker = &cluster[0];
    assert_eq!(worker.rpc_async("worker1", add_on, ("worker2".into(), 1.0, 2.0)).await, Ok(3.0));
    let counter = worker.rpc_async("worker1", counted, ("worker2".into(), 9)).await;
    assert_eq!(counter, Ok(Counter { n: 9 }));
    let chained = worker.rpc_async("worker1", add_chained, ("worker2".into(), vec![1.0, 2.0, 3.0])).await;
    assert_eq!(chained, Ok(6.0));
    assert_eq!(worker.rpc_async("worker1", halved, ("worker2".into(), 1.0, 2.0)).await, Ok(1.5));

    // What befalls that call is the function's own error.
    let error = worker.rpc_async("worker1", add_on, ("nobody".into(), 1.0, 2.0)).await.unwrap_err();
    let inner = error.handler_error().expect("the function ran");
    assert!(matches!(inner.failure(), Some(Failure::UnknownWorker { .. })), "{inner}");
    for worker in cluster {
        worker.shutdown_with(rpc::Shutdown::Immediate).await.unwrap();
    }
}

#[tokio::test]
async fn futures_are_awaited_however_they_are_spelled() {
    let cluster = cluster().await;
    let client = cluster.client("worker0");
    assert_eq!(client.rpc_async("worker1", boxed, (4,)).await, Ok(8));
    assert_eq!(client.rpc_async("worker1", pinned, (0,)).await, Ok(None));
    assert_eq!(boxed(4).await, 8);
    assert_eq!(pinned(4).await, Some(3));
}

/// Three workers of one job in this process.
async fn rpc_workers() -> Vec<Worker> {
    let store = std::sync::Arc::new(rpc::MemoryStore::default());
    let start = |rank| {
        tokio::spawn(Worker::builder_named_by_rank().rank(rank).world_size(3).store(store.clone()).init())
    };
    let mut workers = Vec::new();
    for starting in (0..3).map(start).collect::<Vec<_>>() {
        workers.push(starting.await.expect("no panic").expect("it starts"));
    }
    workers
}
