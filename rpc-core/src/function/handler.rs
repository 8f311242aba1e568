//! [`FunctionHandler`]: serves [`Kind::CALL`](crate::Kind::CALL) out of a function table.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use super::entry::Bound;
use super::gatekeeper::Gatekeeper;
use super::keep::{Keeper, Kept, Slot};
use super::limit::serve_limited;
use super::serving::{Arguments, Serving};
use super::table::Miss;
use super::{BoxFuture, FunctionBody, FunctionEntry, FunctionId, FunctionTable, RemoteFunction, ResultOf};
use crate::agent::{Handler, Incoming, Served};
use crate::client::Client;
use crate::codec::Codecs;
use crate::context::{Host, NoBlocking};
use crate::error::{CallError, CreationError};
use crate::message::{Outcome, Response};
use crate::observe::Observers;

/// How many of the callee's function names an "unknown function" response carries.
const NAMES_SENT_MAX: usize = 256;

/// Runs the functions of a table.
pub struct FunctionHandler {
    table: Arc<FunctionTable>,
    codecs: Arc<Codecs>,
    host: Weak<dyn Host>,
    gatekeeper: Option<Arc<Gatekeeper>>,
    observers: Option<Arc<Observers>>,
}

impl FunctionHandler {
    /// A handler for the functions of `table`.
    ///
    /// `host` is what [`CallContext::host`](crate::CallContext::host) gives to a running function: the facade
    /// puts its worker there. It is weak because the host usually owns the agent that owns this handler.
    pub fn new(table: Arc<FunctionTable>, codecs: Arc<Codecs>, host: Weak<dyn Host>) -> Self {
        Self { table, codecs, host, gatekeeper: None, observers: None }
    }

    /// Has `gatekeeper` decide which peers may call which functions. Without one all may.
    #[must_use]
    pub fn guarded(self, gatekeeper: Arc<Gatekeeper>) -> Self {
        Self { gatekeeper: Some(gatekeeper), ..self }
    }

    /// Has `observers` hear of the calls that are served.
    #[must_use]
    pub fn observed(self, observers: Arc<Observers>) -> Self {
        Self { observers: Some(observers), ..self }
    }

    /// A handler for functions that need no host. Those with a [`CallLimit`](crate::CallLimit) do: the host's client
    /// counts their calls, and without one they are refused.
    pub fn without_host(table: Arc<FunctionTable>, codecs: Arc<Codecs>) -> Self {
        Self::new(table, codecs, Weak::<Client>::new())
    }
}

impl fmt::Debug for FunctionHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionHandler").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Handler for FunctionHandler {
    fn handle(&self, incoming: Incoming) -> Served {
        let entry = match self.table.entry(FunctionId::from_wire(incoming.request.method)) {
            Ok(entry) => entry,
            Err(miss) => return Served::Now(miss),
        };
        // What is seldom is apart, so that nothing is moved about for it.
        match &self.observers {
            Some(observers) if observers.want(&incoming) => self.serve_observed(observers, entry, incoming),
            _ => self.serve(entry, incoming),
        }
    }
}

impl FunctionHandler {
    #[cold]
    fn serve_observed(
        &self,
        observers: &Arc<Observers>,
        entry: &FunctionEntry,
        incoming: Incoming,
    ) -> Served {
        observers.serve(incoming, entry.name(), |incoming| self.serve(entry, incoming))
    }

    #[inline]
    fn serve(&self, entry: &FunctionEntry, incoming: Incoming) -> Served {
        // The handles in it are taken back by the caller, as those of any request that was refused.
        if let Some(gatekeeper) = &self.gatekeeper
            && let Err(denied) = gatekeeper.admit(incoming.from, entry.name())
        {
            return Served::Now(denied);
        }
        let Incoming { from, request, context, link } = incoming;
        let context = context.with_host(self.host.clone());
        let incoming = Incoming { from, request, context, link };
        match Serving::new(incoming, Arc::clone(&self.codecs), entry.name()) {
            Ok(serving) => entry.run(serving, Sink::Caller),
            Err(response) => Served::Now(response),
        }
    }
}

