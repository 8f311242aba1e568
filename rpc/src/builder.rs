//! [`WorkerBuilder`]: everything that can be said about a worker before it starts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    BackendRegistry, CallObserver, Codec, Codecs, Decision, EngineConfig, FunctionTable, RPC_TIMEOUT_DEFAULT,
    Store, TraceParent, WorkerInfo,
};
use rpc_rref::LeakPolicy;

use crate::error::InitError;
use crate::runtime::IoRuntime;
use crate::security::Security;
use crate::worker::Worker;

/// How long [`WorkerBuilder::init`] waits for the other workers unless told otherwise.
///
/// Longer than a call's timeout, on purpose. Schedulers start the processes of one job minutes apart, and
/// a worker that gives up early takes the whole job with it. Waiting costs nothing and is not silent:
/// progress is logged with the names of those who are missing. (torch: 60 s, the timeout of calls, with
/// 300 s for its store.)
pub const INIT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// How long [`Worker::shutdown`] waits for living workers unless told otherwise.
///
/// Not the timeout of calls: workers come to the end minutes apart, and one that only serves comes there at
/// once. A bound nevertheless, because a worker that never comes would keep all others for ever.
pub const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// Reads one variable of the environment.
pub(crate) type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Decides which peer may call which function.
pub(crate) type Authorize = Arc<dyn Fn(&WorkerInfo, &str) -> Decision + Send + Sync>;

/// Says what calls are children of.
pub(crate) type Source = Arc<dyn Fn() -> Option<TraceParent> + Send + Sync>;

/// Says what a worker is to be, then starts it.
///
/// What is not said here comes from the environment: `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and
/// `MASTER_PORT` as rpcrun and torchrun set them, or what SLURM sets; `RPC_BACKEND`; `RPC_LOCAL`; `RPC_LEAKS`; and
/// for [`Security`] `RPC_JOIN_TOKEN`, `RPC_TLS_CA`, `RPC_TLS_CERT`, `RPC_TLS_KEY` and `RPC_INSECURE`.
///
/// ```
/// use rpc::prelude::*;
/// # fn main() -> Result<(), InitError> {
/// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
/// let worker = Worker::builder("alone")
///     .rank(0)
///     .world_size(1)
///     .rpc_timeout(Duration::from_secs(30))
///     # .store(store)
///     .blocking_init()?;
/// assert_eq!(worker.info().to_string(), "alone (rank 0)");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until init"]
pub struct WorkerBuilder {
    pub(crate) name: Option<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) world_size: Option<u32>,
    pub(crate) init_method: Option<String>,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) job: Option<String>,
    pub(crate) backend: Option<String>,
    pub(crate) backends: Option<BackendRegistry>,
    pub(crate) rpc_timeout: Duration,
    pub(crate) init_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) leaks: Option<LeakPolicy>,
    pub(crate) functions: Option<FunctionTable>,
    pub(crate) codecs: Codecs,
    pub(crate) trace_source: Option<Source>,
    pub(crate) observer: Option<Arc<dyn CallObserver>>,
    #[cfg(feature = "profiler")]
    pub(crate) calls_kept: usize,
    pub(crate) bind: Option<String>,
    pub(crate) advertise_host: Option<String>,
    pub(crate) local_links: Option<bool>,
    pub(crate) config: EngineConfig,
    pub(crate) security: Security,
    pub(crate) authorize: Option<Authorize>,
    pub(crate) runtime: IoRuntime,
    pub(crate) variables: Variables,
}

impl WorkerBuilder {
    /// A worker called `name`; without a name it is called `worker{rank}`.
    pub(crate) fn new(name: Option<String>) -> Self {
        Self {
            name,
            rank: None,
            world_size: None,
            init_method: None,
            store: None,
            job: None,
            backend: None,
            backends: None,
            rpc_timeout: RPC_TIMEOUT_DEFAULT,
            init_timeout: INIT_TIMEOUT_DEFAULT,
            shutdown_timeout: SHUTDOWN_TIMEOUT_DEFAULT,
            leaks: None,
            functions: None,
            codecs: Codecs::default(),
            trace_source: None,
            observer: None,
            #[cfg(feature = "profiler")]
            calls_kept: rpc_profiler::CALLS_KEPT_DEFAULT,
            bind: None,
            advertise_host: None,
            local_links: None,
            config: EngineConfig::default(),
            security: Security::default(),
            authorize: None,
            runtime: IoRuntime::default(),
            variables: Arc::new(process_variable),
        }
    }

