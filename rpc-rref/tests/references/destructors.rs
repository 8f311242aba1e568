//! Where and how values are dropped.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use rpc_core::Failure;
use rpc_rref::{RRef, Registry};
use rpc_testing::Rule;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::{Refs, eventually, secs, within};
use crate::functions::{Tracked, alive, fresh, give, gone, leave, nothing, taken, tracked};

/// One link of a chain: the value that a reference in another value keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Node {
    next: Option<RRef<Node>>,
}

const DEEP: usize = 100_000;

fn chain(registry: &Arc<Registry>, value: &RRef<Tracked>) -> RRef<(RRef<Tracked>, Node)> {
    let mut next = None;
    for _ in 0..DEEP {
        next = Some(RRef::new(registry, Node { next }));
    }
    RRef::new(registry, (value.clone(), Node { next }))
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_100_000_values_is_dropped_without_growing_the_stack() {
    let refs = Refs::new(1).await;
    let (end, value) = refs.own(0);
    let head = chain(refs.registry(0), &end);
    drop(head);
    drop(end);
    refs.assert_empty().await;
    gone(value).await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_node(ticket: u64, head: RRef<(RRef<Tracked>, Node)>) {
    leave(ticket, head);
}

/// On the thread that drops what was released from elsewhere.
#[tokio::test(start_paused = true)]
async fn a_chain_that_another_worker_lets_go_is_dropped_without_growing_the_stack() {
    let refs = Refs::new(2).await;
    let (end, value) = refs.own(0);
    let head = chain(refs.registry(0), &end);
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_node, (ticket, head)).await.unwrap();
    drop(end);
    assert_eq!(alive(value), 1);
    drop(taken::<RRef<(RRef<Tracked>, Node)>>(ticket));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn a_chain_goes_with_its_registry_without_growing_the_stack() {
    let refs = Refs::new(1).await;
    let (end, value) = refs.own(0);
    let _head = chain(refs.registry(0), &end);
    refs.registry(0).close();
    gone(value).await;
}

/// A value whose destructor waits until it is told to go on.
pub(crate) struct Slow(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Slow {
    pub(crate) fn new() -> (Self, SyncSender<()>) {
        let (go_on, waits) = sync_channel(1);
        (Self(std::sync::Mutex::new(waits)), go_on)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().recv();
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn keep_slow(ticket: u64, slow: RRef<Slow>) {
    leave(ticket, slow);
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn give_slow(ticket: u64) -> RRef<Slow> {
    taken(ticket)
}

async fn is_responsive(refs: &Refs) {
    within(secs(1), refs.client(1).rpc_async("worker0", nothing, ())).await.unwrap();
    within(secs(1), refs.client(0).rpc_async("worker1", nothing, ())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_blocks_after_a_release_stops_nobody() {
    let refs = Refs::new(2).await;
    let (slow, go_on) = Slow::new();
    let mine = RRef::new_opaque(refs.registry(0), slow);
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_slow, (ticket, mine)).await.unwrap();
    drop(taken::<RRef<Slow>>(ticket));
    refs.settle().await;
    is_responsive(&refs).await;
    refs.assert_empty().await;
    go_on.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_blocks_after_the_death_of_its_last_user_stops_nobody() {
    let refs = Refs::new(3).await;
    let (slow, go_on) = Slow::new();
    let mine = RRef::new_opaque(refs.registry(0), slow);
    let ticket = fresh();
    refs.client(0).rpc_async("worker2", keep_slow, (ticket, mine)).await.unwrap();
    refs.kill(2);
    refs.settle().await;
    is_responsive(&refs).await;
    refs.assert_empty().await;
    go_on.send(()).unwrap();
    drop(taken::<RRef<Slow>>(ticket));
}

/// The owner's own handle comes back in an answer that nobody waits for.
#[tokio::test(start_paused = true)]
async fn a_destructor_that_blocks_after_a_late_answer_stops_nobody() {
    let refs = Refs::new(2).await;
    for detached in [true, false] {
        let (slow, go_on) = Slow::new();
        let mine = RRef::new_opaque(refs.registry(0), slow);
        let ticket = fresh();
        refs.client(0).rpc_async("worker1", keep_slow, (ticket, mine)).await.unwrap();
        let late = refs.rule(1, 0, Rule::hold().replies());
        let call = refs.client(0).rpc_async("worker1", give_slow, (ticket,));
        refs.cluster.network().until_held(1).await;
        if detached {
            drop(call);
        } else {
            call.cancel();
        }
        late.remove();
        refs.settle().await;
        is_responsive(&refs).await;
        refs.assert_empty().await;
        go_on.send(()).unwrap();
    }
}

/// The owner's own handle comes back in a request that is not served.
#[tokio::test(start_paused = true)]
async fn a_destructor_that_blocks_after_a_request_that_is_refused_stops_nobody() {
    let refs = Refs::new(2).await;
    let (slow, go_on) = Slow::new();
    let mine = RRef::new_opaque(refs.registry(0), slow);
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_slow, (ticket, mine)).await.unwrap();
    let at_1: RRef<Slow> = taken(ticket);
    // `unreadable` takes something else than what is sent.
    let call = refs.client(1).rpc_async("worker0", unreadable, (Cover(at_1),));
    refs.settle().await;
    go_on.send(()).unwrap();
    let error = within(secs(1), call).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::BadArguments { .. })), "{error}");
    refs.assert_empty().await;
}

/// Written as a reference, and read as something that is not there.
struct Cover(RRef<Slow>);

impl Serialize for Cover {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Cover {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it cannot be read"))
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn unreadable(cover: Cover) {
    drop(cover);
}

/// A value whose destructor panics.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

/// Dropping a handle never panics, and what else is dropped with it is dropped.
#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_hurts_nobody_who_drops_a_reference() {
    let refs = Refs::new(1).await;
    let (mine, value) = refs.own(0);
    let bomb = RRef::new_opaque(refs.registry(0), Bomb);
    let both = RRef::new_opaque(refs.registry(0), (bomb, mine));
    drop(both);
    gone(value).await;
    refs.assert_empty().await;
    let (after, _) = refs.own(0);
    assert!(after.local_value().await.is_ok());
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_bomb(ticket: u64, bomb: RRef<Bomb>) {
    leave(ticket, bomb);
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_after_a_release_hurts_nobody() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let ticket = fresh();
    let bomb = RRef::new_opaque(refs.registry(0), Bomb);
    refs.client(0).rpc_async("worker1", keep_bomb, (ticket, bomb)).await.unwrap();
    drop((taken::<RRef<Bomb>>(ticket), at_1));
    refs.assert_empty().await;
    gone(value).await;
    is_responsive(&refs).await;
}

#[tokio::test(start_paused = true)]
async fn destructors_that_panic_when_the_registry_closes_keep_no_other_from_running() {
    let refs = Refs::new(1).await;
    let (_mine, value) = refs.own(0);
    let _bombs = [(); 3].map(|()| RRef::new_opaque(refs.registry(0), Bomb));
    let (_other, another) = refs.own(0);
    refs.registry(0).close();
    assert_eq!((alive(value), alive(another)), (0, 0));
}

/// A value whose copy is made by dropping a reference.
struct LetsGo(std::sync::Mutex<Option<RRef<Tracked>>>);

impl Serialize for LetsGo {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let dropped = self.0.lock().unwrap().take();
        to.serialize_bool(dropped.is_some())
    }
}

impl<'de> Deserialize<'de> for LetsGo {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        bool::deserialize(from).map(|_| Self(std::sync::Mutex::default()))
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn take_lets_go(value: LetsGo, rref: RRef<LetsGo>) {
    drop((value, rref));
}

#[tokio::test(start_paused = true)]
async fn a_reference_can_be_dropped_while_a_message_is_encoded() {
    let refs = Refs::new(2).await;
    // Of this worker's own, of another's, in arguments, and in a copy.
    let (mine, first) = refs.own(0);
    let (other, second) = refs.own(1);
    let at_0 = refs.pass(1, 0, &other).await;
    drop(other);
    let copied = RRef::new(refs.registry(0), LetsGo(std::sync::Mutex::new(Some(mine))));
    let sent = LetsGo(std::sync::Mutex::new(Some(at_0)));
    refs.client(0).rpc_async("worker1", take_lets_go, (sent, copied.clone())).await.unwrap();
    copied.to_here().await.unwrap();
    gone(first).await;
    gone(second).await;
    drop(copied);
    refs.assert_empty().await;
}

/// A value whose destructor makes and drops references, and asks for one.
struct Busy(Arc<Registry>);

impl Drop for Busy {
    fn drop(&mut self) {
        drop(RRef::new(&self.0, String::from("a last word")));
        drop(self.0.remote("worker1", tracked, (0,)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_destructor_may_use_references_itself() {
    let refs = Refs::new(2).await;
    let busy = RRef::new_opaque(refs.registry(0), Busy(Arc::clone(refs.registry(0))));
    drop(busy);
    refs.assert_empty().await;
}

/// A guard keeps the value, not the reference.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_borrowed_when_its_last_reference_goes_is_dropped_with_the_guard() {
    let refs = Refs::new(1).await;
    let (mine, value) = refs.own(0);
    let guard = mine.local_value().await.unwrap();
    drop(mine);
    assert!(refs.registry(0).is_idle());
    assert_eq!((guard.ticket(), alive(value)), (value, 1));
    drop(guard);
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn values_that_come_in_an_answer_to_nobody_are_dropped_where_they_are() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(1);
    let ticket = fresh();
    leave(ticket, mine);
    drop(refs.client(0).rpc_async("worker1", give, (ticket,)));
    refs.assert_empty().await;
    eventually("the value is dropped on its owner", || alive(value) == 0).await;
}
