//! [`Client`]: typed calls over any agent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::agent::{Agent, timeout_or_forever};
use crate::codec::Codecs;
use crate::context::CallContext;
use crate::error::{CallError, Failure};
use crate::function::{FunctionId, RemoteFunction};
use crate::future::{CallInfo, RpcFuture};
use crate::message::{Kind, Request};
use crate::reply::Reply;
use crate::worker::{Target, WorkerName};

/// How long a call waits unless told otherwise (torch's default).
pub const RPC_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Calls functions of other workers. Cloning is cheap; clones share the default timeout.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    own_timeout: Option<Duration>,
}

/// What the clones of a client share, and its calls need.
pub(crate) struct Shared {
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) codecs: Arc<Codecs>,
    /// In microseconds, 0 for ever.
    default_timeout_us: AtomicU64,
    /// Threads of a runtime that wait for a call now.
    pub(crate) waiters: AtomicUsize,
}

impl Client {
    /// A client over `agent`.
    pub fn new(agent: Arc<dyn Agent>, codecs: Arc<Codecs>) -> Self {
        let shared =
            Shared { agent, codecs, default_timeout_us: AtomicU64::new(0), waiters: AtomicUsize::new(0) };
        let client = Self { shared: Arc::new(shared), own_timeout: None };
        client.set_rpc_timeout(RPC_TIMEOUT_DEFAULT);
        client
    }

    /// The client of the worker that runs the calling handler; `None` outside of one.
    ///
    /// What `Worker::current` is in the facade, for functions that are to run on any agent.
    pub fn current() -> Option<Self> {
        CallContext::current()?.client()
    }

    /// The agent underneath.
    pub fn agent(&self) -> &Arc<dyn Agent> {
        &self.shared.agent
    }

    /// The codecs of this worker.
    pub fn codecs(&self) -> &Arc<Codecs> {
        &self.shared.codecs
    }

    /// How long calls wait unless told otherwise; zero is for ever.
    pub fn rpc_timeout(&self) -> Duration {
        self.own_timeout
            .unwrap_or_else(|| Duration::from_micros(self.shared.default_timeout_us.load(Ordering::Relaxed)))
    }

    /// Changes [`rpc_timeout`](Self::rpc_timeout) for this client and its clones, for calls from now on; not for
    /// those that have a timeout of their own ([`with_timeout`](Self::with_timeout)).
    pub fn set_rpc_timeout(&self, timeout: Duration) {
        let us = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX).max(u64::from(!timeout.is_zero()));
        self.shared.default_timeout_us.store(us, Ordering::Relaxed);
    }

    /// A client whose calls wait `timeout` instead; zero is for ever.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { own_timeout: Some(timeout), ..self.clone() }
    }

    /// Calls `function` on `to` and returns at once.
    ///
    /// The arguments are encoded before this returns: what is done to the originals afterwards does not
    /// show on the other side. An argument that cannot be encoded, an unknown worker and the like fail the
    /// future at once.
    ///
    /// Within a handler the call is bounded by the handler's own deadline and cancelled with it.
    pub fn rpc_async<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> RpcFuture<F::Output, F::Error> {
        let _: F = function;
        let target = to.into();
        let (to, reply) = match self.shared.agent.group().find(&target) {
            Ok(worker) => (worker.name.clone(), self.send::<F>(worker.id, &args)),
            Err(unknown) => {
                let failure = Failure::unknown_worker(&unknown.known);
                (WorkerName::unchecked(&unknown.target), Reply::ready(Err(failure)))
            }
        };
        let call =
            CallInfo { client: Arc::clone(&self.shared), to, function: F::NAME, signature: F::SIGNATURE };
        RpcFuture::new(reply, call)
    }

    /// Calls `function` on `to` and blocks this thread until it is done.
    ///
    /// # Errors
    /// Those of the call, and [`Failure::WouldBlock`] (see [`RpcFuture::wait`]).
    pub fn rpc_sync<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<F::Output, CallError<F::Error>> {
        self.rpc_async(to, function, args).wait()
    }

    fn send<F: RemoteFunction>(&self, to: crate::worker::WorkerId, args: &F::Args) -> Reply {
        let codec = self.shared.codecs.default_id();
        let body = match self.shared.codecs.encode(codec, args) {
            Ok(body) => body,
            Err(error) => return Reply::ready(Err(Failure::Encode { reason: error.to_string() })),
        };
        let context = CallContext::current();
        let mut timeout = timeout_or_forever(self.rpc_timeout());
        if let Some(left) = context.as_ref().and_then(CallContext::remaining) {
            timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
        let method = const { FunctionId::new(F::NAME, F::SIGNATURE).to_wire() };
        let reply = self.shared.agent.send(to, Request { kind: Kind::CALL, method, codec, timeout, body });
        if let Some(context) = context {
            context.adopt(reply.cell());
        }
        reply
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("agent", &self.shared.agent).finish_non_exhaustive()
    }
}
