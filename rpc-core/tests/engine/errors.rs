//! Errors as the caller sees them.

use rpc_core::{CallError, Failure, FunctionBody, FunctionTable, HandlerRan, Never, RemoteFunction};
use rpc_testing::Cluster;

use crate::functions::*;

#[tokio::test]
async fn the_handlers_own_error_arrives_as_its_type() {
    let cluster = Cluster::new(2).await;
    let error = cluster.client(0).rpc_async("worker1", parse, ("x\\n".into(),)).await.unwrap_err();
    assert_eq!(error.handler_error(), Some(&ParseError::NotANumber("x\\n".into())));
    assert_eq!(error.handler_ran(), HandlerRan::Yes);
    assert!(error.to_string().contains("functions::parse on worker worker1 returned an error"), "{error}");
}

/// EN-1
#[tokio::test]
async fn a_panic_arrives_with_message_and_place_and_the_worker_lives_on() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    let failures = [
        client.rpc_async("worker1", panic_blocking, ("b".into(),)).await.unwrap_err(),
        client.rpc_async("worker1", panic_inline, ("b".into(),)).await.unwrap_err(),
        client.rpc_async("worker1", panic_async, ("b".into(), false)).await.unwrap_err(),
        client.rpc_async("worker1", panic_async, ("b".into(), true)).await.unwrap_err(),
        client.rpc_async("worker0", panic_blocking, ("b".into(),)).await.unwrap_err(),
    ];
    for error in failures {
        let Some(Failure::Panicked { message, location }) = error.failure() else { panic!("{error}") };
        assert_eq!(message, "b");
        assert!(location.contains("functions.rs:"), "{location}");
        assert_eq!(error.handler_ran(), HandlerRan::Yes);
    }
    assert_eq!(client.rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
    cluster.assert_idle().await;
}

#[tokio::test]
async fn a_worker_that_does_not_exist_is_named_with_those_that_do() {
    let cluster = Cluster::new(2).await;
    let error = cluster.client(0).rpc_async("worker9", add, (1, 2)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("add on worker worker9: there is no such worker; the group has worker0, worker1"),
        "{error}"
    );
    for rank in [-1, 2] {
        let error = cluster.client(0).rpc_async(rank, add, (1, 2)).await.unwrap_err();
        assert_eq!(error.handler_ran(), HandlerRan::No);
    }
}

/// Two builds of one function.
#[derive(Clone, Copy)]
struct Old;
#[derive(Clone, Copy)]
struct New;

impl RemoteFunction for Old {
    type Args = (i32,);
    type Output = i32;
    type Error = Never;
    const NAME: &'static str = "app::scale";
    const SIGNATURE: &'static str = "fn(i32) -> i32";
    const BODY: FunctionBody<(i32,), i32, Never> = FunctionBody::Inline(|_| panic!("must not run"));
}

impl RemoteFunction for New {
    type Args = (f64,);
    type Output = f64;
    type Error = Never;
    const NAME: &'static str = "app::scale";
    const SIGNATURE: &'static str = "fn(f64) -> f64";
    const BODY: FunctionBody<(f64,), f64, Never> = FunctionBody::Inline(|(x,)| Ok(x));
}

#[tokio::test]
async fn another_signature_is_told_in_words_before_anything_runs() {
    let mut table = FunctionTable::new();
    table.add(Old).unwrap();
    let cluster = Cluster::builder().workers(["a", "b"]).functions(table).build().await.unwrap();
    let error = cluster.client("a").rpc_async("b", New, (1.5,)).await.unwrap_err();
    let expected =
        Failure::SignatureMismatch { ours: "fn(f64) -> f64".into(), theirs: "fn(i32) -> i32".into() };
    assert_eq!(error.failure(), Some(&expected));
    assert_eq!(error.handler_ran(), HandlerRan::No);
}

#[tokio::test]
async fn a_function_that_the_callee_lacks_is_an_error_that_names_a_similar_one() {
    #[derive(Clone, Copy)]
    struct Elsewhere;
    impl RemoteFunction for Elsewhere {
        type Args = (i32,);
        type Output = i32;
        type Error = Never;
        const NAME: &'static str = "other::scale";
        const SIGNATURE: &'static str = "fn(i32) -> i32";
        const BODY: FunctionBody<(i32,), i32, Never> = FunctionBody::Inline(|(x,)| Ok(x));
    }
    let mut table = FunctionTable::new();
    table.add(Old).unwrap();
    let cluster = Cluster::builder().workers(["a", "b"]).functions(table).build().await.unwrap();
    let error = cluster.client("a").rpc_async("b", Elsewhere, (1,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::UnknownFunction { .. })), "{error}");
    assert!(error.to_string().contains("(it has app::scale)"), "{error}");
}

#[tokio::test]
async fn arguments_of_another_type_do_not_run_the_handler() {
    /// As [`Old`] to the wire, with other arguments: two builds whose types differ below the signature.
    #[derive(Clone, Copy)]
    struct Skewed;
    impl RemoteFunction for Skewed {
        type Args = (String, u64);
        type Output = i32;
        type Error = Never;
        const NAME: &'static str = Old::NAME;
        const SIGNATURE: &'static str = Old::SIGNATURE;
        const BODY: FunctionBody<(String, u64), i32, Never> = FunctionBody::Inline(|_| Ok(0));
    }
    let mut table = FunctionTable::new();
    table.add(Old).unwrap();
    let cluster = Cluster::builder().workers(["a", "b"]).functions(table).build().await.unwrap();
    let error: CallError =
        cluster.client("a").rpc_async("b", Skewed, ("long text".into(), 7)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::BadArguments { .. })), "{error}");
}

#[tokio::test]
async fn a_request_cannot_pass_for_a_frame_of_the_link() {
    let cluster = Cluster::new(2).await;
    let request = rpc_core::Request {
        kind: rpc_core::Kind(rpc_core::wire::frame::GOODBYE),
        method: 0,
        codec: 0,
        timeout: None,
        body: rpc_core::Body::default(),
    };
    let failure = cluster.agent(0).send(rpc_core::WorkerId(1), request).await.unwrap_err();
    assert_eq!(failure, Failure::UnknownKind);
    assert_eq!(cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap(), 3);
}
