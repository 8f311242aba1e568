//! [`Worker`]: this process's place among its peers.

mod leave;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::futures::{FutureError, Scope, Settable, SharedFuture};
use rpc_core::{
    Agent, CallContext, CallError, Client, Failure, FunctionComparison, FunctionEntry, FunctionHandler,
    FunctionId, FunctionTable, Gatekeeper, Host, Kind, ReferenceError, RemoteFunction, Retry, RetryingClient,
    RpcFuture, Store, Target, UnknownWorker, WorkerId, WorkerInfo,
};
use rpc_rendezvous::{Joined, OpenStore};
use rpc_rref::{LeakPolicy, RRef, RRefList, Registry, StartError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::builder::{SHUTDOWN_TIMEOUT_DEFAULT, WorkerBuilder};
use crate::debug::{CollectiveInfo, DebugInfo};
use crate::leaving::Outcome;
use crate::runtime::KeepAlive;

/// One of the named, ranked workers of a job: calls the functions of others and serves its own.
///
/// A handle: cloning is cheap, and clones share one worker. Dropping the last handle without
/// [`shutdown`](Self::shutdown) leaves at once, as [`Shutdown::Immediate`](crate::Shutdown::Immediate) does, and never blocks.
///
/// ```
/// # use rpc::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[rpc::function]
/// fn add(a: f64, b: f64) -> f64 { a + b }
///
/// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
/// # let worker = Worker::builder("me").rank(0).world_size(1).store(store).blocking_init()?;
/// assert_eq!(worker.rpc_sync("me", add, (1.0, 2.0))?, 3.0);
/// worker.shutdown_blocking()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Worker {
    /// The handle's own, so that [`with_timeout`](Self::with_timeout) changes one handle.
    client: Client,
    shared: Arc<Shared>,
    /// `None` for a handler's handle to a worker that is leaving.
    _stay: Option<Arc<Stay>>,
}

/// What all handles hold: the worker stays while one of them lives. Apart from [`Shared`], because running
/// handlers hold that, and a handler that hangs must not keep the worker from leaving.
struct Stay {
    shared: Arc<Shared>,
}

/// What all handles of one worker share. Handlers find their worker through it.
struct Shared {
    stay: Weak<Stay>,
    info: WorkerInfo,
    client: Client,
    functions: Arc<FunctionTable>,
    /// Set once, when the agent begins to serve. Only a worker of somebody else's may have none.
    registry: OnceLock<Arc<Registry>>,
    /// Set where the registry is.
    comparison: OnceLock<Arc<FunctionComparison>>,
    /// As with the registry.
    #[cfg(feature = "collectives")]
    collectives: OnceLock<rpc_collectives::Collectives>,
    /// Set where the registry is, or when this worker is first profiled.
    #[cfg(feature = "profiler")]
    recorder: OnceLock<Arc<rpc_profiler::Recorder>>,
    leaving: Leaving,
    /// How the leaving of this worker ends; set once it has begun.
    ended: OnceLock<watch::Receiver<Option<Outcome>>>,
    /// It has been told to leave at once, so that it does not know what would have been left.
    hurried: AtomicBool,
    /// `None` for a worker of somebody else's, whose membership is not ours to end.
    runtime: Option<Handle>,
    /// Taken by the first that leaves.
    membership: Mutex<Option<Membership>>,
}

/// How a worker leaves unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// How long it waits for the others.
    pub(crate) timeout: Duration,
    /// What it does about leaks.
    pub(crate) leaks: LeakPolicy,
}

/// What a worker holds until it has left.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) joined: Joined,
    pub(crate) store: Arc<dyn Store>,
    /// The store, if this worker opened it; on rank 0 with its server.
    pub(crate) opened: Option<OpenStore>,
    /// The worker's own runtime, if it has one.
    pub(crate) thread: Option<KeepAlive>,
}

impl Worker {
    /// Describes a worker called `name`, to be started with [`WorkerBuilder::init`].
    pub fn builder(name: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(Some(name.into()))
    }

    /// As [`builder`](Self::builder), for a worker that is called `worker{rank}`.
    pub fn builder_named_by_rank() -> WorkerBuilder {
        WorkerBuilder::new(None)
    }

