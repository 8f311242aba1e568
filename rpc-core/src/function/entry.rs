//! One registered function with its types erased.

use std::fmt;
use std::sync::Arc;

use super::handler::{Sink, serve_as_told, serve_bound};
use super::{BoxFuture, CallLimit, FunctionId, RemoteFunction, ResultOf, Serving};
use crate::agent::Served;

/// A function as the table holds it. `#[rpc::function]` submits one at link time.
#[derive(Clone)]
pub struct FunctionEntry {
    name: &'static str,
    signature: &'static str,
    id: FunctionId,
    idempotent: bool,
    limit: Option<CallLimit>,
    serve: Serve,
}

/// What serves a call.
#[derive(Clone)]
enum Serve {
    /// The body that the function was written with.
    Own(fn(Serving, Sink) -> Served),
    /// The one that a worker has [bound](super::FunctionTable::bind) to it.
    Bound(Bound),
}

/// A body that holds something of the worker's own.
pub(super) type Bound = Arc<dyn Fn(Serving, Sink) -> Served + Send + Sync>;

impl FunctionEntry {
    /// The entry of `F`.
    pub const fn of<F: RemoteFunction>() -> Self {
        Self {
            name: F::NAME,
            signature: F::SIGNATURE,
            id: FunctionId::new(F::NAME, F::SIGNATURE),
            idempotent: F::IDEMPOTENT,
            limit: F::LIMIT,
            serve: Serve::Own(serve_as_told::<F>()),
        }
    }

    /// The entry of `F` with another body.
    pub(super) fn bound<F: RemoteFunction>(
        body: impl Fn(F::Args) -> BoxFuture<'static, ResultOf<F>> + Send + Sync + 'static,
    ) -> Self {
        Self { serve: Serve::Bound(serve_bound::<F>(body)), ..Self::of::<F>() }
    }

    /// Serves a call.
    #[inline]
    pub(super) fn serve(&self, serving: Serving, sink: Sink) -> Served {
        match &self.serve {
            Serve::Own(serve) => serve(serving, sink),
            Serve::Bound(serve) => serve(serving, sink),
        }
    }

    /// `crate::module::name`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The signature as its source spells it.
    pub const fn signature(&self) -> &'static str {
        self.signature
    }

    /// Whether to run it twice is as good as once.
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// How many calls of it a worker runs at a time; `None` for as many as come.
    pub const fn limit(&self) -> Option<CallLimit> {
        self.limit
    }

    /// What stands for it on the wire.
    pub const fn id(&self) -> FunctionId {
        self.id
    }
}

impl fmt::Debug for FunctionEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.signature)
    }
}

inventory::collect!(FunctionEntry);
