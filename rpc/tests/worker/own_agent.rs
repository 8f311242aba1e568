//! A backend that implements `Agent` whole: workers of one process that hand requests to each other
//! without links or engine. Shows that the facade needs no more than the trait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use rpc::Shutdown;
use rpc::prelude::*;
use rpc::rpc_core::{
    Agent, AgentStart, Backend, BackendError, BackendRegistry, BindOptions, BoundBackend, BoxFuture, Group,
    Handler, Incoming, Kind, Outcome, Promise, Reply, Request, Response, ShutdownError, ShutdownReport,
};

use crate::support::builder;

/// Agents by address.
type Office = Arc<Mutex<HashMap<String, Weak<DirectAgent>>>>;

#[derive(Clone, Debug, Default)]
struct Direct {
    office: Office,
}

impl Backend for Direct {
    fn name(&self) -> &str {
        "direct"
    }

    fn bind(&self, _: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
        let address = format!("desk{}", self.office.lock().unwrap().len());
        self.office.lock().unwrap().insert(address.clone(), Weak::new());
        let bound: Box<dyn BoundBackend> = Box::new(Desk { address, office: Arc::clone(&self.office) });
        Box::pin(std::future::ready(Ok(bound)))
    }
}

struct Desk {
    address: String,
    office: Office,
}

impl BoundBackend for Desk {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn start(self: Box<Self>, start: AgentStart) -> BoxFuture<'static, Result<Arc<dyn Agent>, BackendError>> {
        let agent = Arc::new(DirectAgent {
            id: start.id,
            group: start.group,
            office: Arc::clone(&self.office),
            handlers: Mutex::default(),
            closed: Mutex::default(),
        });
        self.office.lock().unwrap().insert(self.address, Arc::downgrade(&agent));
        Box::pin(std::future::ready(Ok(agent as Arc<dyn Agent>)))
    }
}

#[derive(Debug)]
struct DirectAgent {
    id: WorkerId,
    group: Group,
    office: Office,
    handlers: Mutex<Handlers>,
    closed: Mutex<bool>,
}

#[derive(Default)]
struct Handlers(HashMap<Kind, Arc<dyn Handler>>);

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handlers")
    }
}

impl Agent for DirectAgent {
    fn id(&self) -> WorkerId {
        self.id
    }

    fn group(&self) -> &Group {
        &self.group
    }

    fn send(&self, to: WorkerId, request: Request) -> Reply {
        if *self.closed.lock().unwrap() {
            return Reply::ready(Err(Failure::ShutDown));
        }
        let address = &self.group.get(to).unwrap().address;
        let Some(callee) = self.office.lock().unwrap().get(address).and_then(Weak::upgrade) else {
            return Reply::ready(Err(Failure::Departed));
        };
        let Some(handler) = callee.handlers.lock().unwrap().0.get(&request.kind).cloned() else {
            return Reply::ready(Ok(Response::failed(Outcome::UnknownKind, &[])));
        };
        let context = CallContext::new(self.id, request.timeout);
        let (promise, reply) = Promise::new();
        let served = handler.handle(Incoming { from: self.id, request, context, link: 0 });
        tokio::spawn(async {
            let on_a_thread = async |job| tokio::task::spawn_blocking(job).await.unwrap();
            promise.complete(Ok(served.response(on_a_thread).await));
        });
        reply
    }

    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>) {
        self.handlers.lock().unwrap().0.insert(kind, handler);
    }

    fn shutdown(&self, _: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        *self.closed.lock().unwrap() = true;
        Box::pin(std::future::ready(Ok(ShutdownReport::default())))
    }
}

#[rpc::function]
fn shout(text: String) -> String {
    text.to_uppercase()
}

#[rpc::function]
async fn relay(text: String) -> Result<String, String> {
    let worker = Worker::current();
    worker.rpc_async("worker0", shout, (text,)).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_agent_of_ones_own_carries_calls_under_its_own_name() {
    let direct = Direct::default();
    let mut backends = rpc::default_backends();
    backends.register(direct.clone()).unwrap();
    let store = Arc::default();
    let worker = |rank| builder(rank, 2, &store).backends(backends.clone()).backend("direct");
    let (first, second) = tokio::join!(worker(0).init(), worker(1).init());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.rpc_async("worker1", relay, ("hey".into(),)).await.unwrap(), "HEY");
    first.shutdown().await.unwrap();
    let error = first.rpc_async("worker1", shout, ("hey".into(),)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::ShutDown));
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_only_backend_is_taken_without_being_named_and_a_name_is_registered_once() {
    let mut backends = BackendRegistry::new();
    backends.register(Direct::default()).unwrap();
    assert!(backends.register(Direct::default()).unwrap_err().to_string().contains("direct"));
    let builder = builder(0, 1, &Arc::default()).backends(backends).variables(|_| None);
    let worker = builder.init().await.unwrap();
    assert_eq!(worker.rpc_async(0, shout, ("hey".into(),)).await.unwrap(), "HEY");
}