    /// Has the agent of `client` serve `functions`, and count references.
    pub(crate) fn serving(
        info: WorkerInfo,
        client: Client,
        functions: Arc<FunctionTable>,
        gatekeeper: Option<Arc<Gatekeeper>>,
        leaving: Leaving,
        runtime: Handle,
        membership: Membership,
    ) -> Result<Self, StartError> {
        let stay = Arc::new_cyclic(|stay| Stay {
            shared: Arc::new(Shared {
                stay: Weak::clone(stay),
                info,
                client: client.clone(),
                functions: Arc::clone(&functions),
                registry: OnceLock::new(),
                comparison: OnceLock::new(),
                #[cfg(feature = "collectives")]
                collectives: OnceLock::new(),
                #[cfg(feature = "profiler")]
                recorder: rpc_profiler::Recorder::of(&client).map_or_else(OnceLock::new, OnceLock::from),
                leaving,
                ended: OnceLock::new(),
                hurried: AtomicBool::new(false),
                runtime: Some(runtime.clone()),
                membership: Mutex::new(Some(membership)),
            }),
        });
        let shared = Arc::clone(&stay.shared);
        let host: Arc<dyn Host> = Arc::clone(&shared) as _;
        let host = Arc::downgrade(&host);
        #[cfg(feature = "collectives")]
        let _ = shared.collectives.set(rpc_collectives::Collectives::start(&client, host.clone()));
        let guard = gatekeeper.clone();
        let registry = Registry::start_guarded(&client, Arc::clone(&functions), host.clone(), guard)?;
        // It was empty: this is the only place that fills it.
        let _ = shared.registry.set(registry);
        let comparison = FunctionComparison::start(client.agent(), Arc::clone(&functions), runtime);
        let _ = shared.comparison.set(comparison);
        let mut handler = FunctionHandler::new(functions, Arc::clone(client.codecs()), host)
            .observed(Arc::clone(client.observers()));
        if let Some(gatekeeper) = gatekeeper {
            handler = handler.guarded(gatekeeper);
        }
        client.agent().serve(Kind::CALL, Arc::new(handler));
        Ok(Self { client, shared, _stay: Some(stay) })
    }

    /// The worker that runs the calling handler.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # async fn square(n: u64) -> u64 { n * n }
    /// #[rpc::function]
    /// async fn square_elsewhere(n: u64) -> Result<u64, String> {
    ///     let worker = Worker::current();
    ///     worker.rpc_async("worker1", square, (n,)).await.map_err(|error| error.to_string())
    /// }
    /// ```
    ///
    /// # Panics
    /// Where no call runs on this thread, or one of an agent without a client; within a handler the panic
    /// reaches the caller as an error. Also in threads and
    /// tasks that a handler starts, unless [`CallContext::scope`] or [`CallContext::run`] takes it there.
    /// [`try_current`](Self::try_current) asks instead.
    pub fn current() -> Self {
        Self::try_current().expect(
            "Worker::current(): no call of a worker runs on this thread; hand the worker over, or use Worker::try_current()",
        )
    }

    /// The worker that runs the calling handler; `None` outside of one.
    pub fn try_current() -> Option<Self> {
        let context = CallContext::current()?;
        match context.host::<Shared>() {
            Some(shared) => {
                Some(Self { client: shared.client.clone(), _stay: shared.stay.upgrade(), shared })
            }
            None => Self::try_over(context.client()?),
        }
    }

    /// A worker over `client`, for one that this crate did not start, such as one of a test cluster's. Its membership is
    /// somebody else's, and so are its functions and its registry of references, if it has one. Collectives it has of its
    /// own: they are served for as long as a handle to this lives, so make those of all workers before the first is used.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = rpc_testing::Cluster::new(2).await; // two agents over a network in memory
    /// let workers = ["worker0", "worker1"].map(|name| Worker::over(cluster.client(name)));
    /// let (first, second) = (workers[0].all_gather(1), workers[1].all_gather(2));
    /// assert_eq!(first.await?["worker1"], 2);
    /// assert_eq!(second.await?["worker0"], 1);
    /// # cluster.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// If the agent of `client` is not in its own group.
    pub fn over(client: &Client) -> Self {
        Self::try_over(client.clone()).expect("an agent is a member of its own group")
    }