impl FunctionTable {
    /// The function that `id` stands for.
    ///
    /// # Errors
    /// The response that says why there is none.
    pub fn entry(&self, id: FunctionId) -> Result<&FunctionEntry, Response> {
        self.find(id).map_err(|miss| match miss {
            Miss::OtherSignature(entry) => {
                Response::failed(Outcome::SignatureMismatch, &[entry.name(), entry.signature()])
            }
            Miss::Unknown => Response::failed(Outcome::UnknownFunction, &self.names(NAMES_SENT_MAX)),
        })
    }
}

impl FunctionEntry {
    /// Runs the function when the handles among its arguments are confirmed; `keeper` takes its result.
    pub fn run_for(&self, serving: Serving, keeper: Box<dyn Keeper>) -> Served {
        self.run(serving, Sink::Keeper(keeper))
    }

    #[inline]
    fn run(&self, serving: Serving, sink: Sink) -> Served {
        let Some(confirmed) = serving.confirmed() else { return self.serve(serving, sink) };
        let entry = self.clone();
        Served::After(Box::pin(async move {
            match confirmed.await {
                Ok(()) => entry.serve(serving, sink),
                Err(error) => Served::Now(sink.failed(Response::reference(&error))),
            }
        }))
    }
}

/// Where a function's result goes.
pub(super) enum Sink {
    Caller,
    Keeper(Box<dyn Keeper>),
}

impl Sink {
    pub(super) fn failed(self, response: Response) -> Response {
        match self {
            Self::Caller => response,
            Self::Keeper(keeper) => keeper.keep(Kept::Failed(response)),
        }
    }
}

/// What a [`Keeper`] gets of a function's or method's result.
pub fn kept<T, E>(result: Result<T, E>) -> Kept
where
    T: serde::Serialize + Send + Sync + 'static,
    E: serde::Serialize + 'static,
{
    match result {
        Ok(value) => Kept::Value(Slot::new(value).into_stored()),
        Err(error) => {
            let any: &dyn std::any::Any = &error;
            let text = any.downcast_ref::<String>().cloned();
            let text = text.or_else(|| any.downcast_ref::<CallError>().map(ToString::to_string));
            Kept::Error { type_name: std::any::type_name::<E>(), text, error: CreationError::new(&error) }
        }
    }
}

/// What serves a call of `F`; a [`FunctionEntry`] holds it with `F` erased. A function without a limit is not asked
/// for one with each call.
pub(super) const fn serve_as_told<F: RemoteFunction>() -> fn(Serving, Sink) -> Served {
    if F::LIMIT.is_some() { serve_in_turn::<F> } else { serve::<F> }
}

fn serve_in_turn<F: RemoteFunction>(serving: Serving, sink: Sink) -> Served {
    match F::LIMIT {
        Some(limit) => serve_limited::<F>(limit, serving, sink, serve::<F>),
        None => serve::<F>(serving, sink),
    }
}

/// What serves a call of `F` with a body of a worker's own.
pub(super) fn serve_bound<F: RemoteFunction>(
    body: impl Fn(F::Args) -> BoxFuture<'static, ResultOf<F>> + Send + Sync + 'static,
) -> Bound {
    let body = Arc::new(body);
    Arc::new(move |serving, sink| {
        let body = Arc::clone(&body);
        let serve = move |serving, sink| start::<F, _>(serving, sink, move |args| body(args));
        match F::LIMIT {
            Some(limit) => serve_limited::<F>(limit, serving, sink, serve),
            None => serve(serving, sink),
        }
    })
}

/// Serves one call of `F`.
fn serve<F: RemoteFunction>(mut serving: Serving, sink: Sink) -> Served {
    match F::BODY {
        // Also where it had to wait for its arguments, and runs in a task.
        FunctionBody::Inline(body) => Served::Now(in_place(|| run::<F>(&mut serving, sink, body))),
        FunctionBody::Blocking(body) => {
            Served::Blocking(Box::new(move || run::<F>(&mut serving, sink, body)))
        }
        FunctionBody::Async(body) => start::<F, _>(serving, sink, body),
    }
}

