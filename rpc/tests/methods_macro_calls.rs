//! What calls through the three proxies do: where a method runs, beside which others, and how it ends.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier as ThreadBarrier};

use rpc::prelude::*;
use rpc::{Failure, HandlerRan, MemoryStore};
use tokio::sync::{Barrier as TaskBarrier, Semaphore};

/// The value most methods are called on. It does not travel: what is seen of it is seen where it is.
struct Counter {
    n: u64,
    /// Two methods have to reach it.
    threads: ThreadBarrier,
    tasks: TaskBarrier,
    is_writing: Arc<AtomicBool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Overflow {
    over: u64,
}

/// What a method takes that is handed more than plain data.
#[derive(Serialize, Deserialize)]
struct Order {
    others: Vec<RRef<Counter>>,
    named: Option<(String, RRef<Counter>)>,
}

#[rpc::methods]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    async fn add_later(&mut self, by: u64) -> u64 {
        let _alone = self.alone();
        tokio::task::yield_now().await;
        self.n += by;
        self.n
    }

    fn add_slowly(&mut self, by: u64) -> u64 {
        let _alone = self.alone();
        std::thread::yield_now();
        self.n += by;
        self.n
    }

    fn checked(&mut self, by: u64) -> Result<u64, Overflow> {
        match self.n.checked_add(by) {
            Some(_) => Ok(self.add(by)),
            None => Err(Overflow { over: by - (u64::MAX - self.n) }),
        }
    }

    async fn checked_later(&mut self, by: u64) -> Result<u64, Overflow> {
        tokio::task::yield_now().await;
        self.checked(by)
    }

    async fn value(&self) -> u64 {
        assert!(!self.is_writing.load(Ordering::SeqCst), "beside one that writes");
        self.n
    }

    #[rpc(inline)]
    fn peek(&self) -> u64 {
        assert!(!self.is_writing.load(Ordering::SeqCst), "beside one that writes");
        self.n
    }

    fn meet_on_threads(&self) -> bool {
        self.threads.wait().is_leader()
    }

    async fn meet_in_tasks(&self) -> bool {
        self.tasks.wait().await.is_leader()
    }

    fn spoil(&mut self) -> u64 {
        self.n = 7;
        panic!("spoiled by {}", self.n);
    }

    async fn spoil_later(&mut self) -> u64 {
        tokio::task::yield_now().await;
        self.spoil()
    }

    #[rpc(inline)]
    fn spoil_in_place(&mut self) -> u64 {
        self.spoil()
    }

    async fn fill(&self, order: Order) -> Result<u64, CallError> {
        let mut sum = self.n;
        for other in &order.others {
            sum += other.rpc_async().value().await?;
        }
        match order.named {
            Some((name, other)) if name == "last" => Ok(sum + other.rpc_async().peek().await?),
            _ => Ok(sum),
        }
    }

    fn pass(&self, other: RRef<Counter>) -> RRef<Counter> {
        other
    }

    fn ask_and_wait(&self, whom: String) -> Result<String, CallError> {
        Worker::current().rpc_sync(&whom, own_name, ())
    }

    #[rpc(inline)]
    fn ask_and_wait_in_place(&self, whom: String) -> Result<String, CallError> {
        Worker::current().rpc_sync(&whom, own_name, ())
    }

    async fn add_through(&mut self, itself: RRef<Counter>) -> Result<u64, CallError> {
        itself.rpc_async().add(1).await
    }

    async fn read_through(&self, itself: RRef<Counter>) -> Result<u64, CallError> {
        itself.rpc_async().value().await
    }

    fn scaled(&self, tensor: Tensor) -> Tensor {
        let values: Vec<f32> =
            tensor.as_slice().expect("f32").iter().map(|v: &f32| v * self.n as f32).collect();
        Tensor::from_vec(values, tensor.shape()).expect("as many as before")
    }

    fn worker(&self) -> String {
        own_name()
    }

    #[rpc(skip)]
    fn of(n: u64) -> Self {
        let (threads, tasks) = (ThreadBarrier::new(2), TaskBarrier::new(2));
        Self { n, threads, tasks, is_writing: Arc::default() }
    }

    /// Fails if another method is writing, as long as what it returns lives.
    #[rpc(skip)]
    fn alone(&self) -> Alone {
        assert!(!self.is_writing.swap(true, Ordering::SeqCst), "beside one that writes");
        Alone(Arc::clone(&self.is_writing))
    }
}

/// While it lives, a method of the value writes.
struct Alone(Arc<AtomicBool>);

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[rpc::function]
fn own_name() -> String {
    Worker::current().name().to_owned()
}

/// Gives out a reference to a value of the worker that runs this.
#[rpc::function]
fn open_counter(n: u64) -> RRef<Counter> {
    RRef::new_opaque(&Worker::current(), Counter::of(n))
}

/// Workers of one job in this process.
struct Job {
    workers: Vec<Worker>,
}

