//! Small jobs within this process.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use rpc::prelude::*;
use rpc::{IoRuntime, MemoryStore};

/// Worker `worker{rank}` of a job that meets in `store`.
pub(crate) fn builder(rank: u32, world_size: u32, store: &Arc<MemoryStore>) -> WorkerBuilder {
    Worker::builder(format!("worker{rank}")).rank(rank).world_size(world_size).store(store.clone())
}

/// Starts all workers of a job on this runtime, after `adjust`.
pub(crate) async fn cluster_with<const N: usize>(
    adjust: impl Fn(WorkerBuilder) -> WorkerBuilder,
) -> [Worker; N] {
    let store = Arc::default();
    let starting: Vec<_> =
        (0..N).map(|rank| tokio::spawn(adjust(builder(rank as u32, N as u32, &store)).init())).collect();
    let mut workers = Vec::new();
    for worker in starting {
        workers.push(worker.await.unwrap().unwrap());
    }
    workers.try_into().unwrap()
}

pub(crate) async fn cluster<const N: usize>() -> [Worker; N] {
    cluster_with(|builder| builder).await
}

/// Starts all workers of a job, each with a runtime of its own.
pub(crate) fn dedicated_cluster<const N: usize>() -> [Worker; N] {
    let store = Arc::default();
    let starting: Vec<_> = (0..N)
        .map(|rank| builder(rank as u32, N as u32, &store).runtime(IoRuntime::Dedicated))
        .map(|builder| std::thread::spawn(|| builder.blocking_init()))
        .collect();
    let workers: Vec<Worker> = starting.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
    workers.try_into().unwrap()
}

/// All workers leave together.
pub(crate) async fn shut_down<const N: usize>(workers: [Worker; N]) {
    let leaving = workers.map(|worker| tokio::spawn(async move { worker.shutdown().await }));
    for worker in leaving {
        assert_eq!(worker.await.unwrap().unwrap().lost, []);
    }
}

/// All workers leave together, each on a thread of its own.
pub(crate) fn shut_down_blocking<const N: usize>(workers: [Worker; N]) {
    let leaving = workers.map(|worker| std::thread::spawn(move || worker.shutdown_blocking()));
    for worker in leaving {
        assert_eq!(worker.join().unwrap().unwrap().lost, []);
    }
}

/// An executor that is not tokio.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