    fn try_over(client: Client) -> Option<Self> {
        let info = client.agent().group().get(client.agent().id())?.info.clone();
        let registry = Registry::of(&client).map_or_else(OnceLock::new, OnceLock::from);
        let shared = Arc::new(Shared {
            stay: Weak::new(),
            info,
            client: client.clone(),
            functions: Arc::new(FunctionTable::linked().unwrap_or_default()),
            registry,
            comparison: OnceLock::new(),
            #[cfg(feature = "collectives")]
            collectives: OnceLock::new(),
            #[cfg(feature = "profiler")]
            recorder: OnceLock::new(),
            leaving: Leaving { timeout: SHUTDOWN_TIMEOUT_DEFAULT, leaks: LeakPolicy::default() },
            ended: OnceLock::new(),
            hurried: AtomicBool::new(false),
            runtime: None,
            membership: Mutex::new(None),
        });
        #[cfg(feature = "collectives")]
        {
            let host: Arc<dyn Host> = Arc::clone(&shared) as _;
            let collectives = rpc_collectives::Collectives::start(&client, Arc::downgrade(&host));
            let _ = shared.collectives.set(collectives); // it was empty
        }
        Some(Self { client, shared, _stay: None })
    }

    /// Calls `function` on worker `to`, given by name, by rank or by `&WorkerInfo`, and returns at once. A rank is an
    /// integer literal, an `i64`, or `WorkerId(n)`.
    ///
    /// Arguments are encoded before this returns: what is done to the originals afterwards does not show
    /// on the other side. Every error arrives through the future. Within a handler the call is bounded by
    /// the handler's own deadline and cancelled with it.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn add(a: f64, b: f64) -> f64 { a + b }
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let sum: f64 = worker.rpc_async("worker1", add, (1.0, 2.0)).await?;
    /// let sum: f64 = worker.rpc_async(1, add, (1.0, 2.0)).timeout(Duration::from_secs(1)).await?;
    /// # Ok(()) }
    /// ```
    pub fn rpc_async<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> RpcFuture<F::Output, F::Error> {
        self.client.rpc_async(to, function, args)
    }

    /// Calls `function` on worker `to` and blocks this thread until it is done.
    ///
    /// # Errors
    /// Those of the call, and [`Failure::WouldBlock`](crate::Failure::WouldBlock) where blocking would
    /// stop the thread that has to bring the result (see [`RpcFuture::wait`]).
    pub fn rpc_sync<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<F::Output, CallError<F::Error>> {
        self.client.rpc_sync(to, function, args)
    }

    /// Has `function` run on worker `to`, where its result stays, and returns a reference to it at once.
    ///
    /// The result needs serde even if nobody copies it. For one without, such as a simulation or an open file,
    /// call (with [`rpc_async`](Self::rpc_async)) a function that returns a reference of its own
    /// ([`RRef::new_opaque`]).
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn zeros(n: usize) -> Vec<f32> { vec![0.0; n] }
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let parameters: RRef<Vec<f32>> = worker.remote("worker1", zeros, (1_000,))?;
    /// let copy: Vec<f32> = parameters.to_here().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// An unknown worker, arguments that cannot be encoded, or a reference among them that is of no use. What
    /// goes wrong later, a worker that is dead included, shows when the reference is used, and in
    /// [`RRef::created`].
    #[track_caller]
    pub fn remote<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<RRef<F::Output>, CallError> {
        match self.shared.registry.get() {
            Some(registry) => registry.remote_by(&self.client, to, function, args),
            None => Err(CallError::not_made(
                &to.into().to_string(),
                F::NAME,
                Failure::Reference(Box::new(ReferenceError::NoRegistry)),
            )),
        }
    }

    /// Runs `body`, then waits for every call that was made through its [`Scope`]: nothing made in the block is under
    /// way any more when this returns.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn save(step: u32) -> u32 { step }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
    /// # let worker = Worker::builder("me").rank(0).world_size(1).store(store).init().await?;
    /// let saved: Result<usize, CallError> = worker.scope(async |scope| {
    ///     for other in worker.workers() {
    ///         scope.rpc_async(other, save, (7,)); // not awaited here, but before `scope` returns
    ///     }
    ///     Ok(worker.world_size())
    /// }).await;
    /// assert_eq!(saved?, 1);
    /// # worker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// That of `body`; else the first of the calls, also of one whose error `body` has seen. Either way all calls are
    /// waited for: each ends with its timeout at the latest.
    ///
    /// So `E` has to be `From<CallError>`, and `From<CallError<TheirError>>` for each function that has an error of its own.
    /// `anyhow::Error` is, for errors that have `Display`; an enum of the program's, with a variant for each, is another
    /// way. And `TheirError` is `Clone` and `Sync`, since the scope and whoever holds the future both look at it.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body; the calls go on by themselves.
    pub async fn scope<R, E, B>(&self, body: impl FnOnce(Scope<E>) -> B) -> Result<R, E>
    where
        B: Future<Output = Result<R, E>>,
        E: Send + 'static,
    {
        self.client.scope(body).await
    }

