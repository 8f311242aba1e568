//! [`Client`]: typed calls over any agent.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::agent::{Agent, timeout_or_forever};
use crate::aside;
use crate::call_scope::CallScope;
use crate::codec::{Codecs, Encoded};
use crate::context::CallContext;
use crate::error::{CallError, Failure, ReferenceError};
use crate::extensions::Extensions;
use crate::function::{FunctionId, Gates, RemoteFunction};
use crate::future::{CallInfo, Callee, RpcFuture};
use crate::handles::{AnyHandle, HandleDesk, SentHandles};
use crate::message::{Body, Kind, Request};
use crate::observe::{Observed, Observers};
use crate::reply::Reply;
use crate::trace::{self, TraceParent};
use crate::worker::{Target, WorkerId, WorkerName};

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
    /// Weak: it has a client itself.
    desk: OnceLock<Weak<dyn HandleDesk>>,
    trace_source: OnceLock<TraceSource>,
    /// Without the agent, so that what the agent serves by may hold it.
    observers: Arc<Observers>,
    /// Of the functions that this worker serves.
    gates: Gates,
    extensions: Extensions,
}

/// What the calls that are made here and now are children of, if a tracing system knows.
struct TraceSource(Box<dyn Fn() -> Option<TraceParent> + Send + Sync>);

/// Which request is made, for [`Client::request`].
#[derive(Clone, Copy, Debug)]
pub struct RequestHead {
    /// Who serves it.
    pub kind: Kind,
    /// Which of the handler's functions.
    pub method: u64,
    /// What the caller does, for people: `rpc_async`, `rpc_remote` and so on.
    pub operation: &'static str,
    /// Its name, for errors.
    pub function: &'static str,
    /// Its signature, for errors.
    pub signature: &'static str,
}

/// What travels beside the arguments of a request (see [`aside`]).
pub struct Aside {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Hears what becomes of the request.
    pub sent: Box<dyn SentHandles>,
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aside({} B)", self.bytes.len())
    }
}

impl Client {
    /// A client over `agent`.
    pub fn new(agent: Arc<dyn Agent>, codecs: Arc<Codecs>) -> Self {
        let observers = Observers::new(agent.id(), agent.group().clone());
        let shared = Shared {
            agent,
            codecs,
            default_timeout_us: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            desk: OnceLock::new(),
            trace_source: OnceLock::new(),
            observers,
            gates: Gates::default(),
            extensions: Extensions::default(),
        };
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

    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared, own_timeout: None }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The codecs of this worker.
    pub fn codecs(&self) -> &Arc<Codecs> {
        &self.shared.codecs
    }

    /// Who observes the calls of this client and its clones, and those that its worker serves.
    pub fn observers(&self) -> &Arc<Observers> {
        &self.shared.observers
    }

    /// The codec in which a call is written that is made here and now: that of the [`CallScope`], if it says one, or this
    /// worker's.
    pub fn codec(&self) -> u8 {
        CallScope::current().codec.unwrap_or_else(|| self.shared.codecs.default_id())
    }

    /// Lets `desk` count the handles in the messages of this client and its clones. The first one stays;
    /// returns whether this is it.
    pub fn set_desk(&self, desk: Weak<dyn HandleDesk>) -> bool {
        self.shared.desk.set(desk).is_ok()
    }

    /// What lets calls of this worker's functions through that have a limit.
    pub(crate) fn gates(&self) -> &Gates {
        &self.shared.gates
    }

