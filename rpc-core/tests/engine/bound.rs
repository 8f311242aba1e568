//! Functions with a body that a worker has bound to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpc_core::{Failure, FunctionTable};
use rpc_macros::function;
use rpc_testing::Cluster;
use tokio::sync::Semaphore;

#[function(crate = "rpc_core", idempotent)]
fn count(by: u64) -> Result<u64, String> {
    Err(format!("nobody counts {by} here"))
}

#[function(crate = "rpc_core", max_concurrency = 1, max_waiting = 0)]
async fn one_at_a_time() {}

async fn cluster(functions: FunctionTable) -> Cluster {
    Cluster::builder().workers(["caller", "callee"]).functions(functions).build().await.expect("it starts")
}

#[tokio::test]
async fn a_closure_works_on_what_it_was_given_and_waits_like_an_async_fn() {
    let (sum, mut functions) = (Arc::new(AtomicU64::new(5)), FunctionTable::linked().unwrap());
    let before = functions.digest();
    let body = async |sum: Arc<AtomicU64>, (by,): (u64,)| {
        tokio::task::yield_now().await;
        assert!(by != 13, "as told");
        match by {
            0 => Err("nothing to add".to_owned()),
            _ => Ok(sum.fetch_add(by, Ordering::Relaxed) + by),
        }
    };
    functions.bind(count, Arc::clone(&sum), body).unwrap();
    assert_eq!(functions.digest(), before, "for callers it is the same function");
    let cluster = cluster(functions).await;
    let client = cluster.client("caller");
    assert_eq!(client.rpc_async("callee", count, (2,)).await, Ok(7));
    assert_eq!(client.rpc_async("callee", count, (3,)).await, Ok(10));
    let error = client.rpc_async("callee", count, (0,)).await.unwrap_err();
    assert_eq!(error.handler_error().map(String::as_str), Some("nothing to add"));
    let error = client.rpc_async("callee", count, (13,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Panicked { .. })), "{error}");
    assert_eq!(sum.load(Ordering::Relaxed), 10);
    assert!(count(1).is_err(), "called here, it is what it was written as");
    cluster.assert_idle().await;
}

#[tokio::test]
async fn the_limit_of_the_function_holds_for_it() {
    let (gate, mut functions) = (Arc::new(Semaphore::new(0)), FunctionTable::linked().unwrap());
    let body = async |gate: Arc<Semaphore>, ()| {
        gate.acquire().await.expect("nobody closes it").forget();
        Ok(())
    };
    functions.bind(one_at_a_time, Arc::clone(&gate), body).unwrap();
    let cluster = cluster(functions).await;
    let client = cluster.client("caller");
    let first = client.rpc_async("callee", one_at_a_time, ());
    let refused = client.rpc_async("callee", one_at_a_time, ()).await.unwrap_err();
    assert!(matches!(refused.failure(), Some(Failure::Overloaded { .. })), "{refused}");
    gate.add_permits(1);
    assert_eq!(first.await, Ok(()));
}

#[test]
fn what_has_the_name_and_another_signature_is_left_alone() {
    mod other {
        #[rpc_macros::function(crate = "rpc_core", name = "bound::taken")]
        pub(super) fn taken(n: u64) -> u64 {
            n
        }
    }
    #[derive(Clone, Copy)]
    struct Taken;
    impl rpc_core::RemoteFunction for Taken {
        type Args = ();
        type Output = ();
        type Error = rpc_core::Never;
        const NAME: &'static str = "bound::taken";
        const SIGNATURE: &'static str = "fn()";
        const BODY: rpc_core::FunctionBody<(), (), rpc_core::Never> =
            rpc_core::FunctionBody::Inline(|()| Ok(()));
    }
    let mut functions = FunctionTable::new();
    functions.add(other::taken).unwrap();
    let error = functions.bind(Taken, (), async |(), ()| Ok(())).unwrap_err();
    assert_eq!((error.first, error.second), ("bound::taken", "bound::taken"));
    assert_eq!(functions.iter().next().map(|entry| entry.signature()), Some("fn(u64) -> u64"));
}