    /// As [`scope`](Self::scope), for a thread that may block: `body` is ordinary code, and may wait for its calls.
    ///
    /// # Errors
    /// As [`scope`](Self::scope), and [`FutureError::WouldBlock`] where a call must not be waited for (see
    /// [`RpcFuture::wait`]); the calls go on by themselves then.
    ///
    /// # Panics
    /// As [`RpcFuture::wait`].
    pub fn scope_blocking<R, E>(&self, body: impl FnOnce(Scope<E>) -> Result<R, E>) -> Result<R, E>
    where
        E: From<FutureError> + Send + 'static,
    {
        self.client.scope_blocking(body)
    }

    /// A promise and its future, for results that no call brings: whoever has the [`Settable`] sets or fails it, and the
    /// future is waited for, called back with and collected like those of calls ([`futures`](crate::futures)).
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
    /// # let worker = Worker::builder("me").rank(0).world_size(1).store(store).init().await?;
    /// let (promise, batch) = worker.promise::<Vec<f32>, CallError>();
    /// let length = batch.map(Vec::len);
    /// std::thread::spawn(move || promise.set(vec![1.0, 2.0]));
    /// assert_eq!(length.await?, 2);
    /// # worker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn promise<T, E>(&self) -> (Settable<T, E>, SharedFuture<T, E>)
    where
        T: Send + Sync + 'static,
        E: From<FutureError> + Send + Sync + 'static,
    {
        self.client.promise()
    }

