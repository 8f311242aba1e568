//! Callbacks, promises, collections and scopes, over replies that are completed by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::*;
use crate::error::{CallError, Failure};

/// Far above what anything here takes.
const LATE: Duration = Duration::from_secs(20);

fn soon<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(LATE).expect("in time")
}

fn made<T, E>() -> (Settable<T, E>, SharedFuture<T, E>)
where
    T: Send + Sync + 'static,
    E: From<FutureError> + Send + Sync + 'static,
{
    promise(None, std::panic::Location::caller())
}

#[test]
fn callbacks_run_in_the_order_of_registration_whenever_they_come() {
    let (promise, future) = made::<u32, CallError>();
    let (said, heard) = sync_channel(200);
    let say = |n: u32| {
        let said = said.clone();
        future.on_done(move |value| said.send((n, *value.unwrap())).unwrap());
    };
    (0..100).for_each(say);
    promise.set(7);
    (100..200).for_each(say);
    for n in 0..200 {
        assert_eq!(soon(&heard), (n, 7));
    }
}

#[test]
fn a_callback_does_not_run_on_the_thread_that_sets() {
    let (promise, future) = made::<u32, CallError>();
    let (said, heard) = sync_channel(200);
    let both = Arc::new(Barrier::new(2));
    let meet = Arc::clone(&both);
    future.on_done(move |_| {
        meet.wait(); // would wait for ever where the value is set
        said.send(std::thread::current().id()).unwrap();
    });
    promise.set(7);
    both.wait();
    assert_ne!(soon(&heard), std::thread::current().id());
}

#[test]
fn a_callback_may_register_another_one() {
    let (promise, future) = made::<u32, CallError>();
    let (said, heard) = sync_channel(200);
    let again = future.clone();
    future.on_done(move |_| again.on_done(move |value| said.send(*value.unwrap()).unwrap()));
    promise.set(7);
    assert_eq!(soon(&heard), 7);
}

#[tokio::test]
async fn a_chain_of_callbacks_passes_values_and_errors_on() {
    let (promise, future) = made::<u64, CallError>();
    let mut last = future.clone();
    for _ in 0..50 {
        last = last.map(|n| n + 1);
    }
    promise.set(0);
    assert_eq!(last.await, Ok(50));

    let (promise, future) = made::<u64, String2>();
    let child = future.map(|n| n + 1).then(|result| match result {
        Err(String2(text)) => Ok::<_, CallError>(text.clone()),
        Ok(_) => Ok(String::new()),
    });
    promise.fail(String2("expected".into()));
    assert_eq!(child.await.unwrap(), "expected");
}

#[derive(Clone, Debug, PartialEq)]
struct String2(String);

impl From<FutureError> for String2 {
    fn from(error: FutureError) -> Self {
        Self(error.to_string())
    }
}

#[tokio::test]
async fn a_promise_that_is_dropped_is_an_error_that_names_its_place() {
    let (promise, future) = made::<u64, CallError>();
    drop(promise);
    let error = future.await.unwrap_err();
    assert!(error.to_string().contains("futures/tests.rs"), "{error}");
    let Some(Failure::Future(error)) = error.failure() else { panic!("{error}") };
    assert!(matches!(**error, FutureError::Dropped { .. }));
}

#[tokio::test]
async fn a_callback_that_panics_is_an_error_and_the_next_one_runs() {
    let (promise, future) = made::<u64, FutureError>();
    let failed = future.then(|_| -> Result<(), FutureError> { panic!("no luck") });
    let next = future.map(|n| *n);
    promise.set(1);
    let error = failed.await.unwrap_err();
    let FutureError::Panicked { message, location, .. } = &error else { panic!("{error}") };
    assert_eq!(message, "no luck");
    assert!(location.contains("tests.rs"), "{location}");
    assert_eq!(next.await, Ok(1));
}

#[tokio::test]
async fn many_wait_for_one_and_who_stops_waiting_leaves_nothing() {
    let (promise, future) = made::<u64, CallError>();
    let waiting: Vec<_> = (0..10).map(|_| tokio::spawn(future.clone())).collect();
    let mut stops = future.clone();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(stops.poll_ready(&mut cx).is_pending());
    drop(stops);
    assert!(future.value().is_none() && !future.is_done());
    promise.set(3);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Ok(3));
    }
    assert_eq!(future.value().unwrap(), Ok(&3));
    future.ready().await;
}

#[tokio::test]
async fn a_collection_ends_with_its_first_error_in_time_and_not_before_its_last_value() {
    let (promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| made::<u64, CallError>()).unzip();
    let mut all = tokio::spawn(collect_all(futures));
    for (n, promise) in promises.into_iter().enumerate().rev() {
        assert!(!all.is_finished());
        promise.set(n as u64);
    }
    assert_eq!((&mut all).await.unwrap(), Ok(vec![0, 1, 2]));

    let (promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| made::<u64, String2>()).unzip();
    let all = tokio::spawn(collect_all(futures));
    let mut promises = promises.into_iter();
    let slow = (promises.next(), promises.next());
    promises.next().unwrap().fail(String2("first".into()));
    assert_eq!(all.await.unwrap(), Err(String2("first".into())));
    drop(slow);

    assert_eq!(collect_all(Vec::<SharedFuture<u64>>::new()).await, Ok(vec![]));
}

/// Polls are counted: a thousand futures that come one after the other take two polls each, not a million.
#[tokio::test]
async fn of_many_only_those_are_polled_that_have_something_new() {
    struct Counting(SharedFuture<u64>, Arc<AtomicUsize>);
    impl Future for Counting {
        type Output = Result<u64, CallError>;
        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            self.1.fetch_add(1, Ordering::Relaxed);
            std::pin::Pin::new(&mut self.0).poll(cx)
        }
    }
    impl Collectable for Counting {
        type Value = u64;
        type Error = CallError;
        fn client(&self) -> Option<crate::Client> {
            None
        }
        fn give_up(self) {}
    }
    let polls = Arc::new(AtomicUsize::new(0));
    let (promises, futures): (Vec<_>, Vec<_>) = (0..1000).map(|_| made::<u64, CallError>()).unzip();
    let all = tokio::spawn(collect_all(futures.into_iter().map({
        let polls = Arc::clone(&polls);
        move |future| Counting(future, Arc::clone(&polls))
    })));
    for promise in promises {
        promise.set(1);
        tokio::task::yield_now().await;
    }
    assert_eq!(all.await.unwrap().unwrap().len(), 1000);
    assert!(polls.load(Ordering::Relaxed) <= 2000, "{polls:?}");
}
