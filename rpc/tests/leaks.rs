//! What a program is told of values that are still held when it ends, and before.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex};

use rpc::prelude::*;
use rpc::rpc_rref::report::Handles;
use rpc::{InitError, LeakPolicy, MemoryStore, Shutdown, ShutdownError, ShutdownReport, WorkerBuilder};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Shelf {
    things: Vec<RRef<Shelf>>,
}

#[rpc::methods]
impl Shelf {
    fn put(&mut self, thing: RRef<Shelf>) {
        self.things.push(thing);
    }
}

#[rpc::function]
fn new_shelf() -> Shelf {
    Shelf::default()
}

/// `N` workers of one job in this process, after `adjust`.
async fn job<const N: usize>(adjust: impl Fn(WorkerBuilder) -> WorkerBuilder) -> [Worker; N] {
    let store = Arc::new(MemoryStore::default());
    let start = |rank: usize| {
        let builder = Worker::builder_named_by_rank().rank(rank as u32).world_size(N as u32);
        tokio::spawn(adjust(builder.store(store.clone()).variables(|_| None)).init())
    };
    let starting: Vec<_> = (0..N).map(start).collect();
    let mut workers = Vec::new();
    for started in starting {
        workers.push(started.await.unwrap().unwrap());
    }
    workers.try_into().unwrap()
}

/// All workers leave together.
async fn leave(workers: &[Worker]) -> Vec<Result<ShutdownReport, ShutdownError>> {
    let leave = |worker: Worker| tokio::spawn(async move { worker.shutdown().await });
    let leaving: Vec<_> = workers.iter().cloned().map(leave).collect();
    let mut outcomes = Vec::new();
    for left in leaving {
        outcomes.push(left.await.unwrap());
    }
    outcomes
}