impl Job {
    async fn start(world_size: u32) -> Self {
        let store = Arc::new(MemoryStore::default());
        let start = |rank| {
            let builder = Worker::builder_named_by_rank().rank(rank).world_size(world_size);
            tokio::spawn(builder.store(store.clone()).init())
        };
        let starting: Vec<_> = (0..world_size).map(start).collect();
        let mut workers = Vec::new();
        for started in starting {
            workers.push(started.await.expect("no panic").expect("it starts"));
        }
        Self { workers }
    }

    /// A counter of `owner` that the first worker refers to.
    async fn counter(&self, owner: &str, n: u64) -> RRef<Counter> {
        self.workers[0].rpc_async(owner, open_counter, (n,)).await.expect("a counter")
    }

    async fn end(self) {
        let leave = |worker: Worker| tokio::spawn(async move { worker.shutdown().await });
        for left in self.workers.into_iter().map(leave).collect::<Vec<_>>() {
            left.await.expect("no panic").expect("all are there");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_method_runs_on_the_value_itself() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 10).await;
    assert_eq!(counter.rpc_async().add(5).await, Ok(15));
    assert_eq!(counter.rpc_async().add_later(5).await, Ok(20));
    assert_eq!(counter.rpc_async().value().await, Ok(20));
    assert_eq!(counter.rpc_async().peek().await, Ok(20));
    assert_eq!(counter.rpc_async().worker().await, Ok("worker1".into()));
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_thread_calls_and_waits() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 0).await;
    let thread = std::thread::spawn(move || -> Result<(), CallError> {
        assert_eq!(counter.rpc_sync().add(5)?, 5);
        assert_eq!(counter.rpc_sync().add_later(5)?, 10);
        assert_eq!(counter.rpc_sync().peek()?, 10);
        assert_eq!(counter.remote().add(1)?.to_here().wait()?, 11);
        assert_eq!(counter.rpc_async().value().wait()?, 11);
        Ok(())
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap().unwrap();
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_can_stay_where_it_is_and_be_passed_on() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 1).await;
    let sum: RRef<u64> = counter.remote().add(1).unwrap();
    assert_eq!(sum.owner_name(), "worker1");
    assert_eq!(sum.to_here().await, Ok(2));

    // Of a method that waits, of one that gives nothing, and of one that gives another reference.
    assert_eq!(counter.remote().add_later(1).unwrap().to_here().await, Ok(3));
    let inner = counter.remote().pass(counter.clone()).unwrap().to_here().await.unwrap();
    assert_eq!(inner, counter);
    drop((sum, inner, counter));
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_this_worker_is_called_in_the_same_way() {
    let job = Job::start(2).await;
    let counter = RRef::new_opaque(&job.workers[0], Counter::of(1));
    assert_eq!(counter.rpc_async().add(1).await, Ok(2));
    assert_eq!(counter.remote().add(1).unwrap().to_here().await, Ok(3));
    assert_eq!(counter.rpc_async().worker().await, Ok("worker0".into()));
    assert_eq!(counter.local_value().await.unwrap().n, 3);
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_methods_own_error_arrives_as_what_it_is() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", u64::MAX - 1).await;
    assert_eq!(counter.rpc_async().checked(1).await, Ok(u64::MAX));
    for ended in [
        counter.rpc_async().checked(3).await,
        counter.rpc_async().checked_later(3).await,
        counter.rpc_sync().checked(3),
    ] {
        let error = ended.unwrap_err();
        assert_eq!(error.handler_error(), Some(&Overflow { over: 3 }));
        assert_eq!(error.to().as_str(), "worker1");
    }
    let missing = counter.remote().checked(3).unwrap().to_here().await.unwrap_err();
    let Some(Failure::Reference(error)) = missing.failure() else { panic!("{missing:?}") };
    assert!(matches!(**error, ReferenceError::CreationFailed { .. }), "{error:?}");
    assert!(missing.to_string().contains("Counter::checked"), "{missing}");
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_panic_worker_and_value_live_on() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 1).await;
    for at in 0..3 {
        let spoiled = match at {
            0 => counter.rpc_async().spoil(),
            1 => counter.rpc_async().spoil_later(),
            _ => counter.rpc_async().spoil_in_place(),
        };
        let error = spoiled.await.unwrap_err();
        let Some(Failure::Panicked { message, location }) = error.failure() else { panic!("{error:?}") };
        assert_eq!(message, "spoiled by 7");
        assert!(location.contains("methods_macro_calls.rs"), "{location}");
        assert_eq!(error.handler_ran(), HandlerRan::Yes);
        // What the method had done is there, and the value is free again.
        assert_eq!(counter.rpc_async().add(1).await, Ok(8));
    }
    assert!(counter.remote().spoil().unwrap().to_here().await.is_err());
    assert_eq!(counter.rpc_async().value().await, Ok(7));
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_read_run_side_by_side() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 1).await;
    let [one, other] = [(); 2].map(|()| counter.rpc_async().meet_on_threads().timeout(PATIENCE));
    assert_ne!(one.await.expect("both are there"), other.await.expect("both are there"));
    let [one, other] = [(); 2].map(|()| counter.rpc_async().meet_in_tasks().timeout(PATIENCE));
    assert_ne!(one.await.expect("both are there"), other.await.expect("both are there"));

