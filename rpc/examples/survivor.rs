//! A program that goes on when workers fail, and the tests that show it does.
//!
//! ```text
//! cargo run -p rpc --example survivor     # three workers in one process, over sockets
//! cargo test -p rpc --example survivor    # the same program, with everything going wrong
//! ```
//! Rank 0 has the others count the words of texts. A worker that refuses, is too slow or has died does not stop it: the
//! text goes to the next one. To count again is harmless, so it does not ask whether a lost call has run.

use std::sync::Arc;
use std::time::Duration;

use rpc::MemoryStore;
use rpc::prelude::*;

/// How long one worker may take for one text.
const PATIENCE: Duration = Duration::from_secs(1);

/// Quick, so it runs where it arrives; on a thread of its own a paused clock would run ahead of it.
#[rpc::function(inline)]
fn words(text: String) -> usize {
    text.split_whitespace().count()
}

/// The words of all `texts`, counted by the other workers. Fails if none of them counts one of the texts.
async fn count(worker: &Worker, texts: &[&str]) -> Result<usize, CallError> {
    let others: Vec<_> = worker.workers().filter(|other| other.id != worker.id()).cloned().collect();
    let mut sum = 0;
    for (at, text) in texts.iter().enumerate() {
        let mut counted = None;
        for turn in 0..others.len() {
            let to = &others[(at + turn) % others.len()];
            counted = Some(worker.rpc_async(to, words, ((*text).to_owned(),)).timeout(PATIENCE).await);
            if matches!(counted, Some(Ok(_))) {
                break;
            }
        }
        sum += counted.transpose()?.unwrap_or_default();
    }
    Ok(sum)
}

/// 3 + 1 + 2 + 4 words.
const TEXTS: [&str; 4] = ["to be or", "not", "to be", "that is the question"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(MemoryStore::default());
    let worker = |rank| Worker::builder_named_by_rank().rank(rank).world_size(3).store(store.clone()).init();
    let (first, second, third) = tokio::try_join!(worker(0), worker(1), worker(2))?;
    println!("{} words", count(&first, &TEXTS).await?);
    tokio::try_join!(first.shutdown(), second.shutdown(), third.shutdown())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rpc_testing::{Fault, Faults, Message, TestCluster};

    use super::*;

    /// Three workers of this program over a network in memory, on tokio's clock.
    async fn cluster(faults: &Faults) -> TestCluster<Worker> {
        let store = Arc::new(MemoryStore::default());
        let start = |place: rpc_testing::Place| {
            let builder = Worker::builder_named_by_rank().rank(place.rank).world_size(place.world_size);
            builder.store(store.clone()).backends(place.backends).variables(|_| None).init()
        };
        TestCluster::builder(3).faults(faults).start(start).await.expect("a cluster in memory starts")
    }

    /// Counts under `fault`, which has to happen.
    async fn counted_under(fault: Fault) -> Result<usize, CallError> {
        let faults = Faults::seeded(7);
        faults.add(fault);
        let counted = count(&cluster(&faults).await[0], &TEXTS).await;
        faults.assert_fired();
        counted
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_refuses_is_passed_over() {
        assert_eq!(counted_under(Fault::fail().on(Message::Call).to("worker1")).await, Ok(10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_lost_or_late_is_asked_for_elsewhere() {
        assert_eq!(counted_under(Fault::drop().replies().from("worker1").every(2)).await, Ok(10));
        assert_eq!(counted_under(Fault::delay(2 * PATIENCE).to("worker1").first(1)).await, Ok(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_that_is_counted_twice_counts_once() {
        assert_eq!(counted_under(Fault::duplicate().function(words)).await, Ok(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_dies_or_a_link_that_ends_is_survived() {
        assert_eq!(counted_under(Fault::kill_receiver().to("worker2").nth(2)).await, Ok(10));
        assert_eq!(counted_under(Fault::cut().to("worker1").every(2)).await, Ok(10));
    }

    #[tokio::test(start_paused = true)]
    async fn with_nobody_left_it_fails() {
        let error = counted_under(Fault::fail()).await.expect_err("all of them refuse");
        assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_sat_out_on_the_other_side() {
        let faults = Faults::seeded(7);
        let cluster = cluster(&faults).await;
        cluster.partition(&["worker0"], &["worker1"]);
        assert_eq!(count(&cluster[0], &TEXTS).await, Ok(10));
        cluster.heal();
        assert_eq!(count(&cluster[0], &TEXTS).await, Ok(10));
    }
}