#[track_caller]
fn here() -> String {
    let at = Location::caller();
    format!("{}:{}:", at.file(), at.line())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_drops_its_references_ends_with_none_leaked() {
    let workers: [Worker; 3] = job(|builder| builder.leaks(LeakPolicy::Error)).await;
    // As one does that only serves.
    let server = tokio::spawn({
        let worker = workers[2].clone();
        async move { worker.shutdown().await }
    });
    let shelf = workers[0].remote("worker1", new_shelf, ()).unwrap();
    let thing = workers[0].remote("worker2", new_shelf, ()).unwrap();
    shelf.rpc_async().put(thing.clone()).await.unwrap();
    drop((shelf, thing));
    for outcome in leave(&workers[..2]).await.into_iter().chain([server.await.unwrap()]) {
        let report = outcome.unwrap();
        assert_eq!((report.leaked(), report.lost), (0, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_reference_is_an_error_if_so_wished_and_named_with_its_line() {
    let workers: [Worker; 2] = job(|builder| builder.leaks(LeakPolicy::Error)).await;
    let (kept, line) = (workers[0].remote("worker1", new_shelf, ()).unwrap(), here());
    kept.created().await.unwrap();
    let [holder, owner] = &leave(&workers).await[..] else { panic!() };
    assert_eq!(holder.as_ref().unwrap().leaked(), 0);
    let Err(error @ ShutdownError::Leaked(leaked)) = owner else { panic!("{owner:?}") };
    let leak = &leaked.0.leaks[0];
    assert!(leak.created.starts_with(&line), "{leak}, not {line}");
    let Handles::At(handles) = &leak.holders[0].handles else { panic!("{leak}") };
    assert!(handles[0].place.starts_with(&line), "{leak}, not {line}");
    let text = error.to_string();
    assert!(text.starts_with("1 value of worker1 (rank 1) leaked: 0:0@1 (leaks::Shelf)"), "{text}");
    assert!(text.contains("held by worker0 (rank 0)") && text.matches(&line).count() == 2, "{text}");
    // It has left, and says so however often it is asked.
    assert_eq!(workers[1].shutdown().await.as_ref(), Err(error));
    assert_eq!(workers[1].shutdown_with(Shutdown::Immediate).await.unwrap().leaked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_across_workers_is_named() {
    let workers: [Worker; 3] = job(|builder| builder.leaks(LeakPolicy::Error)).await;
    let first = workers[0].remote("worker1", new_shelf, ()).unwrap();
    let second = workers[0].remote("worker2", new_shelf, ()).unwrap();
    first.rpc_async().put(second.clone()).await.unwrap();
    second.rpc_async().put(first.clone()).await.unwrap();
    drop((first, second));
    let outcomes = leave(&workers).await;
    let path = "on the cycle 0:0@1 (leaks::Shelf) -> 0:0@2 (leaks::Shelf) -> 0:0@1";
    let error = outcomes[1].as_ref().unwrap_err().to_string();
    assert!(error.contains(path) && error.contains("inside 0:0@2"), "{error}");
    outcomes[2].as_ref().unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_says_what_is_done_where_the_program_does_not() {
    let from_env = |text: &'static str| {
        move |builder: WorkerBuilder| {
            builder.variables(move |name| (name == "RPC_LEAKS").then(|| text.to_owned()))
        }
    };
    for (text, is_error) in [("error", true), ("warn", false), ("ignore", false), ("", false)] {
        let [worker]: [Worker; 1] = job(from_env(text)).await;
        let kept = RRef::new(&worker, 7_u64);
        let [outcome] = &leave(&[worker]).await[..] else { panic!() };
        match outcome {
            Ok(report) => assert!(!is_error && report.leaks[0].rref == kept.id(), "{text}: {report:?}"),
            Err(error) => assert!(is_error, "{text}: {error}"),
        }
    }
    let [worker]: [Worker; 1] = job(|builder| from_env("error")(builder).leaks(LeakPolicy::Ignore)).await;
    let _kept = RRef::new(&worker, 7_u64);
    assert_eq!(worker.shutdown().await.unwrap().leaked(), 1);

    let store = Arc::new(MemoryStore::default());
    let builder = from_env("loudly")(Worker::builder("worker0").rank(0).world_size(1).store(store));
    let error = builder.init().await.unwrap_err();
    assert!(matches!(error, InitError::Leaks(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "RPC_LEAKS: \"loudly\" says nothing about leaks; it has to be warn, error or ignore"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_wait_for_the_others_does_not_look() {
    let workers: [Worker; 2] = job(|builder| builder.leaks(LeakPolicy::Error)).await;
    let kept = workers[0].remote("worker1", new_shelf, ()).unwrap();
    kept.created().await.unwrap();
    assert_eq!(workers[1].shutdown_with(Shutdown::Immediate).await.unwrap().leaked(), 0);
    let own = RRef::new(&workers[0], 7_u64);
    let patient = tokio::spawn({
        let worker = workers[0].clone();
        async move { worker.shutdown_with(Shutdown::Graceful { timeout: None }).await }
    });
    let Err(ShutdownError::Leaked(leaked)) = patient.await.unwrap() else { panic!() };
    assert_eq!(leaked.0.leaks[0].rref, own.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_loses_its_patience_does_not_look() {
    let workers: [Worker; 2] = job(|builder| builder.leaks(LeakPolicy::Error)).await;
    let _kept = RRef::new(&workers[0], 7_u64);
    let patient = workers[0].shutdown_with(Shutdown::Graceful { timeout: None });
    let (patient, hurried) = tokio::join!(patient, workers[0].shutdown_with(Shutdown::Immediate));
    assert_eq!((patient.unwrap().leaked(), hurried.unwrap().leaked()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_lists_what_it_owns_and_holds() {
    let workers: [Worker; 2] = job(|builder| builder).await;
    let shelf = workers[0].remote("worker1", new_shelf, ()).unwrap();
    shelf.created().await.unwrap();
    let (holds, owns) = (workers[0].rrefs().await, workers[1].rrefs().await);
    assert_eq!((holds.owned.len(), holds.held[0].rref), (0, shelf.id()));
    assert_eq!((owns.owned[0].rref, owns.held.len()), (shelf.id(), 0));
    assert_eq!(owns.owned[0].holders[0].worker, *workers[0].info());
    drop(shelf);
    leave(&workers).await;
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn leaks_are_warned_of_one_by_one_up_to_twenty() {
    for (policy, n, lines) in
        [(LeakPolicy::Warn, 2, 2), (LeakPolicy::Warn, 23, 21), (LeakPolicy::Ignore, 2, 0)]
    {
        let [worker]: [Worker; 1] = job(|builder| builder.leaks(policy)).await;
        let _kept: Vec<_> = (0..n).map(|value: u64| RRef::new(&worker, value)).collect();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone())
            .finish();
        // This thread runs everything.
        let logged = tracing::subscriber::set_default(subscriber);
        assert_eq!(worker.shutdown().await.unwrap().leaked(), n);
        drop(logged);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("leaked: ").count(), lines, "{text}");
        assert_eq!(text.contains("leaked: 3 more values"), n == 23, "{text}");
    }
}