    /// This worker's rank: `0..world_size`, each given once. Otherwise from `init_method`, then `RANK`.
    pub fn rank(mut self, rank: u32) -> Self {
        self.rank = Some(rank);
        self
    }

    /// How many workers the job has. Otherwise from `init_method`, then `WORLD_SIZE`.
    pub fn world_size(mut self, world_size: u32) -> Self {
        self.world_size = Some(world_size);
        self
    }

    /// Where the workers meet, as a URL: `tcp://HOST:PORT` (rank 0 hosts the store there),
    /// `file:///PATH`, or `env://`, the default. `?rank=R&world_size=W` may follow.
    pub fn init_method(mut self, url: impl Into<String>) -> Self {
        self.init_method = Some(url.into());
        self
    }

    /// Meets the other workers in `store` instead of opening one.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Names the job, so that several can share one store. All workers of a job give the same.
    pub fn job(mut self, job: impl Into<String>) -> Self {
        self.job = Some(job.into());
        self
    }

    /// Picks a backend by name. Otherwise `RPC_BACKEND`, then the only one there is, then `tcp`.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// The backends to pick from, in place of [`default_backends`](crate::default_backends).
    pub fn backends(mut self, backends: BackendRegistry) -> Self {
        self.backends = Some(backends);
        self
    }

    /// How long calls wait unless told otherwise (60 s); zero is for ever.
    pub fn rpc_timeout(mut self, timeout: Duration) -> Self {
        self.rpc_timeout = timeout;
        self
    }

    /// How long to wait for the other workers ([`INIT_TIMEOUT_DEFAULT`]); zero is for ever.
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// How long [`Worker::shutdown`] waits for living workers ([`SHUTDOWN_TIMEOUT_DEFAULT`]); zero is for ever.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// What [`Worker::shutdown`] does about values of this worker's that somebody still has references to.
    /// Otherwise what `RPC_LEAKS` says (`warn`, `error` or `ignore`), else [`LeakPolicy::Warn`].
    pub fn leaks(mut self, policy: LeakPolicy) -> Self {
        self.leaks = Some(policy);
        self
    }

    /// The functions to serve, in place of everything in this program that is marked
    /// `#[rpc::function]`. [`FunctionTable::bind`] gives one of them a body that works on something of this worker's own.
    pub fn functions(mut self, functions: FunctionTable) -> Self {
        self.functions = Some(functions);
        self
    }

