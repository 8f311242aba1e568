//! Calls between workers.

use std::sync::Arc;

use rpc::FunctionTable;
use rpc::prelude::*;

use crate::support::{
    block_on, builder, cluster, cluster_with, dedicated_cluster, shut_down, shut_down_blocking,
};

#[rpc::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

/// The reasons why [`word_count`] fails.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ParseError {
    at: usize,
}

#[rpc::function]
async fn word_count(text: String) -> Result<usize, ParseError> {
    match text.find('\0') {
        Some(at) => Err(ParseError { at }),
        None => Ok(text.split_whitespace().count()),
    }
}

#[rpc::function]
fn who_are_you() -> WorkerInfo {
    Worker::current().info().clone()
}

#[rpc::function]
fn who_calls() -> WorkerId {
    CallContext::current().unwrap().caller()
}

#[rpc::function]
fn sum_of(tensor: Tensor) -> f32 {
    tensor.as_slice::<f32>().unwrap().iter().sum()
}

/// Goes through every worker once, blocking.
#[rpc::function]
fn names_from(rank: i64) -> Vec<String> {
    let worker = Worker::current();
    let mut names = vec![worker.name().to_owned()];
    if (rank as usize) + 1 < worker.world_size() {
        names.extend(worker.rpc_sync(rank + 1, names_from, (rank + 1,)).unwrap());
    }
    names
}

#[rpc::function]
async fn never() {
    std::future::pending().await
}

#[rpc::function]
async fn blocks_in_async() -> String {
    Worker::current().rpc_sync(0, add, (1.0, 2.0)).unwrap_err().to_string()
}

/// The call sites of the design.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_and_blocking_handlers_are_called_by_name_with_typed_results() {
    let [worker, other] = cluster().await;
    let sum: f64 = worker.rpc_async("worker1", add, (1.0, 2.0)).await.unwrap();
    assert_eq!(sum, add(1.0, 2.0));
    let sum: f64 =
        worker.rpc_async("worker1", add, (1.0, 2.0)).timeout(Duration::from_secs(10)).await.unwrap();
    assert_eq!(sum, 3.0);
    let words: usize = worker.rpc_async("worker1", word_count, ("a b c".into(),)).await.unwrap();
    assert_eq!(words, 3);
    let error: CallError<ParseError> =
        worker.rpc_async("worker1", word_count, ("a\0".into(),)).await.unwrap_err();
    assert_eq!(error.handler_error(), Some(&ParseError { at: 1 }));
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn a_worker_is_given_by_name_rank_or_info() {
    let [worker, other] = cluster().await;
    let info = worker.get_worker_info("worker1").unwrap().clone();
    assert_eq!(&info, other.info());
    let name = info.name.clone();
    for answer in [
        worker.rpc_async("worker1", who_are_you, ()).await,
        worker.rpc_async(&String::from("worker1"), who_are_you, ()).await,
        worker.rpc_async(&name, who_are_you, ()).await,
        worker.rpc_async(1, who_are_you, ()).await,
        worker.rpc_async(other.id(), who_are_you, ()).await,
        worker.rpc_async(&info, who_are_you, ()).await,
    ] {
        assert_eq!(answer.unwrap(), info);
    }
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn an_unknown_worker_is_an_error_that_lists_the_known_ones() {
    let [worker] = cluster().await;
    let error = worker.rpc_async("worker7", add, (1.0, 2.0)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })));
    assert!(error.to_string().contains("worker7") && error.to_string().contains("worker0"), "{error}");
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert!(worker.rpc_async(-1, add, (1.0, 2.0)).await.is_err());
    assert!(worker.rpc_async(1, add, (1.0, 2.0)).await.is_err());
    assert!(worker.get_worker_info(1).unwrap_err().to_string().contains("worker0"));
    shut_down([worker]).await;
}

#[tokio::test]
async fn a_worker_calls_itself_through_the_same_interface() {
    let [worker] = cluster().await;
    assert_eq!(worker.rpc_async("worker0", who_calls, ()).await.unwrap(), worker.id());
    assert_eq!(worker.rpc_async(0, add, (1.0, 2.0)).await.unwrap(), 3.0);
    shut_down([worker]).await;
}

