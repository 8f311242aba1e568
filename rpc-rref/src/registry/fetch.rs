//! Copies of values for other workers, and whether a value is there.

use std::sync::Arc;

use rpc_core::handles::SentHandles;
use rpc_core::{
    Aside, Body, CodecError, Failure, Incoming, Never, Outcome, POSTCARD, ReferenceError, RequestHead,
    Response, RpcFuture, Served, Serving, Stored, StoredRead, WorkerId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::desk::SharedHandles;
use super::handler::FETCH;
use super::verdict::Use;
use super::wait::{Borrow, Key, Waiter, Wanted};
use super::{Registry, State, encoded};
use crate::handle::Handle;
use crate::proto::{Access, RRefId};

const VALUE: u64 = 0;
const CREATED: u64 = 1;

/// Why a value is missing, as far as its owner knows.
pub(super) const NEVER_ASKED: &str =
    "the worker that asked for it gave up, or died, before the request arrived here";

/// What travels in a request to fetch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct FetchAside {
    rref: RRefId,
    /// It comes from a method of the same value, which has it borrowed to read.
    nested: bool,
}

impl Registry {
    /// Asks the owner for a copy.
    pub(crate) fn fetch<T: DeserializeOwned>(&self, handle: &Arc<Handle>) -> RpcFuture<T> {
        self.ask(
            handle,
            RequestHead {
                kind: FETCH,
                method: VALUE,
                operation: "rref_to_here",
                function: "to_here",
                signature: "",
            },
        )
    }

    /// Asks the owner whether the value has been made.
    pub(crate) fn ask_created(&self, handle: &Arc<Handle>) -> RpcFuture<()> {
        self.ask(
            handle,
            RequestHead {
                kind: FETCH,
                method: CREATED,
                operation: "rref_created",
                function: "created",
                signature: "",
            },
        )
    }

    fn ask<T: DeserializeOwned>(&self, handle: &Arc<Handle>, head: RequestHead) -> RpcFuture<T> {
        let used = Use::new(self, handle, false);
        let rref = handle.rref();
        let creating = match self.read(|state| self.usable(state, rref)) {
            Ok(creating) => creating,
            Err(error) => {
                return self.client().failed(rref.owner, head, Failure::Reference(Box::new(error)));
            }
        };
        let aside = FetchAside { rref, nested: used.is_nested() };
        let bytes = encoded(&aside);
        let sent = Box::new(InUse::new(handle, creating, None));
        let future: RpcFuture<T, Never> =
            self.client().request(rref.owner, head, &(), |_| Ok(Some(Aside { bytes, sent })));
        if head.method == VALUE {
            future.hooked(Arc::new(used))
        } else {
            future.hooked(Arc::new(used.anywhere()))
        }
    }

    pub(super) fn serve_fetch(&self, incoming: Incoming, aside: &[u8]) -> Served {
        let FetchAside { rref, nested } = match postcard::from_bytes(aside) {
            Ok(aside) => aside,
            Err(error) => return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()])),
        };
        let from = incoming.from;
        let nested = nested && from == self.me();
        let only_created = incoming.request.method == CREATED;
        let codec = incoming.request.codec;
        let serving = match Serving::with_handles(incoming, Arc::clone(self.client().codecs()), Vec::new()) {
            Ok(serving) => serving,
            Err(response) => return Served::Now(response),
        };
        let wanted = Wanted { rref, exclusive: false, nested };
        let ready = self.read(|state| value_for(state, from, rref));
        if let Some(found) = ready {
            let stored = match found {
                Ok(stored) => stored,
                Err(error) => return Served::Now(Response::reference(&error)),
            };
            if only_created {
                return Served::Now(done());
            }
            if let Some(borrowed) = self.try_borrow(wanted, &stored, || Arc::clone(&stored).try_borrow()) {
                return Served::Now(copy(&serving, codec, &**borrowed.get(), &*stored, rref));
            }
        }
        let Some(registry) = self.own().upgrade() else {
            return Served::Now(Response::failed(Outcome::ShuttingDown, &[]));
        };
        // What comes after the waiting is short, as what an inline function does.
        Served::After(Box::pin(async move {
            Served::Now(match registry.value(from, rref).await {
                Err(error) => Response::reference(&error),
                Ok(_) if only_created => done(),
                Ok(stored) => {
                    let attempt = || Arc::clone(&stored).try_borrow();
                    let borrowed = Borrow::new(registry, wanted, Arc::clone(&stored), attempt).await;
                    copy(&serving, codec, &**borrowed.get(), &*stored, rref)
                }
            })
        }))
    }

    /// The value of `rref` for worker `from`, when it is there.
    ///
    /// # Errors
    /// There is none, or not for `from`.
    pub(crate) async fn value(
        self: &Arc<Self>,
        from: WorkerId,
        rref: RRefId,
    ) -> Result<Arc<dyn Stored>, ReferenceError> {
        Waiter::new(Arc::clone(self), Key::Value(rref), move |state: &mut State| value_for(state, from, rref))
            .await
    }
}

