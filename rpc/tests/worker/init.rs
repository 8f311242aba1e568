//! How workers start, and what stops them.

use std::sync::Arc;

use rpc::prelude::*;
use rpc::rpc_core::RegistryError;
use rpc::rpc_rendezvous::{JoinError, LaunchError};
use rpc::{MemoryStore, Security};

use crate::support::{builder, shut_down};

#[rpc::function]
fn ping() {}

fn error_of(builder: WorkerBuilder) -> InitError {
    // What the machine that runs the tests has in its environment is none of their business.
    builder.variables(|_| None).blocking_init().unwrap_err()
}

#[test]
fn what_is_missing_is_named_with_its_variable_and_its_method() {
    for (builder, words) in [
        (Worker::builder("a").world_size(1), [".rank(", "RANK"]),
        (Worker::builder("a").rank(0), [".world_size(", "WORLD_SIZE"]),
        (Worker::builder("a").rank(0).world_size(1), [".init_method(", "MASTER_ADDR"]),
    ] {
        let error = error_of(builder);
        assert!(matches!(error, InitError::Missing { .. }));
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_malformed_variable_is_an_error_that_names_it() {
    let error = Worker::builder("a")
        .variables(|name| (name == "RANK").then(|| "first".into()))
        .blocking_init()
        .unwrap_err();
    assert!(matches!(error, InitError::Environment(LaunchError::Malformed { .. })), "{error}");
    assert!(error.to_string().contains("RANK") && error.to_string().contains("first"), "{error}");
}

#[test]
fn the_environment_is_not_read_if_nothing_is_missing() {
    let worker = builder(0, 1, &Arc::default())
        .variables(|name| (name == "RANK").then(|| "first".into()))
        .blocking_init()
        .unwrap();
    worker.shutdown_blocking().unwrap();
}

#[test]
fn a_bad_name_or_rank_or_url_is_refused() {
    let store = Arc::default();
    assert!(matches!(error_of(Worker::builder("abc*")), InitError::Name(_)));
    let error = error_of(builder(2, 2, &store));
    assert!(matches!(error, InitError::RankOutOfRange { rank: 2, world_size: 2 }));
    assert_eq!(error.to_string(), "rank 2 is out of range: 2 workers have the ranks from 0 to 1");
    assert!(matches!(error_of(builder(0, 0, &store)), InitError::RankOutOfRange { .. }));
    assert!(matches!(error_of(Worker::builder("a").init_method("smtp://x")), InitError::InitMethod(_)));
}

#[test]
fn an_unknown_backend_is_refused_with_the_list_of_known_ones() {
    let error = error_of(builder(0, 1, &Arc::default()).backend("carrier-pigeon"));
    assert!(matches!(error, InitError::Registry(RegistryError::Unknown { .. })));
    assert!(error.to_string().contains("carrier-pigeon") && error.to_string().contains("tcp"), "{error}");
    let by_variable = builder(0, 1, &Arc::default())
        .variables(|name| (name == "RPC_BACKEND").then(|| "carrier-pigeon".into()))
        .blocking_init();
    assert!(by_variable.unwrap_err().to_string().contains("carrier-pigeon"));
}

#[test]
fn an_address_that_others_can_reach_is_refused_unless_the_network_is_trusted() {
    let store = Arc::default();
    let open = || builder(0, 1, &store).bind("0.0.0.0:0").advertise_host("127.0.0.1");
    let error = error_of(open());
    assert!(matches!(error, InitError::NotSecured { .. }), "{error}");
    for way_out in ["0.0.0.0:0", ".bind(\"127.0.0.1:0\")", "Security::insecure()", "RPC_INSECURE=1"] {
        assert!(error.to_string().contains(way_out), "{error}");
    }
    for trusting in [
        open().security(Security::insecure()),
        open().variables(|name| (name == "RPC_INSECURE").then(|| "1".into())),
    ] {
        trusting.blocking_init().unwrap().shutdown_blocking().unwrap();
    }
}

#[test]
fn a_store_that_others_can_reach_is_refused_on_every_rank_before_anyone_waits() {
    // An address for documentation, to which nothing is sent. Loopback is given for the worker itself.
    for rank in [0, 1] {
        let error = error_of(
            Worker::builder("a")
                .rank(rank)
                .world_size(2)
                .init_method("tcp://192.0.2.1:29500")
                .bind("127.0.0.1:0"),
        );
        assert!(matches!(error, InitError::NotSecured { .. }), "{error}");
        assert!(error.to_string().contains("at 192.0.2.1"), "{error}");
    }
}

#[cfg(feature = "tcp")] // the port is taken for TCP
#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let error = builder(0, 1, &Arc::default()).bind(&bind).init().await.unwrap_err();
    assert!(matches!(error, InitError::Backend(_)), "{error}");
    assert!(error.to_string().contains(&bind), "{error}");
}

#[tokio::test]
async fn two_workers_of_one_name_are_both_told() {
    let store: Arc<MemoryStore> = Arc::default();
    let same = |rank| {
        Worker::builder("same")
            .rank(rank)
            .world_size(2)
            .store(store.clone())
            .init_timeout(Duration::from_secs(20))
    };
    let (first, second) = tokio::join!(same(0).init(), same(1).init());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(matches!(error, InitError::Join(JoinError::DuplicateName { .. })), "{error}");
        assert!(error.to_string().contains("same"), "{error}");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_come_is_named_when_the_time_is_over() {
    let error =
        builder(0, 2, &Arc::default()).init_timeout(Duration::from_millis(50)).init().await.unwrap_err();
    match &error {
        InitError::Join(JoinError::TimedOut { missing, .. }) => assert_eq!(missing, &[1]),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn workers_meet_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("meeting").display());
    let worker = |rank| Worker::builder(format!("w{rank}")).rank(rank).world_size(2).init_method(&url).init();
    let (first, second) = tokio::join!(worker(0), worker(1));
    let (first, second) = (first.unwrap(), second.unwrap());
    first.rpc_async("w1", ping, ()).await.unwrap();
    shut_down([first, second]).await;
}

#[tokio::test]
async fn workers_meet_as_their_environment_says() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let worker = |rank: &'static str| {
        Worker::builder_named_by_rank()
            .variables(move |name| match name {
                "RANK" => Some(rank.into()),
                "WORLD_SIZE" => Some("2".into()),
                "MASTER_ADDR" => Some("127.0.0.1".into()),
                "MASTER_PORT" => Some(port.to_string()),
                _ => None,
            })
            .init()
    };
    let (first, second) = tokio::join!(worker("0"), worker("1"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.name(), second.name()), ("worker0", "worker1"));
    first.rpc_async("worker1", ping, ()).await.unwrap();
    shut_down([first, second]).await;
}

#[tokio::test]
async fn what_the_program_says_comes_before_the_url_and_the_url_before_the_environment() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let worker = Worker::builder("a")
        .rank(0)
        .init_method(format!("tcp://127.0.0.1:{port}?rank=7&world_size=1"))
        .variables(|name| (name == "WORLD_SIZE").then(|| "9".into()))
        .init()
        .await
        .unwrap();
    assert_eq!((worker.id(), worker.world_size()), (WorkerId(0), 1));
    shut_down([worker]).await;
}

#[tokio::test]
async fn dropping_init_lets_the_same_rank_try_again() {
    let store = Arc::default();
    for runtime in [rpc::IoRuntime::Current, rpc::IoRuntime::Dedicated] {
        let mut alone = Box::pin(builder(0, 2, &store).runtime(runtime).init());
        assert!(poll_once(&mut alone).await.is_none());
        drop(alone);
    }
    let (first, second) = tokio::join!(builder(0, 2, &store).init(), builder(1, 2, &store).init());
    shut_down([first.unwrap(), second.unwrap()]).await;
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
