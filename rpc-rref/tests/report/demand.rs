//! The list on demand.

use std::sync::Arc;

use rpc_rref::RRef;
use rpc_rref::report::Handles;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_to_write_a_value_is_let_in_after_it_was_looked_into() {
    let refs = Refs::new(1).await;
    let registry = Arc::clone(refs.registry(0));
    let value = RRef::new(&registry, Node::default());
    let listing = tokio::spawn(async move {
        for _ in 0..200 {
            registry.rrefs().await;
        }
    });
    while !listing.is_finished() {
        value.local_value_mut().await.unwrap().next.clear();
    }
    listing.await.unwrap();
}
