//! How a value comes to be: asked for by its creator, made and kept by its owner.

use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use rpc_core::handles::{AnyHandle, SentHandles};
use rpc_core::{
    Aside, Body, CallError, Client, Failure, FunctionId, Incoming, Keeper, Kept, Never, Outcome,
    ReferenceError, RemoteFunction, RequestHead, Response, Served, Serving, Stored, Target, WorkerId,
    WorkerName,
};
use serde::{Deserialize, Serialize};

use super::desk::{SharedHandles, Travelling};
use super::handler::CREATE;
use super::state::{Owned, Used};
use super::wait::Key;
use super::{Place, Registry, State, encoded};
use crate::handle::Handle;
use crate::proto::RRefId;
use crate::rref::RRef;

/// Stands for a function that this worker does not have.
pub(super) const UNKNOWN_FUNCTION: &str = "an unknown function";

/// What travels beside the arguments of a request to create.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CreateAside<'a> {
    pub(super) rref: RRefId,
    pub(super) place: &'a str,
    pub(super) handles: Vec<Travelling>,
    /// Whose method makes it, if it is a method.
    pub(super) of: Option<OfValue>,
}

/// The value whose method makes another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct OfValue {
    pub(crate) rref: RRefId,
    /// It is asked for by a method of the same value, which has it borrowed to read.
    pub(crate) nested: bool,
}

impl Registry {
    /// Has `function` run on worker `to`, where its result stays, and returns a reference to it at once.
    ///
    /// # Errors
    /// An unknown worker, arguments that cannot be encoded, or a reference among them that is of no use. What
    /// goes wrong later shows when the reference is used.
    #[track_caller]
    pub fn remote<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<RRef<F::Output>, CallError> {
        self.remote_by(self.client(), to, function, args)
    }

    /// As [`remote`](Self::remote), with the timeout of `client`, one of this worker's.
    ///
    /// # Errors
    /// As [`remote`](Self::remote).
    #[track_caller]
    pub fn remote_by<'t, F: RemoteFunction>(
        &self,
        client: &Client,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<RRef<F::Output>, CallError> {
        let _: F = function;
        let place = Place::At(Location::caller());
        let target = to.into();
        let to = match self.agent().group().find(&target) {
            Ok(worker) => worker.id,
            Err(unknown) => {
                let known = unknown.known.iter().map(WorkerName::as_str).collect::<Vec<_>>().join(", ");
                let failure = Failure::UnknownWorker { known };
                return Err(CallError::not_made(&unknown.target, F::NAME, failure));
            }
        };
        let method = const { FunctionId::new(F::NAME, F::SIGNATURE).to_wire() };
        let head = RequestHead {
            kind: CREATE,
            method,
            operation: "rpc_remote",
            function: F::NAME,
            signature: F::SIGNATURE,
        };
        self.create(client, to, head, None, &args, place).map(RRef::new_of)
    }

    /// Asks `to` for a value that the function or method of `head` makes.
    pub(crate) fn create<A: Serialize>(
        &self,
        client: &Client,
        to: WorkerId,
        head: RequestHead,
        of: Option<(&Arc<Handle>, bool)>,
        args: &A,
        place: Place,
    ) -> Result<Arc<Handle>, CallError> {
        let (mut created, mut useless) = (None, None);
        let mut future = client.request::<(), Never, A>(to, head, args, |handles| {
            let (handles, sent) = self.share(to, None, &handles)?;
            let (handle, text) = match self.begin(to, place) {
                Ok(Begin { handle, error: None, place }) => (handle, place),
                Ok(Begin { handle, error: Some(error), .. }) => {
                    // The owner may live, and not know that it is held for dead: it would make what nobody
                    // releases.
                    sent.take_back();
                    useless = Some(handle);
                    return Err(error);
                }
                Err(error) => {
                    sent.take_back();
                    return Err(error);
                }
            };
            let value = of.map(|(of, nested)| OfValue { rref: of.rref(), nested });
            let aside = CreateAside { rref: handle.rref(), place: &text, handles, of: value };
            let bytes = encoded(&aside);
            let registry = self.own().clone();
            let sent = CreationSent {
                registry,
                rref: handle.rref(),
                sent,
                _of: of.map(|(of, _)| Arc::clone(of)),
                lost: false,
            };
            created = Some(handle);
            Ok(Some(Aside { bytes, sent: Box::new(sent) }))
        });
        if let Some(handle) = useless {
            return Ok(handle);
        }
        // One that has failed by now was not sent; how others end is the concern of what was sent with them.
        let by_now = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        match (created, by_now) {
            (Some(handle), Poll::Pending | Poll::Ready(Ok(()))) => Ok(handle),
            // Whether the owner's death is known by now is luck, so it is told where it would be told later.
            (Some(handle), Poll::Ready(Err(error))) if error.failure().is_some_and(is_of_the_owner) => {
                Ok(handle)
            }
            (_, Poll::Ready(Err(error))) => Err(error),
            (None, Poll::Pending | Poll::Ready(Ok(()))) => Err(CallError::not_made(
                &self.describe(to),
                head.function,
                Failure::Encode { reason: "the request was not made".into() },
            )),
        }
    }

