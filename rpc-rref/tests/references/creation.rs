//! Values that do not come to be, each a typed error for everybody, each time.

use std::time::Duration;

use rpc_core::{CallError, Failure, Never, ReferenceError, RemoteFunction};
use rpc_core::{EngineConfig, FunctionBody};
use rpc_rref::RRef;
use rpc_testing::Cluster;
use serde::{Deserialize, Serialize};

use crate::common::{Refs, assert_reference, ms, reference_error, secs, within};
use crate::functions::{
    Tracked, alive, dropped, fresh, leave, note_run, pass_gate, read, runs, taken, tracked, tracked_at_gate,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TooBig {
    by: u32,
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn refuse_to_make(by: u32) -> Result<Tracked, TooBig> {
    Err(TooBig { by })
}

#[rpc_macros::function(crate = "rpc_core")]
async fn refuse_later(by: u32) -> Result<Tracked, TooBig> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    Err(TooBig { by })
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn panic_instead(text: String) -> Tracked {
    panic!("{text}");
}

#[rpc_macros::function(crate = "rpc_core")]
async fn panic_later(text: String) -> Tracked {
    tokio::task::yield_now().await;
    panic!("{text}");
}

/// A function that nobody has registered.
#[derive(Clone, Copy)]
struct Unknown;

impl RemoteFunction for Unknown {
    type Args = (u64,);
    type Output = Tracked;
    type Error = Never;
    const NAME: &'static str = "nowhere::to_be_found";
    const SIGNATURE: &'static str = "fn(u64) -> Tracked";
    const BODY: FunctionBody<(u64,), Tracked, Never> =
        FunctionBody::Inline(|(ticket,)| Ok(Tracked::new(ticket)));
}

/// One that exists with another signature.
#[derive(Clone, Copy)]
struct OtherSignature;

impl RemoteFunction for OtherSignature {
    type Args = (String,);
    type Output = Tracked;
    type Error = Never;
    const NAME: &'static str = <tracked as RemoteFunction>::NAME;
    const SIGNATURE: &'static str = "fn(String) -> Tracked";
    const BODY: FunctionBody<(String,), Tracked, Never> = FunctionBody::Inline(|_| Ok(Tracked::new(0)));
}

/// A value that cannot be encoded.
#[derive(Debug, Deserialize)]
struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no words for it"))
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn take_unspeakable(rref: RRef<Tracked>, what: Unspeakable) -> Tracked {
    let _ = (rref, what);
    Tracked::new(0)
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn make_unspeakable() -> Unspeakable {
    Unspeakable
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn make_bytes(bytes: u64) -> Vec<u8> {
    vec![0; bytes as usize]
}

/// Makes a value from another, and keeps what it got for as long as that takes.
#[rpc_macros::function(crate = "rpc_core")]
async fn copy_at_gate(ticket: u64, from: RRef<Tracked>) -> Result<Tracked, CallError> {
    note_run(ticket);
    pass_gate(ticket).await;
    from.to_here().await
}

/// Asks for a value and returns before it is there; its own call is cancelled meanwhile.
#[rpc_macros::function(crate = "rpc_core")]
async fn ask_and_wait(ticket: u64) {
    let registry = rpc_rref::Registry::current().expect("it counts references");
    let asked = registry.remote("worker0", tracked_at_gate, (ticket,)).expect("it is asked for");
    leave(ticket, asked);
    std::future::pending::<()>().await;
}

/// What every use of `at` by every worker says.
async fn every_use(at: &[(usize, &RRef<Tracked>)], check: impl Fn(&ReferenceError) -> bool) {
    for _ in 0..2 {
        for (worker, rref) in at {
            let errors = [
                within(secs(1), rref.to_here()).await.unwrap_err(),
                within(secs(1), rref.created()).await.unwrap_err(),
            ];
            for error in errors {
                let reference = reference_error(&error);
                assert!(check(reference), "worker {worker}: {reference:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_function_that_makes_a_value_reaches_everybody_who_has_a_reference() {
    let refs = Refs::new(3).await;
    for later in [false, true] {
        let at_1: RRef<Tracked> = if later {
            refs.registry(1).remote("worker0", refuse_later, (7,)).unwrap()
        } else {
            refs.registry(1).remote("worker0", refuse_to_make, (7,)).unwrap()
        };
        let at_2 = refs.pass(1, 2, &at_1).await;
        let at_0 = refs.pass(2, 0, &at_2).await;
        let is_it = |error: &ReferenceError| {
            error.creation_error() == Some(TooBig { by: 7 }) && error.creation_error::<u32>().is_none()
        };
        every_use(&[(1, &at_1), (2, &at_2), (0, &at_0)], is_it).await;
        assert!(is_it(&at_0.local_value().await.unwrap_err()));
        // A function that uses it sees the same.
        let error = refs.client(1).rpc_async("worker2", read, (at_1.clone(),)).await.unwrap_err();
        let CallError::Handler { error, .. } = error else { panic!("{error}") };
        assert!(is_it(reference_error(&error)));
        drop((at_0, at_1, at_2));
        refs.assert_empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_function_that_makes_a_value_is_a_typed_error_with_its_text() {
    let refs = Refs::new(2).await;
    for later in [false, true] {
        let text = String::from("no more clay");
        let at_1: RRef<Tracked> = if later {
            refs.registry(1).remote("worker0", panic_later, (text,)).unwrap()
        } else {
            refs.registry(1).remote("worker0", panic_instead, (text,)).unwrap()
        };
        every_use(&[(1, &at_1)], |error| {
            matches!(error, ReferenceError::CreationFailed { reason, error: None, .. } if reason.contains("no more clay"))
        })
        .await;
        drop(at_1);
        refs.assert_empty().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_a_worker_itself_that_fails_is_the_same_typed_error() {
    let refs = Refs::new(2).await;
    let mine = refs.registry(0).remote("worker0", refuse_to_make, (3,)).unwrap();
    let at_1 = refs.pass(0, 1, &mine).await;
    every_use(&[(0, &mine), (1, &at_1)], |error| error.creation_error() == Some(TooBig { by: 3 })).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_function_that_the_owner_does_not_have_is_a_typed_error() {
    let refs = Refs::new(2).await;
    let unknown = refs.registry(1).remote("worker0", Unknown, (1,)).unwrap();
    let other = refs.registry(1).remote("worker0", OtherSignature, ("x".into(),)).unwrap();
    every_use(&[(1, &unknown), (1, &other)], |error| matches!(error, ReferenceError::CreationFailed { .. }))
        .await;
    let error = other.to_here().await.unwrap_err().to_string();
    assert!(error.contains("fn(u64) -> Tracked") && error.contains("same source"), "{error}");
    drop((unknown, other));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_worker_and_arguments_that_cannot_be_encoded_are_errors_at_once() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(1);
    let error = refs.registry(1).remote("nobody", tracked, (1,)).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::UnknownWorker { .. })), "{error}");
    let error =
        refs.registry(1).remote("worker0", take_unspeakable, (mine.clone(), Unspeakable)).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Encode { .. })), "{error}");
    drop(mine);
    crate::functions::gone(value).await;
    refs.assert_empty().await;
}

/// The result stays where it is, so it need not fit into a message until somebody wants a copy.
#[tokio::test(start_paused = true)]
async fn a_result_that_has_no_room_in_a_message_can_stay_and_cannot_be_copied() {
    let config = EngineConfig { message_bytes_max: 10_000, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let refs = Refs::over(cluster);
    let large: RRef<Vec<u8>> = refs.registry(1).remote("worker0", make_bytes, (20_000,)).unwrap();
    large.created().await.unwrap();
    for _ in 0..2 {
        let error = large.to_here().await.unwrap_err();
        assert!(matches!(error.failure(), Some(Failure::BadResult { .. })), "{error}");
    }
    drop(large);
    let own: RRef<Vec<u8>> = refs.registry(0).remote("worker0", make_bytes, (20_000,)).unwrap();
    assert_eq!(own.local_value().await.unwrap().len(), 20_000);
    drop(own);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_encoded_can_stay_and_cannot_be_copied() {
    let refs = Refs::new(2).await;
    let what: RRef<Unspeakable> = refs.registry(1).remote("worker0", make_unspeakable, ()).unwrap();
    what.created().await.unwrap();
    let error = what.to_here().await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::BadResult { .. })), "{error}");
    drop(what);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_cancelled_with_the_call_that_asked_for_it_is_a_typed_error() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let call = refs.client(0).rpc_async("worker1", ask_and_wait, (value,));
    refs.settle().await;
    let at_1: RRef<Tracked> = taken(value);
    assert_eq!(runs(value), 1);
    call.cancel();
    refs.settle().await;
    every_use(
        &[(1, &at_1)],
        |error| matches!(error, ReferenceError::NotCreated { reason, .. } if reason.contains("cancelled")),
    )
    .await;
    assert!(!at_1.confirmed_by_owner());
    drop((call, at_1));
    refs.assert_empty().await;
    assert_eq!((alive(value), dropped(value)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_times_out_is_a_typed_error_for_everybody() {
    let refs = Refs::new(3).await;
    let client = refs.client(1).with_timeout(secs(1));
    let value = fresh();
    let at_1 = refs.registry(1).remote_by(&client, "worker0", tracked_at_gate, (value,)).unwrap();
    let at_2 = refs.pass(1, 2, &at_1).await;
    let waits = at_2.to_here();
    assert!(within(ms(1_100), waits).await.is_err());
    every_use(&[(1, &at_1), (2, &at_2)], |error| {
        matches!(error, ReferenceError::NotCreated { .. } | ReferenceError::CreationFailed { .. })
    })
    .await;
    drop((at_1, at_2));
    refs.assert_empty().await;
}

/// A creation takes references as arguments; they are confirmed before it begins, and stay while it runs.
#[tokio::test(start_paused = true)]
async fn a_creation_with_references_as_arguments_keeps_them_while_it_runs() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(2);
    let at_1 = refs.pass(2, 1, &mine).await;
    let gate = fresh();
    let copy = refs.registry(1).remote("worker0", copy_at_gate, (gate, at_1)).unwrap();
    drop(mine);
    refs.settle().await;
    assert_eq!((runs(gate), alive(value)), (1, 1));
    crate::functions::open(gate);
    assert_eq!(copy.to_here().await.unwrap().ticket(), value);
    drop(copy);
    refs.assert_empty().await;
    crate::functions::gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_argument_is_lost_is_a_typed_error() {
    let refs = Refs::new(4).await;
    let (mine, _) = refs.own(2);
    let at_1 = refs.pass(2, 1, &mine).await;
    refs.rule(0, 2, rpc_testing::Rule::hold());
    let gate = fresh();
    let copy = refs.registry(1).remote("worker0", copy_at_gate, (gate, at_1.clone())).unwrap();
    refs.settle().await;
    refs.kill(2);
    let error = within(secs(1), copy.to_here()).await.unwrap_err();
    let ReferenceError::CreationFailed { reason, .. } = reference_error(&error) else { panic!("{error}") };
    assert!(reason.contains("worker2"), "it names whose reference it was: {reason}");
    assert_eq!(runs(gate), 0);
    // From now on it is known where it is asked.
    let known = refs.registry(1).remote("worker0", copy_at_gate, (gate, at_1.clone()));
    assert_reference!(known, ReferenceError::OwnerLost { .. });
    drop((copy, at_1, mine));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_has_a_timeout_of_its_own() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked_at_gate, (value,)).unwrap();
    let error = within(ms(510), at_1.to_here().timeout(ms(500))).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let error = within(ms(510), at_1.created().timeout(ms(500))).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    crate::functions::open(value);
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value, "the reference is as good as before");
    drop(at_1);
    refs.assert_empty().await;
}