/// Runs what must not block, because it is in the loop that reads a link.
pub fn in_place<R>(run: impl FnOnce() -> R) -> R {
    let _entered = NoBlocking::enter();
    run()
}

fn run<F: RemoteFunction>(serving: &mut Serving, sink: Sink, body: fn(F::Args) -> ResultOf<F>) -> Response {
    let args = match serving.decode::<F::Args>() {
        Ok(args) => args,
        Err(response) => return sink.failed(response),
    };
    match sink {
        // A result whose encoding panics is a panic of the function.
        Sink::Caller => serving.run(|| serving.respond(body(args))).unwrap_or_else(|panicked| panicked),
        Sink::Keeper(keeper) => keeper.keep(serving.run(|| body(args)).map_or_else(Kept::Failed, kept)),
    }
}

fn start<F, B>(mut serving: Serving, sink: Sink, body: B) -> Served
where
    F: RemoteFunction,
    B: FnOnce(F::Args) -> BoxFuture<'static, ResultOf<F>> + Send + Unpin + 'static,
{
    let stage = Stage::<F, B>::Start { body, arguments: serving.take_arguments() };
    Served::Later(Box::pin(AsyncCall { stage, serving, sink: Some(sink) }))
}

/// Polls a handler inside its context and catches its panics.
struct AsyncCall<F: RemoteFunction, B> {
    stage: Stage<F, B>,
    serving: Serving,
    /// Taken when the future has ended.
    sink: Option<Sink>,
}

/// How far an asynchronous function has come.
enum Stage<F: RemoteFunction, B> {
    /// Nothing of it has run. The body of an `async fn` runs at its first poll, but a hand-written one may begin when
    /// it is called, so both happen in one entry of the call's context.
    Start {
        body: B,
        arguments: Arguments,
    },
    Running(BoxFuture<'static, ResultOf<F>>),
    /// It has ended, or has panicked as it began.
    Over,
}

impl<F, B> Stage<F, B>
where
    F: RemoteFunction,
    B: FnOnce(F::Args) -> BoxFuture<'static, ResultOf<F>>,
{
    /// Goes on, in the context of the call.
    ///
    /// # Errors
    /// The response to arguments that are none.
    fn poll(&mut self, serving: &Serving, cx: &mut Context<'_>) -> Poll<Result<ResultOf<F>, Response>> {
        if matches!(self, Self::Start { .. })
            && let Self::Start { body, arguments } = std::mem::replace(self, Self::Over)
        {
            *self = Self::Running(body(serving.decode_taken(arguments)?));
        }
        match self {
            Self::Running(future) => future.as_mut().poll(cx).map(Ok),
            Self::Start { .. } | Self::Over => unreachable!("a function was polled after it had ended"),
        }
    }
}

impl<F, B> Future for AsyncCall<F, B>
where
    F: RemoteFunction,
    B: FnOnce(F::Args) -> BoxFuture<'static, ResultOf<F>> + Unpin,
{
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let Self { stage, serving, sink } = &mut *self;
        let serving = &*serving;
        if let Some(Sink::Keeper(_)) = sink {
            let kept = match serving.poll(|| stage.poll(serving, cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(result))) => kept(result),
                Ok(Poll::Ready(Err(response))) | Err(response) => Kept::Failed(response),
            };
            if let Some(Sink::Keeper(keeper)) = sink.take() {
                return Poll::Ready(keeper.keep(kept));
            }
        }
        // A result whose encoding panics is a panic of the function.
        let polled = serving.poll(|| {
            stage.poll(serving, cx).map(|result| match result {
                Ok(result) => serving.respond(result),
                Err(response) => response,
            })
        });
        polled.unwrap_or_else(Poll::Ready)
    }
}
