//! One registered method with its types erased.

use std::fmt;

use rpc_core::FunctionId;
use rpc_core::macro_support::inventory;

use super::serve::{MethodCall, serve_as_told};
use super::{Access, RemoteMethod};
use rpc_core::Served;

/// A method as its worker holds it. `#[rpc::methods]` submits one for each at link time.
#[derive(Clone, Copy)]
pub struct MethodEntry {
    name: &'static str,
    signature: &'static str,
    id: FunctionId,
    access: Access,
    pub(super) serve: fn(MethodCall) -> Served,
}

impl MethodEntry {
    /// The entry of `M`.
    pub const fn of<M: RemoteMethod>() -> Self {
        Self {
            name: M::NAME,
            signature: M::SIGNATURE,
            id: FunctionId::new(M::NAME, M::SIGNATURE),
            access: M::BODY.access(),
            serve: serve_as_told::<M>(),
        }
    }

    /// `crate::module::Type::method`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The signature as its source spells it, `self` included.
    pub const fn signature(&self) -> &'static str {
        self.signature
    }

    /// What stands for it on the wire. Methods and functions have kinds of their own there, so the two
    /// never meet.
    pub const fn id(&self) -> FunctionId {
        self.id
    }

    /// Which lock it needs.
    pub const fn access(&self) -> Access {
        self.access
    }
}

impl fmt::Debug for MethodEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.signature)
    }
}

inventory::collect!(MethodEntry);
