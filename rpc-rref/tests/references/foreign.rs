//! References outside of calls, and of other workers of the process.

use rpc_core::{Codecs, POSTCARD, ReferenceError};
use rpc_rref::RRef;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::{Refs, assert_reference, reference_error};
use crate::counter::Counter;
use crate::functions::{Tracked, fresh, gone, keep, leave, nothing, read, runs, tracked};

#[tokio::test(start_paused = true)]
async fn a_reference_is_not_written_outside_of_a_call() {
    let refs = Refs::new(1).await;
    let (mine, _) = refs.own(0);
    let json = serde_json::to_string(&(1, &mine)).unwrap_err();
    assert!(json.to_string().contains("only inside of the arguments and results of calls"), "{json}");
    assert!(postcard::to_stdvec(&vec![mine.clone()]).is_err());
    let encoded = Codecs::default().encode(POSTCARD, &Some(mine.clone())).unwrap_err();
    assert!(!encoded.to_string().is_empty());
    drop(mine);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_is_not_read_from_foreign_bytes() {
    for bytes in [&[0_u8][..], &[1], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[], b"a reference"] {
        assert!(postcard::from_bytes::<RRef<Tracked>>(bytes).is_err(), "{bytes:?}");
        let body = rpc_core::Body::new(bytes.to_vec());
        assert!(Codecs::default().decode::<RRef<Tracked>>(POSTCARD, body).is_err());
    }
    for text in ["0", "[0]", "\"0:0@0\"", "{\"owner\":0}"] {
        assert!(serde_json::from_str::<RRef<Tracked>>(text).is_err(), "{text}");
    }
    let error = serde_json::from_str::<RRef<Tracked>>("0").unwrap_err();
    assert!(error.to_string().contains("only out of the arguments and results of calls"), "{error}");
}

/// Within a call too: what is no handle of that message is none.
#[derive(Serialize)]
struct Index(u32);

#[rpc_macros::function(crate = "rpc_core", inline)]
fn take_mask(ticket: u64, mask: Mask) {
    leave(ticket, mask);
}

/// Written as an index, read as a reference.
struct Mask(Result<RRef<Tracked>, u32>);

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(rref) => rref.serialize(to),
            Err(index) => Index(*index).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RRef::deserialize(from).map(|rref| Self(Ok(rref)))
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_without_a_handle_is_an_error_of_the_arguments() {
    let refs = Refs::new(2).await;
    for index in [0, 1, u32::MAX] {
        let call = refs.client(0).rpc_async("worker1", take_mask, (fresh(), Mask(Err(index))));
        let error = call.await.unwrap_err();
        assert!(matches!(error.failure(), Some(rpc_core::Failure::BadArguments { .. })), "{error}");
    }
    refs.client(0).rpc_async("worker1", nothing, ()).await.unwrap();
    refs.assert_empty().await;
}

/// One handle of the message is claimed twice, and another not at all.
#[rpc_macros::function(crate = "rpc_core", inline)]
fn take_masks(masks: Vec<Mask>) {
    drop(masks);
}

#[tokio::test(start_paused = true)]
async fn a_handle_is_taken_once() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let (other, second) = refs.own(0);
    let masks = vec![Mask(Ok(mine)), Mask(Err(0)), Mask(Ok(other))];
    let error = refs.client(0).rpc_async("worker1", take_masks, (masks,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(rpc_core::Failure::BadArguments { .. })), "{error}");
    refs.assert_empty().await;
    gone(value).await;
    gone(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_another_worker_of_the_process_is_refused_wherever_it_is_used() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let counter = RRef::new(refs.registry(0), Counter::default());
    // Sent by a worker whose handle it is not: even by its owner's neighbour to its owner.
    for (sender, to) in [(1, "worker2"), (2, "worker0"), (1, "worker1")] {
        let sent = refs.client(sender).rpc_async(to, read, (mine.clone(),)).await;
        assert_reference!(sent, ReferenceError::Foreign { .. });
    }
    let sent = refs.client(0).rpc_async("worker2", keep, (fresh(), at_1.clone())).await;
    assert_reference!(sent, ReferenceError::Foreign { .. });
    let made = refs.registry(2).remote("worker0", make_with, (mine.clone(),));
    assert_reference!(made, ReferenceError::Foreign { .. });
    let method = counter.rpc_async().keep(fresh(), at_1.clone()).await;
    assert_reference!(method, ReferenceError::Foreign { .. });
    // Beside a good one: all or none.
    let (good, third) = refs.own(1);
    let both = refs.client(1).rpc_async("worker2", keep_two, (good, mine.clone())).await;
    assert_reference!(both, ReferenceError::Foreign { .. });
    gone(third).await;
    drop((mine, at_1, counter));
    refs.assert_empty().await;
    gone(value).await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn make_with(rref: RRef<Tracked>) -> Tracked {
    drop(rref);
    Tracked::new(0)
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_two(a: RRef<Tracked>, b: RRef<Tracked>) {
    drop((a, b));
}

/// A function gives a handle that belongs to another worker of the process.
#[tokio::test(start_paused = true)]
async fn a_result_with_a_handle_of_another_worker_is_an_error() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    leave(ticket, mine);
    let given = refs.client(2).rpc_async("worker1", crate::functions::give, (ticket,)).await.unwrap_err();
    assert!(given.to_string().contains("belongs to another worker"), "{given}");
    refs.assert_empty().await;
    gone(value).await;
}

/// A value with such a handle inside cannot be copied, and can stay.
#[tokio::test(start_paused = true)]
async fn a_value_with_a_handle_of_another_worker_inside_can_not_be_copied() {
    let refs = Refs::new(2).await;
    let (mine, _) = refs.own(0);
    let odd = RRef::new(refs.registry(1), vec![mine]);
    let error = odd.to_here().await.unwrap_err();
    assert!(error.to_string().contains("belongs to another worker"), "{error}");
    assert_eq!(odd.local_value().await.unwrap().len(), 1);
    drop(odd);
    refs.assert_empty().await;
}

/// A worker without a registry neither sends nor takes references.
#[tokio::test(start_paused = true)]
async fn a_worker_that_counts_no_references_is_a_typed_error() {
    let counting = Refs::new(1).await;
    let plain = rpc_testing::Cluster::new(2).await;
    let (mine, _) = counting.own(0);
    let sent = plain.client("worker0").rpc_async("worker1", keep, (fresh(), mine.clone())).await;
    assert_reference!(sent, ReferenceError::NoRegistry);
    drop(mine);
    counting.assert_empty().await;
}

/// Only worker 0 counts references: it hears that the other does not, and waits for nothing.
#[tokio::test(start_paused = true)]
async fn a_reference_to_a_worker_that_counts_none_is_a_typed_error_and_does_not_stay() {
    let refs = Refs::over_some(rpc_testing::Cluster::new(2).await, 1);
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    let sent = refs.client(0).rpc_async("worker1", keep, (ticket, mine)).await.unwrap_err();
    assert!(matches!(reference_error(&sent), ReferenceError::NoRegistry), "{sent}");
    let made: RRef<Tracked> = refs.registry(0).remote("worker1", tracked, (fresh(),)).unwrap();
    assert!(made.to_here().await.is_err());
    drop(made);
    assert_eq!(runs(ticket), 0);
    refs.assert_empty().await;
    gone(value).await;
}
