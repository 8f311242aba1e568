//! One registered function with its types erased.

use std::fmt;

use super::handler::{Sink, serve};
use super::{FunctionId, RemoteFunction, Serving};
use crate::agent::Served;

/// A function as the table holds it. `#[rpc::function]` submits one at link time.
#[derive(Clone, Copy)]
pub struct FunctionEntry {
    name: &'static str,
    signature: &'static str,
    id: FunctionId,
    pub(super) serve: fn(Serving, Sink) -> Served,
}

impl FunctionEntry {
    /// The entry of `F`.
    pub const fn of<F: RemoteFunction>() -> Self {
        Self {
            name: F::NAME,
            signature: F::SIGNATURE,
            id: FunctionId::new(F::NAME, F::SIGNATURE),
            serve: serve::<F>,
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
