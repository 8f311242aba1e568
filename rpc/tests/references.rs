//! References as a program writes them.

use rpc::prelude::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    n: u64,
}

#[rpc::function]
fn new_counter(start: u64) -> Counter {
    Counter { n: start }
}

#[rpc::methods]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    async fn value(&self) -> u64 {
        self.n
    }
}

#[rpc::function]
async fn read_counter(counter: RRef<Counter>) -> Result<u64, CallError> {
    counter.rpc_async().value().await
}

/// `n` workers of one job in this process.
async fn job(n: u32) -> Vec<Worker> {
    let store = std::sync::Arc::new(rpc::MemoryStore::default());
    let start = |rank| {
        let builder = Worker::builder_named_by_rank().rank(rank).world_size(n).store(store.clone());
        tokio::spawn(builder.init())
    };
    let starting: Vec<_> = (0..n).map(start).collect();
    let mut workers = Vec::new();
    for started in starting {
        workers.push(started.await.expect("no panic").expect("it starts"));
    }
    workers
}

async fn leave(workers: Vec<Worker>) {
    let leaving: Vec<_> =
        workers.into_iter().map(|worker| tokio::spawn(async move { worker.shutdown().await })).collect();
    for left in leaving {
        left.await.expect("no panic").expect("all leave");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_is_made_changed_copied_and_read_by_a_third() -> Result<(), CallError> {
    let workers = job(3).await;
    let worker = &workers[0];
    let counter: RRef<Counter> = worker.remote("worker1", new_counter, (10,))?;
    assert_eq!(counter.rpc_async().add(5).await?, 15);
    let n: u64 = counter.rpc_async().value().await?;
    assert_eq!(n, 15);
    let copy: Counter = counter.to_here().await?;
    assert_eq!(copy, Counter { n: 15 });
    let via_third: u64 = worker.rpc_async("worker2", read_counter, (counter.clone(),)).await.unwrap();
    assert_eq!(via_third, 15);
    let sum: RRef<u64> = counter.remote().add(1)?;
    assert_eq!(sum.to_here().await?, 16);
    drop((counter, sum));
    leave(workers).await;
    Ok(())
}