    /// The first handle to a value that is going to be asked for.
    fn begin(&self, owner: WorkerId, place: Place) -> Result<Begin, ReferenceError> {
        self.change(|state| {
            if state.is_closed() {
                return Err(ReferenceError::ShutDown { rref: "a new reference".into() });
            }
            let rref = if owner == self.me() {
                state.table.own(Owned::default())
            } else {
                state.met.insert(owner);
                let created = state.table.create(owner, Used::default());
                created.map_err(|_| ReferenceError::TooMany { to: self.describe(owner) })?
            };
            let handle = self.handle(state, rref, place);
            let place = state.places.text(handle.place());
            Ok(Begin { handle, error: self.reference_error(state, rref), place })
        })
    }

    /// Keeps a value that is here already.
    pub(crate) fn own_value(&self, value: Arc<dyn Stored>, place: Place) -> Arc<Handle> {
        let (handle, unneeded) = self.change(|state| {
            if state.is_closed() {
                let rref = state.unused_id();
                return (self.handle(state, rref, place), Some(value));
            }
            let (created, born_s) = (state.places.id(place), state.age_s());
            let owned = Owned { value: Some(value), local: None, created, born_s };
            let rref = state.table.own(owned);
            (self.handle(state, rref, place), None)
        });
        if unneeded.is_some() {
            self.discard(vec![Owned { value: unneeded, ..Owned::default() }]);
        }
        handle
    }

    /// Serves a request to create by a function.
    pub(super) fn serve_create(&self, incoming: Incoming, aside: &[u8]) -> Served {
        let entry = self.functions.entry(FunctionId::from_wire(incoming.request.method));
        let name = entry.as_ref().map_or(UNKNOWN_FUNCTION, |entry| entry.name());
        let (begun, incoming) = match self.begin_creation(incoming, aside, name) {
            Ok(begun) => begun,
            Err(response) => return Served::Now(response),
        };
        let Begun { keeper, handles, .. } = begun;
        let codecs = Arc::clone(self.client().codecs());
        let ready = entry.and_then(|entry| {
            self.admit(incoming.from, entry.name())?;
            Ok((entry, Serving::with_handles(incoming, codecs, handles)?))
        });
        match ready {
            Ok((entry, serving)) => entry.run_for(serving, keeper),
            Err(response) => Served::Now(keeper.keep(Kept::Failed(response))),
        }
    }

    /// What is the same for functions and methods that create.
    pub(crate) fn begin_creation(
        &self,
        incoming: Incoming,
        aside: &[u8],
        function: &'static str,
    ) -> Result<(Begun, Incoming), Response> {
        let from = incoming.from;
        let bad =
            |error: &dyn std::fmt::Display| Response::failed(Outcome::BadArguments, &[&error.to_string()]);
        let aside: CreateAside<'_> = postcard::from_bytes(aside).map_err(|error| bad(&error))?;
        let rref = aside.rref;
        self.change(|state| {
            if state.is_closed() {
                return Err(Response::failed(Outcome::ShuttingDown, &[]));
            }
            if from != self.me() {
                state.met.insert(from);
                match state.table.handle_create(from, rref) {
                    Ok(true) => {}
                    Ok(false) => return Err(Response::failed(Outcome::Cancelled, &[])),
                    Err(violation) => return Err(bad(&violation)),
                }
            }
            let (created, born_s) = (state.places.id_of_text(aside.place), state.age_s());
            if let Some(owned) = state.table.owned_mut(rref) {
                (owned.created, owned.born_s) = (created, born_s);
            }
            state.wake(Key::Value(rref));
            Ok(())
        })?;
        let handles = self.accept(from, &aside.handles, function);
        let keeper = Box::new(CreationKeeper { registry: self.own().clone(), rref, function, kept: false });
        Ok((Begun { keeper, handles, of: aside.of }, incoming))
    }

    /// What this worker has asked for is there, or was.
    pub(crate) fn created(&self, rref: RRefId) {
        self.change(|state| state.table.created(rref));
    }