#[tokio::test]
async fn four_workers_on_one_runtime_all_call_each_other() {
    let workers: [Worker; 4] = cluster().await;
    for from in &workers {
        let calls: Vec<_> = from.workers().map(|to| from.rpc_async(to, who_calls, ())).collect();
        assert_eq!(calls.len(), 4);
        for call in calls {
            assert_eq!(call.await.unwrap(), from.id());
        }
    }
    shut_down(workers).await;
}

#[test]
fn four_workers_with_runtimes_of_their_own_call_each_other_from_plain_threads() {
    let workers: [Worker; 4] = dedicated_cluster();
    std::thread::scope(|scope| {
        for from in &workers {
            scope.spawn(move || {
                for to in from.workers() {
                    assert_eq!(&from.rpc_sync(to, who_are_you, ()).unwrap(), to);
                }
            });
        }
    });
    let names = workers[0].rpc_sync(0, names_from, (0,)).unwrap();
    assert_eq!(names, ["worker0", "worker1", "worker2", "worker3"]);
    shut_down_blocking(workers);
}

#[test]
fn init_calls_and_shutdown_can_be_awaited_on_an_executor_that_is_not_tokio() {
    let store = Arc::default();
    let other = builder(1, 2, &store);
    let other = std::thread::spawn(|| block_on(other.init()));
    let worker = block_on(builder(0, 2, &store).init()).unwrap();
    let other = other.join().unwrap().unwrap();
    assert_eq!(block_on(worker.rpc_async("worker1", add, (1.0, 2.0))).unwrap(), 3.0);
    let leaving = std::thread::spawn(move || block_on(other.shutdown()));
    block_on(worker.shutdown()).unwrap();
    leaving.join().unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_arrives_while_the_caller_s_only_thread_computes() {
    let [busy, other] = cluster_with(|builder| builder.runtime(rpc::IoRuntime::Dedicated)).await;
    // The test's runtime has one thread, which this blocks: what answers is the worker's own.
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        send.send(other.rpc_sync("worker0", add, (1.0, 2.0))).unwrap();
        other
    });
    assert_eq!(receive.recv().unwrap().unwrap(), 3.0);
    drop(busy);
}

#[tokio::test]
async fn tensors_travel_as_arguments() {
    let [worker, other] = cluster().await;
    let tensor = Tensor::from_vec(vec![0.5_f32; 1 << 16], [1 << 8, 1 << 8]).unwrap();
    assert_eq!(worker.rpc_async(1, sum_of, (tensor,)).await.unwrap(), 32_768.0);
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn timeouts_are_per_call_per_handle_and_per_worker() {
    let [worker, other] = cluster().await;
    let short = Duration::from_millis(1);
    assert_eq!(worker.rpc_timeout(), Duration::from_secs(60));
    assert!(worker.rpc_async(1, never, ()).timeout(short).await.unwrap_err().is_timeout());
    assert!(worker.with_timeout(short).rpc_async(1, never, ()).await.unwrap_err().is_timeout());
    let clone = worker.clone();
    clone.set_rpc_timeout(short);
    assert_eq!(worker.rpc_timeout(), short);
    assert!(worker.rpc_async(1, never, ()).await.unwrap_err().is_timeout());
    worker.set_rpc_timeout(Duration::from_secs(60));
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn blocking_in_an_async_handler_is_an_error_and_not_a_deadlock() {
    let [worker, other] = cluster().await;
    let text = worker.rpc_async(1, blocks_in_async, ()).await.unwrap();
    assert!(text.contains("await rpc_async instead"), "{text}");
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn blocking_on_the_only_thread_of_the_runtime_is_an_error_and_not_a_deadlock() {
    let [worker, other] = cluster().await;
    let error = worker.rpc_sync(1, add, (1.0, 2.0)).unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::WouldBlock));
    shut_down([worker, other]).await;
}

#[tokio::test]
async fn the_current_worker_is_known_only_to_handlers() {
    assert!(Worker::try_current().is_none());
    let panic = std::panic::catch_unwind(|| drop(Worker::current())).unwrap_err();
    let text =
        panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
    assert!(text.unwrap().contains("no call of a worker runs on this thread"));
}

#[tokio::test]
async fn only_the_functions_of_the_given_table_are_served() {
    let mut table = FunctionTable::new();
    table.add(add).unwrap();
    let [worker] = cluster_with(|builder| builder.functions(table.clone())).await;
    let names: Vec<_> = worker.functions().iter().map(|function| function.name()).collect();
    assert!(matches!(names[..], [name] if name.ends_with("add")), "{names:?}");
    assert_eq!(worker.rpc_async(0, add, (1.0, 2.0)).await.unwrap(), 3.0);
    let error = worker.rpc_async(0, who_calls, ()).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::UnknownFunction { .. })), "{error}");
    shut_down([worker]).await;
}

