//! Callbacks, collections and scopes over calls, and errors that nobody looks at.

use std::fmt::Write as _;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::futures::{FutureError, collect_all, wait_all, wait_all_timeout};
use rpc_core::{CallContext, CallError, Client, Failure};
use rpc_testing::Cluster;

use crate::functions::*;

/// Far above what anything here takes.
const LATE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_callback_may_block_on_calls_though_one_thread_drives_everything() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0).clone();
    let inner = client.clone();
    let sum =
        client.rpc_async("worker1", add, (1, 2)).then(move |sum| inner.rpc_sync("worker1", add, (sum?, 10)));
    assert_eq!(sum.await.unwrap(), 13);
    cluster.assert_idle().await;
}

#[tokio::test]
async fn a_callback_runs_though_nobody_holds_the_future_and_after_the_shutdown() {
    let cluster = Cluster::new(2).await;
    let (said, heard) = sync_channel(8);
    let (again, client) = (said.clone(), cluster.client(0).clone());
    client.rpc_async("worker1", add, (1, 2)).on_done(move |sum| said.send(sum.ok()).unwrap());
    let heard = tokio::task::spawn_blocking(move || (heard.recv_timeout(LATE), heard)).await.unwrap();
    assert_eq!(heard.0.unwrap(), Some(3));
    cluster.shutdown().await.unwrap();
    client.rpc_async("worker1", add, (1, 2)).on_done(move |sum| again.send(sum.ok()).unwrap());
    let heard = tokio::task::spawn_blocking(move || heard.1.recv_timeout(LATE)).await.unwrap();
    assert_eq!(heard.unwrap(), None, "it fails, and the callback hears of it");
}

#[tokio::test]
async fn a_shared_call_is_awaited_by_many_and_its_error_is_the_same_for_all() {
    let cluster = Cluster::new(2).await;
    let sum = cluster.client(0).rpc_async("worker1", add, (1, 2)).shared();
    let twice = (sum.clone(), sum.map(|sum| sum * 2));
    assert_eq!((sum.await.unwrap(), twice.0.await.unwrap(), twice.1.await.unwrap()), (3, 3, 6));
    let lost = cluster.client(0).rpc_async("nobody", add, (1, 2)).shared();
    assert_eq!(lost.clone().await.unwrap_err(), lost.await.unwrap_err());
}

#[tokio::test]
async fn a_callback_belongs_to_the_call_in_which_it_was_given() {
    let cluster = Cluster::new(2).await;
    let context = CallContext::new(rpc_core::WorkerId(7), None);
    let client = cluster.client(0).clone();
    let caller = context.run(|| {
        let own = || CallContext::current().map(|context| context.caller().0);
        client.rpc_async("worker1", add, (1, 2)).then(move |_| Ok::<_, CallError>(own()))
    });
    assert_eq!(caller.await.unwrap(), Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_all_ends_with_the_first_error_and_gives_back_what_is_late() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0).with_timeout(Duration::ZERO);
    assert_eq!(wait_all((0..100).map(|n| client.rpc_async("worker1", add, (n, 1)))).unwrap().len(), 100);
    let late = wait_all_timeout([client.rpc_async("worker1", sleep_ms, (300,))], Duration::from_millis(1));
    late.unwrap_err().await.unwrap();
    let mixed = ["worker1", "nobody"].map(|to| client.rpc_async(to, sleep_ms, (300,)));
    let error = wait_all(mixed).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })), "{error}");
}

#[tokio::test]
async fn waiting_for_many_where_it_would_stop_the_runtime_is_an_error() {
    let cluster = Cluster::new(2).await;
    let calls = || (0..2).map(|n| cluster.client(0).rpc_async("worker1", add, (n, 1)));
    let error = wait_all(calls()).unwrap_err();
    let Some(Failure::Future(why)) = error.failure() else { panic!("{error}") };
    assert_eq!(**why, FutureError::WouldBlock);
    assert_eq!(collect_all(calls()).await.unwrap(), [1, 2]);
    let error = cluster.client(0).promise::<u8, CallError>().1.wait().unwrap_err();
    assert!(error.to_string().contains("await the future instead"), "{error}");
}

