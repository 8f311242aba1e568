//! [`FunctionHandler`]: serves [`Kind::CALL`](crate::Kind::CALL) out of a function table.

use std::fmt;
use std::sync::{Arc, Weak};

use serde::Serialize;

use super::table::Miss;
use super::{BoxFuture, FunctionBody, FunctionId, FunctionTable, RemoteFunction, ResultOf, panic};
use crate::agent::{Handler, Incoming, Served};
use crate::client::Client;
use crate::codec::Codecs;
use crate::context::{CallContext, Host};
use crate::message::{Outcome, Response};

/// How many of the callee's function names an "unknown function" response carries.
const NAMES_SENT_MAX: usize = 256;

/// Runs the functions of a table.
pub struct FunctionHandler {
    table: Arc<FunctionTable>,
    codecs: Arc<Codecs>,
    host: Weak<dyn Host>,
}

impl FunctionHandler {
    /// A handler for the functions of `table`.
    ///
    /// `host` is what [`CallContext::host`] gives to a running function: the facade puts its worker there.
    /// It is weak because the host usually owns the agent that owns this handler.
    pub fn new(table: Arc<FunctionTable>, codecs: Arc<Codecs>, host: Weak<dyn Host>) -> Self {
        Self { table, codecs, host }
    }

    /// A handler for functions that need no host.
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
        if !self.codecs.has(incoming.request.codec) {
            let known = self.codecs.names().join(", ");
            return Served::Now(Response::failed(Outcome::UnknownCodec, &[&known]));
        }
        match self.table.find(FunctionId::from_wire(incoming.request.method)) {
            Ok(entry) => {
                let context = incoming.context.with_host(self.host.clone());
                let codecs = Arc::clone(&self.codecs);
                (entry.serve)(FunctionCall { incoming: Incoming { context, ..incoming }, codecs })
            }
            Err(Miss::OtherSignature(entry)) => {
                Served::Now(Response::failed(Outcome::SignatureMismatch, &[entry.name(), entry.signature()]))
            }
            Err(Miss::Unknown) => {
                Served::Now(Response::failed(Outcome::UnknownFunction, &self.table.names(NAMES_SENT_MAX)))
            }
        }
    }
}

/// One call on its way into its function.
pub(super) struct FunctionCall {
    incoming: Incoming,
    codecs: Arc<Codecs>,
}

/// Serves one call of `F`; a [`FunctionEntry`](super::FunctionEntry) holds this with `F` erased.
pub(super) fn serve<F: RemoteFunction>(call: FunctionCall) -> Served {
    match F::BODY {
        FunctionBody::Inline(body) => Served::Now(run::<F>(call, body)),
        FunctionBody::Blocking(body) => Served::Blocking(Box::new(move || run::<F>(call, body))),
        FunctionBody::Async(body) => start::<F>(call, body),
    }
}

fn run<F: RemoteFunction>(call: FunctionCall, body: fn(F::Args) -> ResultOf<F>) -> Response {
    let FunctionCall { incoming, codecs } = call;
    let codec = incoming.request.codec;
    panic::catch(|| {
        let args = match codecs.decode::<F::Args>(codec, incoming.request.body) {
            Ok(args) => args,
            Err(error) => return Response::failed(Outcome::BadArguments, &[&error.to_string()]),
        };
        let _entered = incoming.context.enter();
        respond(&codecs, codec, body(args))
    })
    .unwrap_or_else(|panicked| panicked)
}

fn start<F: RemoteFunction>(
    call: FunctionCall,
    body: fn(F::Args) -> BoxFuture<'static, ResultOf<F>>,
) -> Served {
    let FunctionCall { incoming, codecs } = call;
    let Incoming { request, context, .. } = incoming;
    let codec = request.codec;
    let started = panic::catch(|| {
        let args = codecs.decode::<F::Args>(codec, request.body);
        // The body of an `async fn` runs at its first poll, but a hand-written one may start here.
        args.map(|args| context.run(|| body(args)))
    });
    match started {
        Err(panicked) => Served::Now(panicked),
        Ok(Err(error)) => Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()])),
        Ok(Ok(future)) => Served::Later(Box::pin(AsyncCall { future, context, codecs, codec })),
    }
}

/// Polls a handler inside its context and catches its panics.
struct AsyncCall<T, E> {
    future: BoxFuture<'static, Result<T, E>>,
    context: CallContext,
    codecs: Arc<Codecs>,
    codec: u8,
}

impl<T: Serialize, E: Serialize> Future for AsyncCall<T, E> {
    type Output = Response;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Response> {
        let this = &mut *self;
        let polled = panic::catch(|| {
            let _entered = this.context.enter_async();
            this.future.as_mut().poll(cx).map(|result| respond(&this.codecs, this.codec, result))
        });
        polled.unwrap_or_else(std::task::Poll::Ready)
    }
}

fn respond<T: Serialize, E: Serialize>(codecs: &Codecs, codec: u8, result: Result<T, E>) -> Response {
    let (outcome, body) = match &result {
        Ok(value) => (Outcome::Ok, codecs.encode(codec, value)),
        Err(error) => (Outcome::HandlerError, codecs.encode(codec, error)),
    };
    match body {
        Ok(body) => Response { outcome, codec, body },
        Err(error) => Response::failed(Outcome::BadResult, &[&error.to_string()]),
    }
}