    // One of another kind, of another worker and by another way.
    let kept = counter.remote().meet_in_tasks().unwrap();
    let other = counter.rpc_async().meet_in_tasks().timeout(PATIENCE);
    assert_ne!(kept.to_here().await.expect("both are there"), other.await.expect("both are there"));
    drop((counter, kept));
    job.end().await;
}

/// How long to wait for what happens at once unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_write_run_alone() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 0).await;
    let calls: Vec<_> = (0..200)
        .map(|at| match at % 4 {
            0 => counter.rpc_async().add_later(1),
            1 => counter.rpc_async().value(),
            2 => counter.rpc_async().add_slowly(1),
            _ => counter.rpc_async().peek(),
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(counter.rpc_async().value().await, Ok(100));
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_travel_in_arguments_and_results() {
    let job = Job::start(3).await;
    let counter = job.counter("worker1", 1).await;
    let far = job.counter("worker2", 20).await;
    let near = RRef::new_opaque(&job.workers[0], Counter::of(300));
    let order = Order { others: vec![far.clone(), near.clone()], named: Some(("last".into(), far.clone())) };
    assert_eq!(counter.rpc_async().fill(order).await, Ok(341));

    let back = counter.rpc_async().pass(near.clone()).await.unwrap();
    assert_eq!(back, near);
    assert_eq!(back.local_value().await.unwrap().n, 300);
    drop((counter, far, near, back));
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tensors_travel_in_arguments_and_results() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 3).await;
    let tensor = Tensor::from_vec(vec![1.0_f32, 2.0], [1, 2]).unwrap();
    let scaled = counter.rpc_async().scaled(tensor).await.unwrap();
    assert_eq!((scaled.shape(), scaled.as_slice::<f32>().unwrap()), (&[1, 2][..], &[3.0, 6.0][..]));
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_method_on_a_thread_may_wait() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 1).await;
    assert_eq!(counter.rpc_async().ask_and_wait("worker0".into()).await, Ok("worker0".into()));
    let error = counter.rpc_async().ask_and_wait_in_place("worker0".into()).await.unwrap_err();
    let inner = error.handler_error().expect("the method passes on what it got");
    assert_eq!(inner.failure(), Some(&Failure::WouldBlock));
    drop(counter);
    job.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_would_wait_for_itself_is_told_so() {
    let job = Job::start(2).await;
    let counter = job.counter("worker1", 1).await;
    let error = counter.rpc_async().add_through(counter.clone()).timeout(PATIENCE).await.unwrap_err();
    let inner = error.handler_error().and_then(CallError::failure).expect("the method passes on what it got");
    let Failure::Reference(inner) = inner else { panic!("{inner:?}") };
    assert!(matches!(**inner, ReferenceError::WouldDeadlock { .. }), "{inner:?}");
    assert_eq!(counter.rpc_async().read_through(counter.clone()).timeout(PATIENCE).await, Ok(1));
    drop(counter);
    job.end().await;
}

/// Papers are stamped at one desk at a time, of all that there are.
#[derive(Serialize, Deserialize)]
struct Desk {
    signed: u64,
}

/// What each stamping waits for.
static STAMPS: Semaphore = Semaphore::const_new(0);

#[rpc::methods]
impl Desk {
    #[rpc(function = stamp, max_concurrency = 1, max_waiting = 2)]
    async fn stamp(&self) -> u64 {
        STAMPS.acquire().await.expect("nobody closes it").forget();
        self.signed
    }

    fn sign(&mut self) -> u64 {
        self.signed += 1;
        self.signed
    }
}

#[rpc::function]
fn open_desk() -> RRef<Desk> {
    RRef::new_opaque(&Worker::current(), Desk { signed: 0 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_a_method_is_for_all_values_and_ways_to_call_it_and_who_waits_keeps_no_value() {
    let job = Job::start(2).await;
    let worker = &job.workers[0];
    let desk = async || worker.rpc_async("worker1", open_desk, ()).await.expect("a desk");
    let (first, second) = (desk().await, desk().await);
    let running = first.rpc_async().stamp();
    let waiting = second.remote().stamp().unwrap();
    let copied = worker.rpc_async("worker1", stamp, (Desk { signed: 7 },));
    let refused = second.rpc_async().stamp().await.unwrap_err();
    assert_eq!(refused.handler_ran(), HandlerRan::No);
    let Some(Failure::Overloaded { bound, limit: 2 }) = refused.failure() else { panic!("{refused}") };
    assert!(bound.starts_with("max_waiting of ") && bound.ends_with("Desk::stamp"), "{bound}");

    assert_eq!(second.rpc_async().sign().await, Ok(1), "its value is free while a call waits for its turn");
    STAMPS.add_permits(3);
    assert_eq!((running.await, copied.await), (Ok(0), Ok(7)));
    assert_eq!(waiting.to_here().await, Ok(1));
    drop((first, second, waiting));
    job.end().await;
}
