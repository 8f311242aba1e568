//! References anywhere inside of arguments, results, errors and values.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use rpc_core::{CallError, Tensor};
use rpc_rref::RRef;
use serde::{Deserialize, Serialize};

use crate::common::Refs;
use crate::functions::{Tracked, fresh, gone, leave, taken};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bag {
    one: RRef<Tracked>,
    many: Vec<RRef<Tracked>>,
    perhaps: Option<RRef<Tracked>>,
    none: Option<RRef<Tracked>>,
    by_name: BTreeMap<String, RRef<Tracked>>,
    by_number: HashMap<u8, (u8, RRef<Tracked>)>,
    pair: (RRef<Tracked>, RRef<Tracked>),
    either: Result<RRef<Tracked>, String>,
    boxed: Box<Kind>,
    array: [RRef<Tracked>; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(RRef<Tracked>),
    Struct { inner: Option<Box<Kind>>, rref: RRef<Tracked> },
}

impl Bag {
    fn of(one: &RRef<Tracked>, other: &RRef<Tracked>) -> Self {
        let (one, other) = (|| one.clone(), || other.clone());
        Self {
            one: one(),
            many: vec![one(), other(), one()],
            perhaps: Some(other()),
            none: None,
            by_name: BTreeMap::from([("one".into(), one()), ("other".into(), other())]),
            by_number: HashMap::from([(7, (8, other()))]),
            pair: (one(), other()),
            either: Ok(other()),
            boxed: Box::new(Kind::Struct {
                inner: Some(Box::new(Kind::Struct { inner: Some(Box::new(Kind::Unit)), rref: one() })),
                rref: other(),
            }),
            array: [other(), one()],
        }
    }
}

/// An error with a reference inside.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sorry {
    instead: RRef<Tracked>,
}

impl fmt::Display for Sorry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "take {} instead", self.instead)
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_bag(ticket: u64, bag: Bag) -> Bag {
    leave(ticket, bag.clone());
    bag
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn refuse(instead: RRef<Tracked>) -> Result<(), Sorry> {
    Err(Sorry { instead })
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn beside_tensors(
    before: Tensor,
    rref: RRef<Tracked>,
    after: Vec<Tensor>,
    last: RRef<Tracked>,
) -> (RRef<Tracked>, Tensor, RRef<Tracked>) {
    (last, after.into_iter().next().unwrap_or(before), rref)
}

#[tokio::test(start_paused = true)]
async fn references_travel_in_structs_vectors_maps_options_tuples_and_enums() {
    let refs = Refs::new(3).await;
    let (one, first) = refs.own(0);
    let (two, second) = refs.own(2);
    let two_at_0 = refs.pass(2, 0, &two).await;
    let bag = Bag::of(&one, &two_at_0);
    let ticket = fresh();
    let back = refs.client(0).rpc_async("worker1", keep_bag, (ticket, bag.clone())).await.unwrap();
    assert_eq!(back, bag);
    let there: Bag = taken(ticket);
    assert_eq!(there, bag);
    for rref in [&there.one, &there.many[2], &there.by_name["one"], &there.pair.0, &there.array[1]] {
        assert_eq!(rref.to_here().await.unwrap().ticket(), first);
    }
    for rref in [&there.many[1], &there.by_number[&7].1, there.either.as_ref().unwrap()] {
        assert_eq!(rref.to_here().await.unwrap().ticket(), second);
    }
    drop((one, two, two_at_0, bag, back));
    refs.settle().await;
    assert_eq!(there.pair.0.to_here().await.unwrap().ticket(), first);
    drop(there);
    refs.assert_empty().await;
    gone(first).await;
    gone(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_travels_in_the_error_of_a_function() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let error = refs.client(0).rpc_async("worker1", refuse, (mine.clone(),)).await.unwrap_err();
    let CallError::Handler { error: Sorry { instead }, .. } = error else { panic!("{error:?}") };
    assert_eq!(instead, mine);
    assert_eq!(instead.local_value().await.unwrap().ticket(), value);
    drop((mine, instead));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn references_and_tensors_travel_in_one_message_each_way() {
    let refs = Refs::new(2).await;
    let (first, one) = refs.own(0);
    let (last, two) = refs.own(0);
    let tensor = |n: f32| Tensor::from_vec(vec![n; 1_000], [10, 100]).unwrap();
    let args = (tensor(1.0), first, vec![tensor(2.0), tensor(3.0)], last);
    let (last, got, first) = refs.client(0).rpc_async("worker1", beside_tensors, args).await.unwrap();
    assert_eq!(got, tensor(2.0));
    assert_eq!(first.to_here().await.unwrap().ticket(), one);
    assert_eq!(last.to_here().await.unwrap().ticket(), two);
    drop((first, last));
    refs.assert_empty().await;
}

/// A value on one worker that has references to values of others inside.
#[tokio::test(start_paused = true)]
async fn a_value_keeps_what_it_refers_to_and_a_copy_of_it_refers_to_the_same() {
    let refs = Refs::new(3).await;
    let (one, first) = refs.own(0);
    let (two, second) = refs.own(2);
    let two_at_0 = refs.pass(2, 0, &two).await;
    let bag = RRef::new(refs.registry(0), Bag::of(&one, &two_at_0));
    drop((one, two, two_at_0));
    refs.settle().await;
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_bag_reference, (ticket, bag)).await.unwrap();
    let at_1: RRef<Bag> = taken(ticket);
    let copy = at_1.to_here().await.unwrap();
    drop(at_1);
    refs.settle().await;
    assert_eq!(copy.one.to_here().await.unwrap().ticket(), first);
    assert_eq!(copy.pair.1.to_here().await.unwrap().ticket(), second);
    drop(copy);
    refs.assert_empty().await;
    gone(first).await;
    gone(second).await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_bag_reference(ticket: u64, bag: RRef<Bag>) {
    leave(ticket, bag);
}

/// One message, one handle, many places: each counts, none is lost.
#[tokio::test(start_paused = true)]
async fn one_reference_a_thousand_times_in_a_message_is_a_thousand_handles() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    let many = vec![mine; 1_000];
    refs.client(0).rpc_async("worker1", keep_many_tracked, (ticket, many)).await.unwrap();
    let mut at_1: Vec<RRef<Tracked>> = taken(ticket);
    let last = at_1.pop().unwrap();
    drop(at_1);
    refs.settle().await;
    assert_eq!(last.to_here().await.unwrap().ticket(), value);
    drop(last);
    refs.assert_empty().await;
    gone(value).await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_many_tracked(ticket: u64, many: Vec<RRef<Tracked>>) {
    leave(ticket, many);
}

/// A type that writes a reference and does not read it: what no argument takes is given back.
#[tokio::test(start_paused = true)]
async fn a_handle_that_no_argument_takes_is_given_back() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    refs.client(0).rpc_async("worker1", ignore, (Shy(Some(mine)),)).await.unwrap();
    refs.assert_empty().await;
    gone(value).await;
}

struct Shy(Option<RRef<Tracked>>);

impl Serialize for Shy {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Shy {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // As it stands in the message: the index of the handle.
        Option::<u32>::deserialize(from).map(|_| Self(None))
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn ignore(shy: Shy) -> bool {
    shy.0.is_some()
}
