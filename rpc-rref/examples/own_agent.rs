//! Counted references over an [`Agent`] written by hand: no transport, no engine, no sockets.
//!
//! Three workers of one process put requests into each other's inboxes, as values. Whatever carries yours
//! (shared memory, MPI, a message broker), references over it are exact if the agent keeps to this:
//!
//! - **One answer for each request**, those of a worker to itself included. With the handler's response whenever
//!   there is one, also when the caller has given up meanwhile: it may carry references ([`Promise::give_up`]).
//! - **At most one run.** A request reaches its handler once or not at all, and `Incoming::from` is who sent it.
//! - **`Unreachable` and `Departed` are for good.** A request that fails so says that the worker is dead: what it
//!   held is let go, what it owned is lost. What may work again soon is a `LinkLost`.
//! - **[`Served::After`] waits.** A function starts when the owners of the references that it is given know of
//!   them. [`Served::response`] does the waiting.
//!
//! References need no order: requests and answers may overtake each other (calls should not, see [`Agent::send`]).
//!
//! [`Agent::watch`] is for agents that can lose an answer after a handler has given it. Without it the references
//! in that answer keep their values until a request to its receiver fails for good, and the death of an owner
//! shows with the next request to it, not at once. The agent below loses no answer and does without.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc_core::{
    Agent, BoxFuture, CallContext, CallError, Client, Failure, FunctionHandler, FunctionTable, Group,
    Handler, HandlerRan, Host, Incarnation, Incoming, Kind, Member, Outcome, Promise, Reply, Request,
    Response, Served, Shutdown, ShutdownError, ShutdownReport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_rref::{RRef, Registry};
use serde::{Deserialize, Serialize};
use tokio::sync::{SetOnce, mpsc};

/// A request, and where its answer goes. As many are in the inboxes as there are callers who wait.
type Post = (Incoming, Promise);
type Handlers = Arc<Mutex<HashMap<Kind, Arc<dyn Handler>>>>;

struct Direct {
    id: WorkerId,
    group: Group,
    /// Everybody's inbox, by rank.
    inboxes: Vec<mpsc::UnboundedSender<Post>>,
    handlers: Handlers,
    reader: tokio::task::AbortHandle,
}

impl Agent for Direct {
    fn id(&self) -> WorkerId {
        self.id
    }
    fn group(&self) -> &Group {
        &self.group
    }
    fn send(&self, to: WorkerId, request: Request) -> Reply {
        let (promise, reply) = Promise::new();
        let context = CallContext::new(self.id, request.timeout);
        let post = (Incoming { from: self.id, request, context, link: 0 }, promise);
        if let Err(mpsc::error::SendError((_, promise))) = self.inboxes[to.0 as usize].send(post) {
            promise.complete(Err(Failure::Departed));
        }
        reply
    }
    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>) {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, handler);
    }
    /// Closes the inbox, without waiting for anybody.
    fn shutdown(&self, _: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        self.reader.abort();
        Box::pin(ready(Ok(ShutdownReport::default())))
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Direct({})", self.id)
    }
}

async fn read(mut inbox: mpsc::UnboundedReceiver<Post>, handlers: Handlers) {
    while let Some((incoming, promise)) = inbox.recv().await {
        let handler =
            handlers.lock().unwrap_or_else(PoisonError::into_inner).get(&incoming.request.kind).cloned();
        let context = incoming.context.clone();
        let served = match handler {
            Some(handler) => handler.handle(incoming),
            None => Served::Now(Response::failed(Outcome::UnknownKind, &[])),
        };
        tokio::spawn(answer(served, context, promise));
    }
}

async fn answer(served: Served, context: CallContext, promise: Promise) {
    let on_a_thread = async |job| match tokio::task::spawn_blocking(job).await {
        Ok(response) => response,
        Err(error) => Response::failed(Outcome::Panicked, &[&error.to_string()]),
    };
    let mut response = pin!(served.response(on_a_thread));
    let after = context.remaining().unwrap_or(Duration::MAX);
    if let Ok(response) = tokio::time::timeout(after, &mut response).await {
        return promise.complete(Ok(response));
    }
    promise.give_up(Failure::TimedOut { after, ran: HandlerRan::Unknown });
    context.cancel();
    promise.complete(Ok(response.await));
}

/// What a worker of this stack has: typed calls over its agent, and a registry that counts references.
struct Worker {
    client: Arc<Client>,
    registry: Arc<Registry>,
}

fn start<const N: usize>(names: [&str; N]) -> Result<[Worker; N], Box<dyn Error>> {
    let member = |(rank, name): (usize, &str)| {
        let info = WorkerInfo::new(WorkerName::new(name)?, WorkerId(rank as u32));
        let (incarnation, address) = (Incarnation([rank as u8; 16]), String::new());
        Ok::<_, Box<dyn Error>>(Member { info, incarnation, address })
    };
    let group =
        Group::new("own agent", names.into_iter().enumerate().map(member).collect::<Result<_, _>>()?)?;
    let functions = Arc::new(FunctionTable::linked()?);
    let (inboxes, read_from): (Vec<_>, Vec<_>) = names.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let mut workers = Vec::new();
    for (rank, inbox) in read_from.into_iter().enumerate() {
        let handlers = Handlers::default();
        let reader = tokio::spawn(read(inbox, Arc::clone(&handlers))).abort_handle();
        let (id, group, inboxes) = (WorkerId(rank as u32), group.clone(), inboxes.clone());
        let agent: Arc<dyn Agent> = Arc::new(Direct { id, group, inboxes, handlers, reader });
        let client = Arc::new(Client::new(Arc::clone(&agent), Arc::default()));
        let host: Arc<dyn Host> = client.clone();
        let host = Arc::downgrade(&host);
        let calls = FunctionHandler::new(Arc::clone(&functions), Arc::default(), host.clone());
        agent.serve(Kind::CALL, Arc::new(calls));
        let registry = Registry::start(&client, Arc::clone(&functions), host)?;
        workers.push(Worker { client, registry });
    }
    Ok(workers.try_into().ok().expect("as many as names"))
}

#[derive(Serialize, Deserialize)]
struct Counter {
    n: u64,
}

/// What the counter had come to when it was dropped.
static LAST: SetOnce<u64> = SetOnce::const_new();

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = LAST.set(self.n);
    }
}

#[rpc_macros::methods(crate = "rpc_rref")]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }
}

#[rpc_macros::function(crate = "rpc_core")]
fn new_counter(n: u64) -> Counter {
    Counter { n }
}

#[rpc_macros::function(crate = "rpc_core")]
async fn add_from_here(counter: RRef<Counter>, by: u64) -> Result<u64, CallError> {
    counter.rpc_async().add(by).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [alice, bob, carol] = &start(["alice", "bob", "carol"])?;
    let counter: RRef<Counter> = alice.registry.remote("bob", new_counter, (10,))?;
    println!("{counter:?} stays with {}", counter.owner_name()?);
    println!("alice adds 5: {}", counter.rpc_async().add(5).await?);
    let sum = alice.client.rpc_async("carol", add_from_here, (counter.clone(), 2)).await?;
    println!("carol, who was given the reference, adds 2: {sum}");
    drop(counter);
    println!("nobody refers to it any more; it was dropped at {}", LAST.wait().await);
    assert_eq!(LAST.get(), Some(&17));
    while ![alice, bob, carol].iter().all(|worker| worker.registry.is_idle()) {
        tokio::task::yield_now().await; // the last receipts are on their way
    }
    println!("and no worker counts anything");
    Ok(())
}

#[test]
fn the_story_ends() {
    main().unwrap();
}