    /// The codec that writes this worker's requests, in place of postcard. Every worker that it calls
    /// needs it too: `Json` and `MessagePack` by the features of these names, one of your own by
    /// [`also_codec`](Self::also_codec). For single calls see [`CallScope`](crate::CallScope).
    pub fn codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs = self.codecs.with_default(codec);
        self
    }

    /// A codec that this worker understands in requests of others.
    pub fn also_codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs = self.codecs.with(codec);
        self
    }

    /// All codecs of this worker, in place of those that are compiled in and were added. With
    /// [`Codecs::postcard_only`] it decodes nothing but postcard.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// Has `source` say what each call of this worker is a child of: the hook of a tracing system, which looks at its
    /// current span. OpenTelemetry needs none, with the feature `otel` ([`Client::set_trace_source`](crate::Client::set_trace_source) says more). The callee finds it in
    /// [`CallContext::trace`](crate::CallContext::trace).
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// use rpc::TraceParent;
    /// # fn current_span() -> Option<([u8; 16], [u8; 8], u8)> { None }
    /// let builder = Worker::builder("me").trace_source(|| {
    ///     let (trace_id, span_id, flags) = current_span()?; // of your tracing system
    ///     TraceParent::new(trace_id, span_id, flags)
    /// });
    /// ```
    pub fn trace_source(mut self, source: impl Fn() -> Option<TraceParent> + Send + Sync + 'static) -> Self {
        self.trace_source = Some(Arc::new(source));
        self
    }

    /// Has `observer` hear of each call that this worker makes, and of each that it serves. With the feature `metrics`
    /// there is one that counts them, `Metrics`; here is one of its own:
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use rpc::{CallEnd, CallObserver, ObservedCall};
    ///
    /// #[derive(Default)]
    /// struct Failures(AtomicU64);
    ///
    /// impl CallObserver for Failures {
    ///     fn ended(&self, _call: &ObservedCall<'_>, end: &CallEnd) {
    ///         self.0.fetch_add(u64::from(end.outcome != "ok"), Ordering::Relaxed);
    ///     }
    /// }
    /// let builder = Worker::builder("me").observer(Failures::default());
    /// ```
    pub fn observer(mut self, observer: impl CallObserver) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Has this worker keep at least the last `calls` calls, and as many spans, for the profiles that are under way
    /// ([`Worker::profile`]); otherwise [`CALLS_KEPT_DEFAULT`](rpc_profiler::CALLS_KEPT_DEFAULT), which is a million.
    ///
    /// Each takes some 150 bytes, allocated as they come and given back when nobody profiles any more. Beyond that the
    /// oldest are dropped, some thousand at once, and counted in [`Profile::dropped`](crate::Profile::dropped).
    #[cfg(feature = "profiler")]
    pub fn calls_kept(mut self, calls: usize) -> Self {
        self.calls_kept = calls;
        self
    }

    /// What to listen on, as `HOST:PORT`; port 0 is any. Otherwise loopback if the workers meet there, in
    /// a file or in a given store, else the address that routes to `MASTER_ADDR`.
    pub fn bind(mut self, host_and_port: impl Into<String>) -> Self {
        self.bind = Some(host_and_port.into());
        self
    }

    /// The host under which others reach this worker, if it is not the one that it listens on: behind
    /// address translation, or with `.bind("0.0.0.0:0")`.
    pub fn advertise_host(mut self, host: impl Into<String>) -> Self {
        self.advertise_host = Some(host.into());
        self
    }

    /// Whether this worker may talk to others on its own machine over a Unix socket instead of TCP. Otherwise what
    /// `RPC_LOCAL` says (`on` or `off`), else it may.
    ///
    /// Nothing else has to be said: two workers that may, and find that they are on one machine, in one network
    /// namespace and of one user, do; all others use TCP. Links that are encrypted are always TCP, the backend `quic` has
    /// no such way, and neither has any system but Linux. Which links are local is in [`Worker::debug_info`] and in the
    /// worker's `Debug` output.
    pub fn local_links(mut self, on: bool) -> Self {
        self.local_links = Some(on);
        self
    }

    /// Bounds and times of the engine.
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Who may connect, and what protects links. Otherwise as the environment says (see [`Security`]).
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Has `hook` decide which of the other workers may call which functions here. Without one all of them
    /// may call all.
    ///
    /// It is given the caller and the name of the function, `crate::module::name`, or of the method,
    /// `crate::module::Type::name`, for calls as for [`Worker::remote`], before anything is decoded. It answers
    /// with a `bool`, or with a `Result` whose error is told to the caller; the caller's error is
    /// [`Failure::Denied`](crate::Failure::Denied). A hook that panics denies. It runs where links are read, so it
    /// must be quick and must not block.
    ///
    /// It is not asked for what this worker calls on itself, nor for
    /// [`to_here`](crate::RRef::to_here): who was given a reference may read the value.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # use rpc::WorkerInfo;
    /// let builder = Worker::builder("ps").authorize(|peer: &WorkerInfo, function: &str| match peer.name.as_str() {
    ///     "trainer0" | "trainer1" => Ok(()),
    ///     _ if function.ends_with("::status") => Ok(()),
    ///     _ => Err("only trainers change the model"),
    /// });
    /// ```
    pub fn authorize<D: Into<Decision>>(
        mut self,
        hook: impl Fn(&WorkerInfo, &str) -> D + Send + Sync + 'static,
    ) -> Self {
        self.authorize = Some(Arc::new(move |peer: &WorkerInfo, function: &str| hook(peer, function).into()));
        self
    }

    /// Where the worker's I/O runs.
    pub fn runtime(mut self, runtime: IoRuntime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Reads environment variables through `lookup` instead of from the process: for several workers in
    /// one process, and for launchers that have their own names for things.
    pub fn variables(mut self, lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.variables = Arc::new(lookup);
        self
    }

    /// Starts the worker and waits until all workers of the job are there.
    ///
    /// # Errors
    /// [`InitError`].
    ///
    /// # Cancel safety
    /// Dropping the future stops the attempt. Others that wait for this worker go on waiting, until it
    /// tries again or their own `init_timeout` is over.
    pub async fn init(self) -> Result<Worker, InitError> {
        crate::init::init(self).await
    }

    /// As [`init`](Self::init) for a plain thread: blocks it, and runs the worker's I/O on a thread of the
    /// worker's own.
    ///
    /// # Errors
    /// [`InitError`].
    pub fn blocking_init(self) -> Result<Worker, InitError> {
        crate::runtime::block_on(self.runtime(IoRuntime::Dedicated).init())
    }
}

fn process_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("rank", &self.rank)
            .field("world_size", &self.world_size)
            .finish_non_exhaustive()
    }
}
