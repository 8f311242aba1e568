//! Counted references over an [`Agent`] written by hand: no transport, no engine, no sockets.
//!
//! Whatever carries requests (here inboxes in one process), references are exact if the agent keeps to this:
//! - **One answer for each request**, those of a worker to itself included: the handler's response if there is
//!   one, also after the caller gave up ([`Promise::give_up`]), because there may be references in it.
//! - **At most one run.** A request reaches its handler once or not at all; `Incoming::from` is who sent it.
//! - **`Unreachable` and `Departed` are final**: what that worker held is let go and what it owned is lost, for
//!   ever. A failure that may pass is a `LinkLost`.
//! - **[`Served::After`] waits** for the owners of the references in a request; [`Served::response`] does that.
//!
//! References need no order (calls do, see [`Agent::send`]). [`Agent::watch`] is for agents that, unlike this one,
//! can lose an answer that a handler gave: without it, references in such an answer keep their values until a
//! request to its receiver fails for good, and the death of an owner shows only with the next request to it.

use std::sync::{Arc, Weak};

use rpc_core::{
    Agent, BoxFuture, CallContext, CallError, Client, Failure, FunctionTable, Group, Handler, HandlerRan,
    Incarnation, Incoming, Kind, Member, Outcome, Promise, Reply, Request, Response, Served, Shutdown,
    ShutdownError, ShutdownReport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_rref::{RRef, Registry};
use tokio::sync::{SetOnce, mpsc};

enum Post {
    Serve(Kind, Arc<dyn Handler>),
    Request(Incoming, Promise),
}

#[derive(Debug)]
struct Direct {
    id: WorkerId,
    group: Group,
    inboxes: Vec<mpsc::UnboundedSender<Post>>, // by rank
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
        let request = Incoming { from: self.id, request, context, link: 0 };
        let post = self.inboxes[to.0 as usize].send(Post::Request(request, promise));
        post.map_or_else(|_| Reply::ready(Err(Failure::Departed)), |()| reply)
    }
    fn serve(&self, kind: Kind, handler: Arc<dyn Handler>) {
        let _ = self.inboxes[self.id.0 as usize].send(Post::Serve(kind, handler)); // closed: nobody asks
    }
    fn shutdown(&self, _: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        self.reader.abort(); // closes the inbox; a graceful one would meet the others first
        Box::pin(std::future::ready(Ok(ShutdownReport::default())))
    }
}

async fn read(mut inbox: mpsc::UnboundedReceiver<Post>) {
    let mut handlers = std::collections::HashMap::<_, Arc<dyn Handler>>::new();
    while let Some(post) = inbox.recv().await {
        match post {
            Post::Serve(kind, handler) => _ = handlers.insert(kind, handler),
            Post::Request(incoming, promise) => {
                let (timeout, handler) = (incoming.request.timeout, handlers.get(&incoming.request.kind));
                let unknown = || Served::Now(Response::failed(Outcome::UnknownKind, &[]));
                let served = handler.map_or_else(unknown, |handler| handler.handle(incoming));
                tokio::spawn(answer(served, timeout, promise));
            }
        }
    }
}

async fn answer(served: Served, timeout: Option<std::time::Duration>, promise: Promise) {
    let on_a_thread = async |job| tokio::task::spawn_blocking(job).await.expect("it catches its panics");
    let mut response = std::pin::pin!(served.response(on_a_thread));
    let after = timeout.unwrap_or(std::time::Duration::MAX);
    if let Ok(response) = tokio::time::timeout(after, &mut response).await {
        return promise.complete(Ok(response));
    }
    promise.give_up(Failure::TimedOut { after, ran: HandlerRan::Unknown });
    promise.complete(Ok(response.await));
}

/// The registries of workers with these names.
#[expect(clippy::disallowed_methods, reason = "inboxes are as long as there are callers who wait")]
fn start(names: [&str; 3]) -> Result<Vec<Arc<Registry>>, Box<dyn std::error::Error>> {
    let mut members = Vec::new();
    for (rank, name) in (0..).zip(names) {
        let info = WorkerInfo::new(WorkerName::new(name)?, WorkerId(rank));
        members.push(Member::new(info, Incarnation::random()?, ""));
    }
    let (group, functions) = (Group::new("own agent", members)?, Arc::new(FunctionTable::linked()?));
    let (inboxes, read_from): (Vec<_>, Vec<_>) = names.map(|_| mpsc::unbounded_channel()).into_iter().unzip();
    let worker = |(rank, inbox)| {
        let (id, group, inboxes) = (WorkerId(rank), group.clone(), inboxes.clone());
        let reader = tokio::spawn(read(inbox)).abort_handle();
        let client = Client::new(Arc::new(Direct { id, group, inboxes, reader }), Arc::default());
        // For plain calls, a `FunctionHandler` would serve `Kind::CALL`. No function here asks for its host.
        Ok(Registry::start(&client, functions.clone(), Weak::<Client>::new())?)
    };
    (0..).zip(read_from).map(worker).collect()
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Counter(u64);

#[rpc_macros::methods(crate = "rpc_rref")]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }
}

static DROPPED: SetOnce<u64> = SetOnce::const_new();

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = DROPPED.set(self.0);
    }
}

#[rpc_macros::function(crate = "rpc_core")]
fn new_counter(n: u64) -> Counter {
    Counter(n)
}

#[rpc_macros::function(crate = "rpc_core")]
async fn add_from_here(counter: RRef<Counter>, by: u64) -> Result<u64, CallError> {
    counter.rpc_async().add(by).await
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workers = start(["alice", "bob", "carol"])?;
    let counter: RRef<Counter> = workers[0].remote("bob", new_counter, (10,))?;
    println!("alice adds 5 to {counter}, which bob has: {}", counter.rpc_async().add(5).await?);
    let sum: RRef<u64> = workers[0].remote("carol", add_from_here, (counter, 2))?;
    println!("carol, who was given the only reference, adds 2: {}", sum.to_here().await?);
    drop(sum);
    println!("nobody refers to the counter any more: it was dropped at {}", DROPPED.wait().await);
    while !workers.iter().all(|worker| worker.is_idle()) {
        tokio::task::yield_now().await; // the last receipts are on their way
    }
    Ok(())
}