#[tokio::test]
async fn debug_info_names_the_worker() {
    let [worker] = cluster().await;
    let info = worker.debug_info();
    let map = info.to_map();
    assert_eq!(map.get("worker").map(String::as_str), Some("worker0 (rank 0)"), "{map:?}");
    assert_eq!(map.get("requests.active").map(String::as_str), Some("0"), "{map:?}");
    shut_down([worker]).await;
}

#[cfg(feature = "collectives")]
#[tokio::test]
async fn debug_info_names_a_barrier_that_is_waited_for() {
    let [worker, other] = cluster().await;
    let barrier = other.barrier(); // its request has been made
    let map = other.debug_info().to_map();
    assert_eq!(map.get("calls.barrier").map(String::as_str), Some("1"), "{map:?}");
    let both = tokio::join!(worker.barrier(), barrier);
    assert_eq!(both, (Ok(()), Ok(())));
    shut_down([worker, other]).await;
}

#[cfg(feature = "json")]
#[tokio::test]
async fn workers_with_different_codecs_understand_each_other() {
    let store = Arc::default();
    let (json, postcard) =
        tokio::join!(builder(0, 2, &store).codec(Arc::new(rpc::Json)).init(), builder(1, 2, &store).init(),);
    let (json, postcard) = (json.unwrap(), postcard.unwrap());
    assert_eq!(json.rpc_async(1, add, (1.0, 2.0)).await.unwrap(), 3.0);
    assert_eq!(postcard.rpc_async(0, add, (1.0, 2.0)).await.unwrap(), 3.0);
    shut_down([json, postcard]).await;
}

#[cfg(feature = "json")]
#[tokio::test]
async fn a_codec_that_the_callee_lacks_is_an_error_that_lists_what_it_has() {
    let store = Arc::default();
    let (json, other) = tokio::join!(
        builder(0, 2, &store).codec(Arc::new(rpc::Json)).init(),
        builder(1, 2, &store).codecs(rpc::Codecs::postcard_only()).init(),
    );
    let (json, other) = (json.unwrap(), other.unwrap());
    let error = json.rpc_async(1, add, (1.0, 2.0)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::UnknownCodec { known: "postcard".into() }));
    shut_down([json, other]).await;
}

#[rpc::function]
fn traceparent() -> Option<String> {
    CallContext::current()?.trace().map(|parent| parent.to_string())
}

#[tokio::test]
async fn a_trace_source_makes_calls_children_of_what_it_says() {
    let parent = rpc::TraceParent::new([1; 16], [2; 8], 1).unwrap();
    let [asks, answers] = cluster_with(|builder| builder.trace_source(move || Some(parent))).await;
    assert_eq!(asks.rpc_async(1, traceparent, ()).await.unwrap(), Some(parent.to_string()));
    shut_down([asks, answers]).await;
}

#[tokio::test]
async fn a_program_says_who_may_call_what() {
    let [asks, decides] = cluster_with(|builder| {
        builder.authorize(|peer: &rpc::WorkerInfo, function: &str| {
            if peer.name.as_str() == "worker0" && function.ends_with("::add") {
                Err("not today")
            } else {
                Ok(())
            }
        })
    })
    .await;
    let error = asks.rpc_async("worker1", add, (1.0, 2.0)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Denied { .. })), "{error}");
    assert!(error.to_string().contains("not today"), "{error}");
    let value = asks.remote("worker1", add, (1.0, 2.0)).unwrap();
    assert!(value.to_here().await.unwrap_err().to_string().contains("not today"));
    assert_eq!(decides.rpc_async("worker0", add, (1.0, 2.0)).await.unwrap(), 3.0, "the other way round");
    drop(value);
    shut_down([asks, decides]).await;
}
