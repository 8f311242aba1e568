//! Creations whose request is answered with a failure at once, by an agent that knows more than its caller.

use std::sync::{Arc, Weak};

use rpc_core::{
    Agent, BoxFuture, Client, Failure, FunctionTable, Group, Handler, HandlerRan, Incarnation, Kind, Member,
    ReferenceError, Reply, Request, Shutdown, ShutdownError, ShutdownReport, WorkerId, WorkerInfo,
    WorkerName,
};
use rpc_rref::Registry;

use crate::common::assert_reference;
use crate::functions::{fresh, tracked};

/// Answers each request with the same failure.
#[derive(Debug)]
struct Failing(Group, Failure);

impl Agent for Failing {
    fn id(&self) -> WorkerId {
        WorkerId(0)
    }

    fn group(&self) -> &Group {
        &self.0
    }

    fn send(&self, _: WorkerId, _: Request) -> Reply {
        Reply::ready(Err(self.1.clone()))
    }

    fn serve(&self, _: Kind, _: Arc<dyn Handler>) {}

    fn shutdown(&self, _: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        Box::pin(std::future::ready(Ok(ShutdownReport::default())))
    }
}

fn registry(failure: Failure) -> Arc<Registry> {
    let member = |rank: u32| {
        let info = WorkerInfo::new(WorkerName::new(format!("worker{rank}")).unwrap(), WorkerId(rank));
        Member::new(info, Incarnation([rank as u8; 16]), "")
    };
    let group = Group::new("test", vec![member(0), member(1)]).unwrap();
    let client = Client::new(Arc::new(Failing(group, failure)), Arc::default());
    Registry::start(&client, Arc::new(FunctionTable::linked().unwrap()), Weak::<Client>::new()).unwrap()
}

/// How early the owner's death is known must not decide where it shows.
#[tokio::test(start_paused = true)]
async fn a_dead_owner_shows_when_the_reference_is_used_however_early_it_is_known() {
    let gone = [
        (true, Failure::Unreachable { address: "a".into(), cause: "refused".into() }),
        (true, Failure::Departed),
        // A link may come back.
        (false, Failure::LinkLost { cause: "reset".into(), ran: HandlerRan::No }),
    ];
    for (for_good, failure) in gone {
        let registry = registry(failure);
        let rref = registry.remote("worker1", tracked, (fresh(),)).unwrap();
        for _ in 0..2 {
            match for_good {
                true => assert_reference!(rref.to_here().await, ReferenceError::OwnerLost { .. }),
                false => assert_reference!(rref.to_here().await, ReferenceError::NotCreated { .. }),
            }
        }
        assert!(rref.created().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_made_is_an_error_of_the_call() {
    for failure in [Failure::Overloaded { bound: "calls".into(), limit: 1 }, Failure::ShutDown] {
        let error = registry(failure.clone()).remote("worker1", tracked, (fresh(),)).unwrap_err();
        assert_eq!(error.failure().map(ToString::to_string), Some(failure.to_string()));
    }
}
