//! Methods on the owner: the value is found, borrowed as the method needs it, and the method runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use rpc_core::{
    BoxFuture, FunctionId, Incoming, Keeper, Kept, Outcome, ReferenceError, Response, Served, Serving, Slot,
    SlotRead, SlotWrite, Stored, WorkerId, in_place, kept,
};
use serde::{Deserialize, Serialize};

use super::{Access, MethodBody, MethodEntry, RemoteMethod, Run};
use crate::proto::RRefId;
use crate::registry::{Borrow, Borrowed, Held, Holding, Registry, Travelling, Wanted, value_for};

/// What travels beside the arguments of a method.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MethodAside {
    pub(crate) rref: RRefId,
    /// It is called by a method of the same value, which has it borrowed to read.
    pub(crate) nested: bool,
    pub(crate) handles: Vec<Travelling>,
}

/// Where a method's result goes.
pub(super) enum Sink {
    Caller,
    Keeper(Box<dyn Keeper>),
}

impl Sink {
    fn failed(self, response: Response) -> Response {
        match self {
            Self::Caller => response,
            Self::Keeper(keeper) => keeper.keep(Kept::Failed(response)),
        }
    }
}

/// A method call whose value has been found.
pub(super) struct MethodCall {
    registry: Arc<Registry>,
    serving: Serving,
    stored: Arc<dyn Stored>,
    wanted: Wanted,
    sink: Sink,
}

impl Registry {
    pub(crate) fn serve_method(&self, incoming: Incoming, aside: &[u8]) -> Served {
        let entry = match self.methods().entry(FunctionId::from_wire(incoming.request.method)) {
            Ok(entry) => *entry,
            Err(response) => return Served::Now(response),
        };
        if let Err(denied) = self.admit(incoming.from, entry.name()) {
            return Served::Now(denied);
        }
        let MethodAside { rref, nested, handles } = match postcard::from_bytes(aside) {
            Ok(aside) => aside,
            Err(error) => return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()])),
        };
        let from = incoming.from;
        let handles = self.accept(from, &handles, entry.name());
        match Serving::with_handles(incoming, Arc::clone(self.client().codecs()), handles) {
            Ok(serving) => self.run_method(entry, serving, rref, nested && from == self.me(), Sink::Caller),
            Err(response) => Served::Now(response),
        }
    }

    pub(crate) fn serve_create_by_method(&self, incoming: Incoming, aside: &[u8]) -> Served {
        let entry = self.methods().entry(FunctionId::from_wire(incoming.request.method)).copied();
        let name = entry.as_ref().map_or("an unknown method", MethodEntry::name);
        let (begun, incoming) = match self.begin_creation(incoming, aside, name) {
            Ok(begun) => begun,
            Err(response) => return Served::Now(response),
        };
        let from = incoming.from;
        let codecs = Arc::clone(self.client().codecs());
        let of = begun.of.ok_or_else(|| Response::failed(Outcome::BadArguments, &["no value is named"]));
        let ready = entry.and_then(|entry| {
            self.admit(from, entry.name())?;
            Ok((entry, of?, Serving::with_handles(incoming, codecs, begun.handles)?))
        });
        match ready {
            Ok((entry, of, serving)) => {
                let nested = of.nested && from == self.me();
                self.run_method(entry, serving, of.rref, nested, Sink::Keeper(begun.keeper))
            }
            Err(response) => Served::Now(begun.keeper.keep(Kept::Failed(response))),
        }
    }

    /// Runs a method when its arguments are confirmed and its value is there.
    fn run_method(
        &self,
        entry: MethodEntry,
        serving: Serving,
        rref: RRefId,
        nested: bool,
        sink: Sink,
    ) -> Served {
        let Some(registry) = self.own().upgrade() else {
            return Served::Now(sink.failed(Response::failed(Outcome::ShuttingDown, &[])));
        };
        let from: WorkerId = serving.from();
        let wanted = Wanted { rref, exclusive: entry.access() == Access::Exclusive, nested };
        let confirmed = serving.confirmed();
        let found = self.read(|state| value_for(state, from, rref));
        if let (None, Some(Ok(stored))) = (&confirmed, &found) {
            let stored = Arc::clone(stored);
            return (entry.serve)(MethodCall { registry, serving, stored, wanted, sink });
        }
        Served::After(Box::pin(async move {
            let ready = async {
                if let Some(confirmed) = confirmed {
                    confirmed.await?;
                }
                registry.value(from, rref).await
            };
            match ready.await {
                Ok(stored) => (entry.serve)(MethodCall { registry, serving, stored, wanted, sink }),
                Err(error) => Served::Now(sink.failed(Response::reference(&error))),
            }
        }))
    }
}

type Ended<M> = Result<<M as RemoteMethod>::Output, <M as RemoteMethod>::Error>;

/// What serves a call of `M`; a [`MethodEntry`] holds it with `M` erased. A method without a limit is not asked for one
/// with each call.
pub(super) const fn serve_as_told<M: RemoteMethod>() -> fn(MethodCall) -> Served {
    if M::LIMIT.is_some() { serve_in_turn::<M> } else { serve::<M> }
}

/// Before it has borrowed its value: who waits for a turn keeps nobody from it.
fn serve_in_turn<M: RemoteMethod>(call: MethodCall) -> Served {
    let Some(limit) = M::LIMIT else { return serve::<M>(call) };
    let client = call.registry.client().clone();
    limit.in_turn(&client, M::NAME, call, serve::<M>, |call, refused| call.sink.failed(refused))
}