/// The value of `rref` for worker `from`; `None` if it is not there yet.
pub(crate) fn value_for(
    state: &State,
    from: WorkerId,
    rref: RRefId,
) -> Option<Result<Arc<dyn Stored>, ReferenceError>> {
    if state.is_closed() {
        let (rref, is_own) = (rref.to_string(), from == state.me);
        return Some(Err(match is_own {
            true => ReferenceError::ShutDown { rref },
            false => ReferenceError::NotHere { rref },
        }));
    }
    match state.table.access(from, rref) {
        Access::Gone => Some(Err(match state.table.failure(rref) {
            Some(_) => ReferenceError::NotCreated { rref: rref.to_string(), reason: NEVER_ASKED.into() },
            None => ReferenceError::NotHere { rref: rref.to_string() },
        })),
        Access::NotYet => None,
        Access::Yes => {
            if let Some(error) = state.failed.get(&rref) {
                return Some(Err((**error).clone()));
            }
            state.table.owned(rref)?.value.clone().map(Ok)
        }
    }
}

fn done() -> Response {
    Response { outcome: Outcome::Ok, codec: POSTCARD, body: Body::default() }
}

fn copy(serving: &Serving, codec: u8, value: &dyn StoredRead, stored: &dyn Stored, rref: RRefId) -> Response {
    // What serializes the value is its user's code, and may panic.
    let encoded = serving.run(|| value.encode(serving.codecs(), codec));
    match encoded {
        Ok(Some(Ok(encoded))) => serving.seal(Outcome::Ok, encoded),
        Ok(Some(Err(error))) => bad_result(&error),
        Ok(None) => Response::reference(&ReferenceError::NotCopyable {
            rref: rref.to_string(),
            type_name: stored.type_name().to_owned(),
        }),
        Err(panicked) => panicked,
    }
}

fn bad_result(error: &CodecError) -> Response {
    Response::failed(Outcome::BadResult, &[&error.to_string()])
}

/// Keeps a handle alive while a request uses it.
///
/// An answer about a value says that it is there. That tells who has asked for the value as much as the answer to that
/// request, which may be late, or be lost with its link.
pub(crate) struct InUse {
    handle: Arc<Handle>,
    /// Whether it is not known here that the value is there.
    creating: bool,
    /// Handles among the arguments.
    shared: Option<SharedHandles>,
}

impl InUse {
    pub(crate) fn new(handle: &Arc<Handle>, creating: bool, shared: Option<SharedHandles>) -> Self {
        Self { handle: Arc::clone(handle), creating, shared }
    }
}

impl SentHandles for InUse {
    fn lost(mut self: Box<Self>, _why: &Failure) {
        self.creating = false;
        if let Some(shared) = &self.shared {
            shared.take_back();
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if self.creating
            && let Ok(registry) = self.handle.registry()
        {
            registry.created(self.handle.rref());
        }
    }
}