    /// The one `T` of this client and its clones: what `make` gives, unless there is one that somebody still holds. For
    /// protocols of which a worker has one, by a type of the protocol's own.
    ///
    /// Held weakly here, as it usually has the client. `make` must not ask for an extension itself.
    pub fn extension_or<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        self.shared.extensions.get_or(make)
    }

    /// Who counts the handles, if somebody does.
    pub fn desk(&self) -> Option<Arc<dyn HandleDesk>> {
        self.shared.desk.get()?.upgrade()
    }

    /// Has `source` asked what each call of this client and its clones is a child of: the hook of a tracing system,
    /// which looks at its current span: that of the call itself, where somebody takes it. Where it has nothing to say, a
    /// call in a handler is a child of what the handler is a child of. A [`CallScope`] goes before it. The first source
    /// stays; returns whether this is it.
    ///
    /// It runs on the thread that makes the call, so it must be quick and must not block.
    pub fn set_trace_source(&self, source: impl Fn() -> Option<TraceParent> + Send + Sync + 'static) -> bool {
        self.shared.trace_source.set(TraceSource(Box::new(source))).is_ok()
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
        self.call(&to.into(), "rpc_async", function, &args)
    }

    /// As [`rpc_async`](Self::rpc_async), for arguments that may be needed once more.
    pub(crate) fn call<F: RemoteFunction>(
        &self,
        target: &Target<'_>,
        operation: &'static str,
        function: F,
        args: &F::Args,
    ) -> RpcFuture<F::Output, F::Error> {
        let _: F = function;
        let (to, reply) = match self.shared.agent.group().find(target) {
            Ok(worker) => (Callee::Member(worker.id), self.send::<F>(worker.id, operation, args)),
            Err(unknown) => {
                let failure = Failure::unknown_worker(&unknown.known);
                (Callee::Named(WorkerName::unchecked(&unknown.target)), Reply::ready(Err(failure)))
            }
        };
        let call = CallInfo {
            client: Some(Arc::clone(&self.shared)),
            to,
            function: F::NAME,
            signature: F::SIGNATURE,
        };
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
        self.call(&to.into(), "rpc_sync", function, &args).wait()
    }

    fn send<F: RemoteFunction>(&self, to: WorkerId, operation: &'static str, args: &F::Args) -> Reply {
        let method = const { FunctionId::new(F::NAME, F::SIGNATURE).to_wire() };
        let head =
            RequestHead { kind: Kind::CALL, method, operation, function: F::NAME, signature: F::SIGNATURE };
        self.send_request(to, head, args, |handles| {
            if handles.is_empty() {
                return Ok(None);
            }
            let desk = self.desk().ok_or(ReferenceError::NoRegistry)?;
            let (bytes, sent) = desk.send(to, None, handles)?;
            Ok(Some(Aside { bytes, sent }))
        })
    }

    /// Makes a request of any kind, for protocols that have typed requests of their own. `args` are encoded in
    /// the worker's codec; `aside` gets the handles that were among them, and says what travels beside them.
    ///
    /// Deadline and cancellation are those of a call (see [`rpc_async`](Self::rpc_async)).
    pub fn request<T, E, A>(
        &self,
        to: WorkerId,
        head: RequestHead,
        args: &A,
        aside: impl FnOnce(Vec<AnyHandle>) -> Result<Option<Aside>, ReferenceError>,
    ) -> RpcFuture<T, E>
    where
        T: serde::de::DeserializeOwned,
        E: serde::de::DeserializeOwned + 'static,
        A: serde::Serialize,
    {
        let RequestHead { function, signature, .. } = head;
        let reply = self.send_request(to, head, args, aside);
        let client = Some(Arc::clone(&self.shared));
        RpcFuture::new(reply, CallInfo { client, to: Callee::Member(to), function, signature })
    }

    /// Blocks this thread until `future` is done, or for `at_most`; `None` if it is not done then, or where
    /// blocking is refused (see [`RpcFuture::wait`]): the thread has to drive this client's agent.
    ///
    /// # Panics
    /// As [`RpcFuture::wait`].
    pub fn block_on<F: Future + Unpin>(&self, at_most: Option<Duration>, mut future: F) -> Option<F::Output> {
        crate::future::block(&self.shared, at_most, |cx| Pin::new(&mut future).poll(cx))
    }

    /// A future that has failed already, for a request that was not worth sending.
    pub fn failed<T, E>(&self, to: WorkerId, head: RequestHead, failure: Failure) -> RpcFuture<T, E>
    where
        T: serde::de::DeserializeOwned,
        E: serde::de::DeserializeOwned + 'static,
    {
        let RequestHead { function, signature, .. } = head;
        let client = Some(Arc::clone(&self.shared));
        let call = CallInfo { client, to: Callee::Member(to), function, signature };
        RpcFuture::new(Reply::ready(Err(failure)), call)
    }

    fn send_request<A: serde::Serialize>(
        &self,
        to: WorkerId,
        head: RequestHead,
        args: &A,
        aside: impl FnOnce(Vec<AnyHandle>) -> Result<Option<Aside>, ReferenceError>,
    ) -> Reply {
        let RequestHead { kind, method, function, .. } = head;
        let scope = CallScope::current();
        let context = CallContext::current();
        let mut observed = self.shared.observers.begin(to, &head, context.as_ref());
        let codec = scope.codec.unwrap_or_else(|| self.shared.codecs.default_id());
        let encode = |error: crate::codec::CodecError| Failure::Encode { reason: error.to_string() };
        let Encoded { mut payload, parts, handles } =
            match self.shared.codecs.encode_with_handles(codec, args) {
                Ok(encoded) => encoded,
                Err(error) => return Reply::ready(Err(encode(error))),
            };
        let (mut codec, sent) = match aside(handles) {
            Ok(None) => (codec, None),
            Ok(Some(Aside { bytes, sent })) => match aside::append(codec, &mut payload, &bytes) {
                Ok(codec) => (codec, Some(sent)),
                Err(error) => {
                    let failure = encode(error);
                    sent.lost(&failure);
                    return Reply::ready(Err(failure));
                }
            },
            Err(error) => return Reply::ready(Err(Failure::Reference(Box::new(error)))),
        };
        let source = || {
            let TraceSource(source) = self.shared.trace_source.get()?;
            observed.as_ref().map_or_else(source, |call| call.in_span(source))
        };
        let given = || context.as_ref().and_then(CallContext::trace);
        if let Some(trace) = scope.trace.or_else(source).or_else(given) {
            codec = trace::append(codec, &mut payload, trace);
        }
        let mut timeout = timeout_or_forever(self.rpc_timeout());
        if let Some(left) = context.as_ref().and_then(CallContext::remaining) {
            timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
        if let Some(call) = &mut observed {
            codec = call.is_encoded(codec, &mut payload, &parts);
        }
        let body = Body { payload: payload.into(), parts };
        let request = Request { kind, method, codec, timeout, body };
        let reply = match observed {
            None => self.shared.agent.send(to, request),
            Some(call) => self.send_observed(to, request, call),
        };
        match (self.shared.desk.get(), sent) {
            // If it goes away, what was sent is told by its own desk, and handles that arrive are refused.
            (Some(desk), sent) => reply.watch_by(Weak::clone(desk), to, function, sent),
            (None, Some(sent)) => sent.lost(&Failure::ShutDown),
            (None, None) => {}
        }
        if let Some(context) = context {
            context.adopt(reply.cell());
        }
        reply
    }
}

impl Client {
    #[cold]
    fn send_observed(&self, to: WorkerId, request: Request, call: Box<Observed>) -> Reply {
        let reply = match call.mark() {
            None => self.shared.agent.send(to, request),
            Some(mark) => self.shared.agent.send_marked(to, request, mark),
        };
        reply.observe(call);
        reply
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("agent", &self.shared.agent).finish_non_exhaustive()
    }
}
