//! The list on demand.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};

use rpc_rref::RRef;
use rpc_rref::report::Handles;
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;

use crate::common::{Node, Refs, here, new_node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_lists_what_it_owns_and_what_it_holds() {
    let refs = Refs::new(2).await;
    let (value, value_line) = (RRef::new(refs.registry(0), Node::default()), here());
    let (shelf, shelf_line) = (refs.registry(0).remote("worker1", new_node, ()).unwrap(), here());
    shelf.rpc_async().put(value.clone()).await.unwrap();
    value.rpc_async().put(shelf.clone()).await.unwrap();
    let line = |place: &str| place.rsplit_once(':').unwrap().0.to_owned();

    let list = refs.registry(0).rrefs().await;
    let [owned] = &list.owned[..] else { panic!("{list}") };
    assert_eq!(line(&owned.created), line(&value_line));
    let holders: Vec<&str> = owned.holders.iter().map(|holder| holder.worker.name.as_str()).collect();
    assert_eq!(holders, ["worker1", "worker0"], "{list}");
    let Handles::At(there) = &owned.holders[0].handles else { panic!("{list}") };
    assert_eq!(there[0].inside, Some(shelf.id()));
    let Handles::At(own) = &owned.holders[1].handles else { panic!("{list}") };
    assert_eq!(line(&own[0].place), line(&value_line));
    let steps: Vec<_> = owned.cycle.iter().map(|step| step.rref).collect();
    assert_eq!(steps, [value.id(), shelf.id()]);

    let [held, inside] = &list.held[..] else { panic!("{list}") };
    for held in [held, inside] {
        assert_eq!((held.rref, held.owner.name.as_str()), (shelf.id(), "worker1"));
    }
    assert_eq!((line(&held.handle.place), held.handle.inside), (line(&shelf_line), None));
    assert_eq!(inside.handle.inside, Some(value.id()));
    let text = list.to_string();
    assert!(text.contains("owns 0:0@0") && text.contains("holds 0:0@1 of worker1 (rank 1)"), "{text}");

    value.rpc_async().clear().await.unwrap();
    drop((value, shelf));
    while refs.registry(0).rrefs().await.owned.iter().chain(&refs.registry(1).rrefs().await.owned).count() > 0
    {
        tokio::task::yield_now().await;
    }
    let list = refs.registry(0).rrefs().await;
    assert!(list.owned.is_empty() && list.held.is_empty(), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_does_not_answer_is_listed_without_places() {
    let refs = Refs::new(2).await;
    let value = RRef::new(refs.registry(0), Node::default());
    let shelf = refs.registry(0).remote("worker1", new_node, ()).unwrap();
    shelf.rpc_async().put(value.clone()).await.unwrap();
    drop(value);
    refs.cluster.partition("worker0", "worker1");
    let list = refs.registry(0).rrefs().await;
    assert_eq!(list.owned[0].holders[0].handles, Handles::Unknown, "{list}");
    refs.cluster.heal("worker0", "worker1");
}

/// A value that is not written out before `OPEN` is true.
struct Gated(u64);

/// A permit for each time that one begins to be written out.
static BEGUN: Semaphore = Semaphore::const_new(0);
static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

impl Serialize for Gated {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        BEGUN.add_permits(1);
        let open = OPEN.0.lock().unwrap();
        drop(OPEN.1.wait_while(open, |open| !*open).unwrap());
        to.serialize_u64(self.0)
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_to_write_a_value_is_let_in_after_it_was_looked_into() {
    let refs = Refs::new(1).await;
    let registry = Arc::clone(refs.registry(0));
    let value = RRef::new(&registry, Gated(0));
    let listing = tokio::spawn(async move { registry.rrefs().await });
    BEGUN.acquire().await.unwrap().forget();
    let mut writing = pin!(value.local_value_mut());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(writing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "it is being read");
    *OPEN.0.lock().unwrap() = true;
    OPEN.1.notify_all();
    assert_eq!(listing.await.unwrap().owned[0].rref, value.id());
    assert!(woken.0.load(Ordering::SeqCst));
    writing.await.unwrap().0 = 1;
}
