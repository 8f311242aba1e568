//! References in calls that another codec than postcard writes, and that belong to a trace.

use rpc_core::{CallContext, CallScope, Codecs, JSON, MESSAGEPACK, POSTCARD};
use rpc_rref::RRef;

use crate::common::Refs;
use crate::counter::{Counter, Refused, new_counter};
use crate::functions::{Tracked, fresh, keep, taken};

#[tokio::test(start_paused = true)]
async fn references_methods_and_copies_work_under_each_codec() {
    let refs = Refs::new(3).await;
    for codec in [POSTCARD, MESSAGEPACK, JSON].into_iter().filter(|id| Codecs::default().has(*id)) {
        let calls = CallScope::new().codec(codec).scope(async {
            let counter: RRef<Counter> = refs.registry(0).remote("worker1", new_counter, (10,)).unwrap();
            assert_eq!(counter.rpc_async().add(5).await.unwrap(), 15, "codec {codec}");
            assert_eq!(counter.to_here().await.unwrap(), Counter { n: 15 });
            let refused = counter.rpc_async().refuse("no".into()).await.unwrap_err();
            assert_eq!(refused.handler_error(), Some(&Refused("no".into())), "{refused:?}");
            let (value, _) = refs.own(0);
            let ticket = fresh();
            refs.client(0).rpc_async("worker2", keep, (ticket, value.clone())).await.unwrap();
            let at_2: RRef<Tracked> = taken(ticket);
            assert_eq!(at_2.to_here().await.unwrap(), *value.local_value().await.unwrap());
        });
        calls.await;
    }
    refs.assert_empty().await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn traced() -> Option<String> {
    CallContext::current()?.trace().map(|trace| trace.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_creation_knows_its_trace() {
    let refs = Refs::new(2).await;
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let scope = CallScope::new().trace(text.parse().unwrap());
    let made = scope.run(|| refs.registry(0).remote("worker1", traced, ())).unwrap();
    assert_eq!(made.to_here().await.unwrap().as_deref(), Some(text));
    drop(made);
    refs.assert_empty().await;
}
