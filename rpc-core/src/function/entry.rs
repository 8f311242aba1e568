//! One registered function with its types erased.

use std::fmt;

use super::handler::{Sink, serve_as_told};
use super::{CallLimit, FunctionId, RemoteFunction, Serving};
use crate::agent::Served;

/// A function as the table holds it. `#[rpc::function]` submits one at link time.
#[derive(Clone, Copy)]
pub struct FunctionEntry {
    name: &'static str,
    signature: &'static str,
    id: FunctionId,
    idempotent: bool,
    limit: Option<CallLimit>,
    pub(super) serve: fn(Serving, Sink) -> Served,
}

impl FunctionEntry {
    /// The entry of `F`.
    pub const fn of<F: RemoteFunction>() -> Self {
        Self {
            name: F::NAME,
            signature: F::SIGNATURE,
            id: FunctionId::new(F::NAME, F::SIGNATURE),
            idempotent: F::IDEMPOTENT,
            limit: F::LIMIT,
            serve: serve_as_told::<F>(),
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
