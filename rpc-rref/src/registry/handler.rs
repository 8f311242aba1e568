//! What this worker is asked about references, by kind of request.

use std::fmt;
use std::sync::{Arc, Weak};

use rpc_core::{Handler, Incoming, Kind, Outcome, Response, Served, aside};

use super::chores::CHORE;
use super::control::CONTROL;
use super::{Registry, State};

/// Run a function and keep its result.
pub(crate) const CREATE: Kind = Kind(0x13);
/// Send a copy of a value, or say that it is there.
pub(crate) const FETCH: Kind = Kind(0x14);
/// Run a method of a value.
pub(crate) const METHOD: Kind = Kind(0x15);
/// Run a method of a value and keep its result.
pub(crate) const CREATE_BY_METHOD: Kind = Kind(0x16);

/// Say who holds what.
pub(crate) const REPORT: Kind = Kind(0x18);

pub(super) const KINDS: [Kind; 7] = [CONTROL, CREATE, FETCH, METHOD, CREATE_BY_METHOD, CHORE, REPORT];

/// Serves one kind.
pub(super) struct ReferenceHandler {
    registry: Weak<Registry>,
    kind: Kind,
}

impl ReferenceHandler {
    pub(super) fn new(registry: &Arc<Registry>, kind: Kind) -> Self {
        Self { registry: Arc::downgrade(registry), kind }
    }
}

impl Handler for ReferenceHandler {
    fn handle(&self, mut incoming: Incoming) -> Served {
        let Some(registry) = self.registry.upgrade() else {
            return Served::Now(Response::failed(Outcome::ShuttingDown, &[]));
        };
        match self.kind {
            CONTROL if incoming.from == registry.me() => return registry.serve_chore(&incoming),
            CONTROL => return Served::Now(registry.serve_control(&incoming)),
            CHORE => return registry.serve_chore(&incoming),
            REPORT => return registry.serve_report(&incoming),
            _ if registry.read(State::is_closed) => {
                return Served::Now(Response::failed(Outcome::ShuttingDown, &[]));
            }
            _ => {}
        }
        if let Err(error) = incoming.take_trailers() {
            return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()]));
        }
        let Incoming { from, mut request, context, link } = incoming;
        let split = aside::split(request.codec, request.body.payload);
        let aside = match split {
            Ok((codec, payload, aside)) => {
                (request.codec, request.body.payload) = (codec, payload);
                aside.unwrap_or_default()
            }
            Err(error) => return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()])),
        };
        let context = context.with_host(registry.host());
        let incoming = Incoming { from, request, context, link };
        let serve = |incoming: Incoming| match self.kind {
            CREATE => registry.serve_create(incoming, &aside),
            FETCH => registry.serve_fetch(incoming, &aside),
            METHOD => registry.serve_method(incoming, &aside),
            CREATE_BY_METHOD => registry.serve_create_by_method(incoming, &aside),
            _ => Served::Now(Response::failed(Outcome::UnknownKind, &[])),
        };
        let observers = registry.client().observers();
        // Its name is looked up once more if somebody wants to know, and not at all otherwise.
        match observers.want(&incoming).then(|| registry.function_of(self.kind, incoming.request.method)) {
            Some(Some(function)) => observers.serve(incoming, function, serve),
            _ => serve(incoming),
        }
    }
}

impl fmt::Debug for ReferenceHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReferenceHandler({:?})", self.kind)
    }
}