    fn not_created(&self, rref: RRefId, why: &Failure) {
        self.change(|state| {
            if rref.owner == self.me() {
                // The request of a worker to itself failed before it was served.
                let error = ReferenceError::NotCreated { rref: rref.to_string(), reason: why.to_string() };
                state.creation_ended(rref, Err(error));
                return;
            }
            if state.table.failure(rref).is_none()
                && let Some(used) = state.table.used_mut(rref)
            {
                used.reason = Some(Box::new(why.to_string()));
            }
            state.table.creation_failed(rref);
        });
    }
}

/// A value that is going to be asked for.
struct Begin {
    handle: Arc<Handle>,
    /// Why it cannot be asked for.
    error: Option<ReferenceError>,
    place: Arc<str>,
}

/// A creation that the owner has taken on.
pub(crate) struct Begun {
    pub(crate) keeper: Box<CreationKeeper>,
    pub(crate) handles: Vec<AnyHandle>,
    pub(crate) of: Option<OfValue>,
}

impl State {
    /// The function that makes a value has ended. Returns the value if nobody needs it any more.
    pub(super) fn creation_ended(
        &mut self,
        rref: RRefId,
        value: Result<Arc<dyn Stored>, ReferenceError>,
    ) -> Option<Arc<dyn Stored>> {
        self.wake(Key::Value(rref));
        let Some(owned) = self.table.owned_mut(rref) else { return value.ok() };
        match value {
            Ok(value) => owned.value = Some(value),
            Err(error) => {
                self.failed.insert(rref, Arc::new(error));
            }
        }
        None
    }
}

/// Takes the result of the function that makes a value.
pub(crate) struct CreationKeeper {
    registry: Weak<Registry>,
    rref: RRefId,
    function: &'static str,
    kept: bool,
}

impl CreationKeeper {
    fn end(&mut self, value: Result<Arc<dyn Stored>, ReferenceError>) {
        self.kept = true;
        if let Some(registry) = self.registry.upgrade() {
            let unneeded = registry.change(|state| state.creation_ended(self.rref, value));
            if let Some(value) = unneeded {
                registry.discard(vec![Owned { value: Some(value), ..Owned::default() }]);
            }
        }
    }

    fn failed(&self, reason: String, error: Option<rpc_core::CreationError>) -> ReferenceError {
        ReferenceError::CreationFailed { rref: self.rref.to_string(), reason, error }
    }
}

impl Keeper for CreationKeeper {
    fn keep(mut self: Box<Self>, kept: Kept) -> Response {
        let function = self.function;
        let value = match kept {
            Kept::Value(value) => Ok(value),
            Kept::Error { text: Some(text), error, .. } => {
                Err(self.failed(format!("{function} returned an error: {text}"), error))
            }
            Kept::Error { type_name, error, .. } => {
                let reason = format!(
                    "{function} returned an error of type {type_name}; read it with creation_error::<{type_name}>()"
                );
                Err(self.failed(reason, error))
            }
            Kept::Failed(response) => Err(self.failed(
                match Failure::from_response(&response) {
                    // The caller's own is known to the caller alone.
                    Failure::SignatureMismatch { theirs, .. } => format!(
                        "the function was called with another signature than it has there, {theirs}; build both programs from the same source"
                    ),
                    failure => format!("{function}: {failure}"),
                },
                None,
            )),
        };
        self.end(value);
        Response { outcome: Outcome::Ok, codec: rpc_core::POSTCARD, body: Body::default() }
    }
}

impl Drop for CreationKeeper {
    fn drop(&mut self) {
        if !self.kept {
            let reason = format!("{} was cancelled, or its deadline passed", self.function);
            let error = self.failed(reason, None);
            self.end(Err(error));
        }
    }
}

/// A request to create that is on its way.
struct CreationSent {
    registry: Weak<Registry>,
    rref: RRefId,
    sent: SharedHandles,
    /// The value whose method creates stays at least until it has.
    _of: Option<Arc<Handle>>,
    lost: bool,
}

/// Whether `failure` says that the owner is gone, rather than that the request could not be made.
fn is_of_the_owner(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable { .. } | Failure::LinkLost { .. } | Failure::Departed)
}

impl SentHandles for CreationSent {
    fn lost(mut self: Box<Self>, why: &Failure) {
        self.lost = true;
        self.sent.take_back();
        if let Some(registry) = self.registry.upgrade() {
            let owner = self.rref.owner;
            if owner != registry.me() && matches!(why, Failure::Unreachable { .. } | Failure::Departed) {
                registry.peer_is_gone(owner, why);
            }
            registry.not_created(self.rref, why);
        }
    }
}

impl Drop for CreationSent {
    fn drop(&mut self) {
        if !self.lost
            && let Some(registry) = self.registry.upgrade()
        {
            registry.created(self.rref);
        }
    }
}
