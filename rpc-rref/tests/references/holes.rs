//! What has gone wrong in another implementation, by the number under which it is listed (H1 to H15), where
//! no row of the matrix has it: H4 is T7, H5 is T3, H6 is T9, H7 is T10, H8 and H9 are T11, H12 is T17, H13 is
//! T13. H14 is about groups that change, of which there are none.

use std::sync::Arc;

use parking_lot::Mutex;
use rpc_core::{Body, EngineConfig, Handler, Incoming, Kind, Outcome, ReferenceError, Response, Served};
use rpc_rref::RRef;
use rpc_testing::{Cluster, Rule};

use crate::common::{CONTROL, CREATE, Refs, assert_reference, secs, within};
use crate::destructors::{Slow, keep_slow};
use crate::functions::{Tracked, fresh, gone, keep, nothing, runs, taken, tracked};

/// Only the first failure was noticed there.
#[tokio::test(start_paused = true)]
async fn h01_every_creation_that_fails_is_an_error_of_its_own_reference() {
    let refs = Refs::new(2).await;
    refs.rule(1, 0, Rule::drop().kind(CREATE).times(3));
    let client = refs.client(1).with_timeout(secs(1));
    let mut values = Vec::new();
    for _ in 0..6 {
        let value = fresh();
        values.push((value, refs.registry(1).remote_by(&client, "worker0", tracked, (value,)).unwrap()));
    }
    tokio::time::sleep(secs(2)).await;
    for (number, (value, rref)) in values.iter().enumerate() {
        match number {
            0..3 => assert_reference!(rref.to_here().await, ReferenceError::NotCreated { .. }),
            _ => assert_eq!(rref.to_here().await.unwrap().ticket(), *value),
        }
    }
    drop(values);
    refs.assert_empty().await;
}

/// What was sent again was empty there.
#[tokio::test(start_paused = true)]
async fn h02_what_is_sent_again_says_the_same() {
    let refs = Refs::new(2).await;
    let (at_1, values): (Vec<RRef<Tracked>>, Vec<u64>) = {
        let mut at_1 = Vec::new();
        let mut values = Vec::new();
        for _ in 0..20 {
            let (mine, value) = refs.own(0);
            at_1.push(refs.pass(0, 1, &mine).await);
            values.push(value);
        }
        (at_1, values)
    };
    refs.settle().await;
    let lost = refs.rule(1, 0, Rule::drop().kind(CONTROL).times(2));
    drop(at_1);
    refs.assert_empty().await;
    assert_eq!(lost.hits(), 2);
    for value in values {
        gone(value).await;
    }
}

/// A link in error was used for ever there.
#[tokio::test(start_paused = true)]
async fn h03_a_link_in_error_is_replaced() {
    let refs = Refs::new(2).await;
    for _ in 0..3 {
        let (mine, value) = refs.own(0);
        let at_1 = refs.pass(0, 1, &mine).await;
        refs.cut(0, 1);
        refs.settle().await;
        assert_eq!(within(secs(1), at_1.to_here()).await.unwrap().ticket(), value);
        refs.cut(0, 1);
        drop((mine, at_1));
        refs.assert_empty().await;
        gone(value).await;
    }
}

/// Answers batches as it is told to, and then as the registry does.
struct Odd {
    outcomes: Mutex<Vec<Outcome>>,
}

impl Handler for Odd {
    fn handle(&self, _: Incoming) -> Served {
        let outcome = self.outcomes.lock().pop().unwrap_or(Outcome::ShuttingDown);
        Served::Now(Response { outcome, codec: 0, body: Body::default() })
    }
}

/// An error that was not expected left a registration, and what waited for it, for ever.
#[tokio::test(start_paused = true)]
async fn h10_whatever_answers_a_registration_ends_the_wait_for_it() {
    let odd = [
        Outcome::HandlerError,
        Outcome::Panicked,
        Outcome::UnknownFunction,
        Outcome::SignatureMismatch,
        Outcome::BadArguments,
        Outcome::Overloaded,
        Outcome::DeadlineExceeded,
        Outcome::Cancelled,
        Outcome::ShuttingDown,
        Outcome::UnknownCodec,
        Outcome::UnknownKind,
        Outcome::BadResult,
        Outcome::Reference,
    ];
    for outcome in odd {
        let refs = Refs::new(3).await;
        let (mine, _) = refs.own(0);
        let at_1 = refs.pass(0, 1, &mine).await;
        refs.settle().await;
        let handler = Odd { outcomes: Mutex::new(vec![outcome; 3]) };
        refs.client(0).agent().serve(Kind(CONTROL), Arc::new(handler));
        let ticket = fresh();
        let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1.clone()));
        let result = within(secs(61), call).await;
        match outcome {
            // As good as a receipt, and a lie: the call's deadline is left.
            Outcome::HandlerError => assert!(result.unwrap_err().is_timeout()),
            _ => assert_reference!(result, ReferenceError::OwnerLost { .. }),
        }
        assert_eq!(runs(ticket), 0, "{outcome:?}");
    }
}

/// Threads that were used up stopped deadlines and answers there.
#[tokio::test(start_paused = true)]
async fn h15_references_work_although_there_is_no_thread_left() {
    let config = EngineConfig { blocking_threads_max: 1, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let refs = Refs::over(cluster);
    let (slow, go_on) = Slow::new();
    let ticket = fresh();
    let mine = RRef::new_opaque(refs.registry(0), slow);
    refs.client(0).rpc_async("worker1", keep_slow, (ticket, mine)).await.unwrap();
    drop(taken::<RRef<Slow>>(ticket)); // its destructor has the only thread
    refs.settle().await;

    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    assert_eq!(within(secs(1), at_1.to_here()).await.unwrap().ticket(), value);
    let made = fresh();
    let other = refs.registry(1).remote("worker0", tracked, (made,)).unwrap();
    within(secs(1), other.created()).await.unwrap();
    drop((at_1, other));
    refs.assert_empty().await;
    gone(value).await;
    gone(made).await;
    within(secs(1), refs.client(1).rpc_async("worker0", nothing, ())).await.unwrap();
    go_on.send(()).unwrap();
}