#[tokio::test]
async fn a_scope_waits_for_its_calls_and_the_body_goes_first() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    let slow = |client: &Client| client.rpc_async("worker1", sleep_ms, (20,));
    let calls = std::cell::RefCell::new(Vec::new());
    let done: Result<_, CallError> = client
        .scope(async |scope| {
            calls.borrow_mut().push(scope.add(slow(client)));
            calls.borrow_mut().push(scope.rpc_async("worker1", sleep_ms, (20,)));
            Ok(7)
        })
        .await;
    assert_eq!(done.unwrap(), 7);
    assert!(calls.borrow().iter().all(|call| call.is_done()));

    let failed: Result<(), CallError> = client
        .scope(async |scope| {
            calls.borrow_mut().push(scope.add(slow(client)));
            scope.rpc_async("nobody", add, (1, 2));
            Ok(())
        })
        .await;
    assert!(matches!(failed.unwrap_err().failure(), Some(Failure::UnknownWorker { .. })));
    assert!(
        calls.borrow().iter().all(|call| call.is_done()),
        "an error of one does not leave the others behind"
    );

    let failed: Result<(), CallError> = client
        .scope(async |scope| {
            scope.rpc_async("nobody", add, (1, 2));
            Err(CallError::not_made("body", "body", Failure::ShutDown))
        })
        .await;
    assert_eq!(failed.unwrap_err().failure(), Some(&Failure::ShutDown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_of_ordinary_code_blocks_until_its_calls_are_done() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    let sum: Result<i64, CallError> = client.scope_blocking(|scope| {
        let sum = scope.rpc_async("worker1", add, (1, 2));
        scope.rpc_async("worker1", sleep_ms, (20,));
        sum.wait()
    });
    assert_eq!(sum.unwrap(), 3);
    cluster.assert_idle().await;
}

/// Collects the text of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{value:?}");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("nobody panics here").push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn an_error_that_nobody_looks_at_is_logged_once_and_no_other() {
    let warnings = Warnings::default();
    let _logged = tracing::subscriber::set_default(warnings.clone()); // this thread runs everything
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);

    // Looked at, cancelled, ignored, or no error at all.
    client.rpc_async("nobody", add, (1, 2)).await.unwrap_err();
    client.rpc_async("nobody", add, (1, 2)).value().unwrap().unwrap_err();
    drop(client.rpc_async("worker1", sleep_ms, (1,)).cancel_on_drop());
    client.rpc_async("nobody", add, (1, 2)).ignore_errors();
    drop(client.rpc_async("worker1", add, (1, 2)));
    client.rpc_async("nobody", add, (1, 2)).shared().await.unwrap_err();
    assert!(client.rpc_async("nobody", add, (1, 2)).shared().value().is_some());
    assert_eq!(client.rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
    assert_eq!(*warnings.0.lock().unwrap(), Vec::<String>::new());

    drop(client.rpc_async("nobody", add, (1, 2))); // failed before it was dropped
    drop(client.rpc_async("worker1", sleep_ms, (1_000,)).timeout(Duration::from_millis(5))); // fails later
    drop(client.promise::<u8, CallError>());
    let shared = client.rpc_async("nobody", add, (1, 2)).shared();
    assert!(shared.is_done());
    drop((shared.clone(), shared));
    let four = async {
        while warnings.0.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LATE, four).await.expect("all four are logged");
    let texts = warnings.0.lock().unwrap().clone();
    let expected = [
        "add on worker nobody failed",
        "futures.rs",
        "add on worker nobody failed",
        "sleep_ms on worker worker1",
    ];
    assert_eq!(texts.len(), 4, "{texts:#?}");
    for expected in expected {
        assert!(texts.iter().any(|text| text.contains(expected)), "{expected}: {texts:#?}");
    }
    assert!(
        texts.iter().all(|text| text.contains("nobody looked") && text.contains("ignore_errors()")),
        "{texts:#?}"
    );
}
