//! [`Handle`]: one counted handle of this worker. What users hold shares it.

use std::fmt;
use std::sync::{Arc, Weak};

use rpc_core::{ReferenceError, WorkerInfo};

use crate::proto::RRefId;
use crate::registry::{Place, PlaceId, Registry};

/// One handle as the registry counts it. Clones of a reference share one.
pub(crate) struct Handle {
    registry: Weak<Registry>,
    rref: RRefId,
    owner: WorkerInfo,
    place: PlaceId,
}

impl Handle {
    pub(crate) fn rref(&self) -> RRefId {
        self.rref
    }

    pub(crate) fn owner(&self) -> &WorkerInfo {
        &self.owner
    }

    /// Where it came to be.
    pub(crate) fn place(&self) -> PlaceId {
        self.place
    }

    /// The registry that counts it.
    ///
    /// # Errors
    /// Its worker has gone.
    pub(crate) fn registry(&self) -> Result<Arc<Registry>, ReferenceError> {
        self.registry.upgrade().ok_or_else(|| ReferenceError::Foreign { rref: self.rref.to_string() })
    }

    pub(crate) fn is_of(&self, registry: &Registry) -> bool {
        std::ptr::eq(self.registry.as_ptr(), registry)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.change(|state| {
                if state.is_closed() {
                    return;
                }
                state.remove_place(self.rref, self.place);
                state.table.drop_handle(self.rref);
            });
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.rref)
    }
}

/// Stands for a handle that came too late: its sender had taken it back.
#[derive(Debug)]
pub(crate) struct DeadHandle(pub(crate) RRefId);

impl Registry {
    /// A handle that the table has counted and that came to be at `place`.
    pub(crate) fn handle(
        &self,
        state: &mut crate::registry::State,
        rref: RRefId,
        place: Place,
    ) -> Arc<Handle> {
        let place = state.add_place(rref, place);
        // The table takes no id of a worker outside of the group.
        let owner = self.agent().group().get(rref.owner).map_or(self.worker(), |member| &member.info).clone();
        Arc::new(Handle { registry: self.own().clone(), rref, owner, place })
    }
}