/// Serves one call of `M`.
fn serve<M: RemoteMethod>(call: MethodCall) -> Served {
    let Some(slot) = Slot::<M::Value>::of(&call.stored) else {
        let error = ReferenceError::WrongType {
            rref: call.wanted.rref.to_string(),
            expected: std::any::type_name::<M::Value>().to_owned(),
            found: call.stored.type_name().to_owned(),
        };
        return Served::Now(call.sink.failed(Response::reference(&error)));
    };
    match M::BODY.access() {
        Access::Shared => {
            if let Some(guard) = call.registry.try_borrow(call.wanted, &call.stored, || slot.try_read()) {
                return run_shared::<M>(call, guard);
            }
            Served::After(Box::pin(async move {
                let attempt = move || slot.try_read();
                let stored = Arc::clone(&call.stored);
                let guard = Borrow::new(Arc::clone(&call.registry), call.wanted, stored, attempt).await;
                run_shared::<M>(call, guard)
            }))
        }
        Access::Exclusive => {
            if let Some(guard) = call.registry.try_borrow(call.wanted, &call.stored, || slot.try_write()) {
                return run_exclusive::<M>(call, guard);
            }
            Served::After(Box::pin(async move {
                let attempt = move || slot.try_write();
                let stored = Arc::clone(&call.stored);
                let guard = Borrow::new(Arc::clone(&call.registry), call.wanted, stored, attempt).await;
                run_exclusive::<M>(call, guard)
            }))
        }
    }
}

/// The arguments, and the call in a context that knows what it has borrowed.
fn begin<M: RemoteMethod>(call: MethodCall) -> Result<(M::Args, Serving, Sink, Held), Response> {
    let MethodCall { registry, mut serving, wanted, sink, .. } = call;
    match serving.decode::<M::Args>() {
        Ok(args) => {
            let Wanted { rref, exclusive, .. } = wanted;
            let ended = AtomicBool::new(false);
            let holding = Arc::new(Holding { registry: registry.own().clone(), rref, exclusive, ended });
            let context = serving.context().clone().with_extension(Arc::clone(&holding) as _);
            Ok((args, serving.with_context(context), sink, Held(holding)))
        }
        Err(response) => Err(sink.failed(response)),
    }
}

fn run_shared<M: RemoteMethod>(call: MethodCall, guard: Borrowed<SlotRead<M::Value>>) -> Served {
    let (args, serving, sink, held) = match begin::<M>(call) {
        Ok(begun) => begun,
        Err(response) => return Served::Now(response),
    };
    match M::BODY {
        MethodBody::Shared(run, body) => at(run, move || {
            let ended = serving.run(|| body(&guard, args));
            drop((guard, held));
            finish::<M>(&serving, sink, ended)
        }),
        MethodBody::SharedAsync(body) => Served::Later(Box::pin(async move {
            let ended = match serving.run(|| body(&guard, args)) {
                Ok(future) => InContext { future, serving: &serving }.await,
                Err(panicked) => Err(panicked),
            };
            drop((guard, held));
            finish::<M>(&serving, sink, ended)
        })),
        MethodBody::Exclusive(..) | MethodBody::ExclusiveAsync(_) => Served::Now(sink.failed(mismatch())),
    }
}

fn run_exclusive<M: RemoteMethod>(call: MethodCall, mut guard: Borrowed<SlotWrite<M::Value>>) -> Served {
    let (args, serving, sink, held) = match begin::<M>(call) {
        Ok(begun) => begun,
        Err(response) => return Served::Now(response),
    };
    match M::BODY {
        MethodBody::Exclusive(run, body) => at(run, move || {
            let ended = serving.run(|| body(&mut guard, args));
            drop((guard, held));
            finish::<M>(&serving, sink, ended)
        }),
        MethodBody::ExclusiveAsync(body) => Served::Later(Box::pin(async move {
            let ended = match serving.run(|| body(&mut guard, args)) {
                Ok(future) => InContext { future, serving: &serving }.await,
                Err(panicked) => Err(panicked),
            };
            drop((guard, held));
            finish::<M>(&serving, sink, ended)
        })),
        MethodBody::Shared(..) | MethodBody::SharedAsync(_) => Served::Now(sink.failed(mismatch())),
    }
}

/// A method's body and the borrowing made for it come from the same constant.
fn mismatch() -> Response {
    Response::failed(Outcome::Panicked, &["the method was borrowed for in the wrong way", file!()])
}

fn at(run: Run, job: impl FnOnce() -> Response + Send + 'static) -> Served {
    match run {
        Run::Inline => Served::Now(in_place(job)),
        Run::Thread => Served::Blocking(Box::new(job)),
    }
}

/// The value is free again when the result is encoded: nobody waits for a caller that reads slowly.
fn finish<M: RemoteMethod>(serving: &Serving, sink: Sink, ended: Result<Ended<M>, Response>) -> Response {
    match (sink, ended) {
        (sink, Err(panicked)) => sink.failed(panicked),
        (Sink::Caller, Ok(result)) => {
            serving.run(|| serving.respond(result)).unwrap_or_else(|panicked| panicked)
        }
        (Sink::Keeper(keeper), Ok(result)) => keeper.keep(kept(result)),
    }
}

/// Polls a method inside the context of its call and catches its panics.
struct InContext<'a, R> {
    future: BoxFuture<'a, R>,
    serving: &'a Serving,
}

impl<R> Future for InContext<'_, R> {
    type Output = Result<R, Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { future, serving } = &mut *self;
        match serving.poll(|| future.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}