    /// Makes calls that are repeated, as `retry` says, when that does no harm and may help: the function surely did not
    /// run, or is marked `#[rpc::function(idempotent)]`.
    ///
    /// [`Retry::default`] makes up to four attempts, with delays from 50 ms, doubling, up to 2 s, each longer by up to
    /// itself at random; all of them in the time of one call. The budget is one repetition for five calls, beyond ten.
    /// Keep one `Retry` for the program and clone it, or keep what this returns: clones share one budget, a new `Retry` has
    /// a new one. When it is used up, the error of the last attempt comes back as it is.
    ///
    /// ```
    /// # use rpc::{prelude::*, Retry};
    /// #[rpc::function(idempotent)]
    /// fn lookup(key: String) -> Option<u64> {
    ///     # let _ = key;
    ///     None
    /// }
    ///
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let retry = Retry::default(); // one for the program
    /// for key in ["one", "two"] {
    ///     let retrying = worker.retrying(retry.clone());
    ///     println!("{:?}", retrying.rpc_async("worker1", lookup, (key.into(),)).await?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn retrying(&self, retry: Retry) -> RetryingClient {
        self.client.retrying(retry)
    }

    /// A handle whose calls wait `timeout`; zero is for ever. Other handles keep theirs.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { client: self.client.with_timeout(timeout), ..self.clone() }
    }

    /// How long calls wait unless told otherwise; zero is for ever.
    pub fn rpc_timeout(&self) -> Duration {
        self.client.rpc_timeout()
    }

    /// Changes [`rpc_timeout`](Self::rpc_timeout) for all handles, for calls from now on.
    pub fn set_rpc_timeout(&self, timeout: Duration) {
        self.client.set_rpc_timeout(timeout);
    }

    /// This worker's name and rank.
    pub fn info(&self) -> &WorkerInfo {
        &self.shared.info
    }

    /// This worker's name.
    pub fn name(&self) -> &str {
        self.shared.info.name.as_str()
    }

    /// This worker's rank.
    pub fn id(&self) -> WorkerId {
        self.shared.info.id
    }

    /// How many workers the job has.
    pub fn world_size(&self) -> usize {
        self.agent().group().world_size()
    }

    /// All workers of the job, this one included, by rank.
    pub fn workers(&self) -> impl ExactSizeIterator<Item = &WorkerInfo> {
        self.agent().group().members().iter().map(|member| &member.info)
    }

    /// The worker that `target`, a name or a rank, means.
    ///
    /// # Errors
    /// [`UnknownWorker`] lists the names that exist.
    pub fn get_worker_info<'t>(&self, target: impl Into<Target<'t>>) -> Result<&WorkerInfo, UnknownWorker> {
        self.agent().group().find(&target.into())
    }

    /// This worker's values that others, or itself, have references to, with those who have them, and its own
    /// references to others' values. For people who look for what keeps a value alive while the program runs;
    /// [`shutdown`](Self::shutdown) reports what is left at the end.
    ///
    /// Asks the holders, and waits two seconds for them; those that do not answer are listed without the places
    /// where their references came to be.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn zeros(n: usize) -> Vec<f32> { vec![0.0; n] }
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let parameters: RRef<Vec<f32>> = worker.remote("worker1", zeros, (1_000,))?;
    /// println!("{}", worker.rrefs().await); // ... holds 0:0@1 of worker1 (rank 1), at src/main.rs:7:48, for 0 s
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn rrefs(&self) -> RRefList {
        match self.shared.registry.get() {
            Some(registry) => registry.rrefs().await,
            None => RRefList::empty(self.info().clone()),
        }
    }

    /// The functions that this worker serves, by name.
    pub fn functions(&self) -> Vec<FunctionEntry> {
        let mut functions: Vec<FunctionEntry> = self.shared.functions.iter().cloned().collect();
        functions.sort_unstable_by_key(FunctionEntry::name);
        functions
    }

    /// What is going on: calls in flight by peer and by function with the oldest of them, queues, messages and bytes
    /// by peer, links and what they run over, threads, references. Costs calls nothing until it is asked for; then it
    /// looks at each call and each reference that there is.
    ///
    /// This worker is among the peers, and its own link is always `none`: what it asks of itself takes no link.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # fn example(worker: Worker) {
    /// let info = worker.debug_info();
    /// if let Some((peer, oldest)) = info.agent.oldest() {
    ///     println!("{} has waited {} ms for {peer}", oldest.function.name, oldest.age_ms);
    /// }
    /// for (name, value) in info.to_map() {
    ///     println!("{name} = {value}"); // peer.worker1.in_flight = 3
    /// }
    /// # }
    /// ```
    pub fn debug_info(&self) -> DebugInfo {
        let functions = &self.shared.functions;
        let registry = self.shared.registry.get();
        let mut agent = self.agent().info();
        agent.name_functions(|kind, method| match kind {
            Kind::CALL => Some(functions.entry(FunctionId::from_wire(method)).ok()?.name().to_owned()),
            _ => self.shared.name_of(kind, method),
        });
        DebugInfo {
            worker: self.info().clone(),
            job: self.agent().group().job().to_owned(),
            world_size: self.world_size() as u64,
            rpc_timeout_ms: u64::try_from(self.rpc_timeout().as_millis()).unwrap_or(u64::MAX),
            functions: functions.iter().count() as u64,
            codecs: self.client.codecs().names(),
            agent,
            collectives: self.shared.under_way(),
            references: registry.map(|registry| registry.info()).unwrap_or_default(),
            other_functions: self
                .shared
                .comparison
                .get()
                .map(|found| found.differences())
                .unwrap_or_default(),
        }
    }

    /// The typed caller underneath, for code that needs no more of a worker than that.
    pub fn client(&self) -> &Client {
        &self.client
    }

    #[cfg(feature = "profiler")]
    pub(crate) fn recorder_cell(&self) -> &OnceLock<Arc<rpc_profiler::Recorder>> {
        &self.shared.recorder
    }

    #[cfg(feature = "collectives")]
    pub(crate) fn collectives(&self) -> Option<&rpc_collectives::Collectives> {
        self.shared.collectives.get()
    }

    /// The agent underneath, for protocols of your own.
    pub fn agent(&self) -> &Arc<dyn Agent> {
        self.client.agent()
    }
}

/// So that a worker can be given where a registry is asked for: `RRef::new(&worker, value)`.
///
/// # Panics
/// For a worker that this crate did not start, and that has no [`Registry`].
impl AsRef<Registry> for Worker {
    fn as_ref(&self) -> &Registry {
        let registry = self.shared.registry.get();
        registry.expect(
            "this worker was started without a registry of references; start one with Registry::start",
        )
    }
}

impl Host for Shared {
    fn client(&self) -> Client {
        self.client.clone()
    }
}

impl Shared {
    /// What a request that calls no function is called.
    fn name_of(&self, kind: Kind, method: u64) -> Option<String> {
        #[cfg(feature = "collectives")]
        if let Some(name) = self.collectives.get().and_then(|collectives| collectives.name_of(kind, method)) {
            return Some(name);
        }
        self.registry.get()?.name_of(kind, method)
    }

    /// The operations of teams under way.
    fn under_way(&self) -> Vec<CollectiveInfo> {
        #[cfg(feature = "collectives")]
        return self.collectives.get().map(|collectives| collectives.info()).unwrap_or_default();
        #[cfg(not(feature = "collectives"))]
        Vec::new()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("info", self.info())
            .field("agent", self.agent())
            .finish_non_exhaustive()
    }
}
