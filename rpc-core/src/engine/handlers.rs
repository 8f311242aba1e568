//! The handlers, by kind of request.
//!
//! They are changed when a worker starts and looked up with every request. So whoever reads a link has the whole
//! table at hand, and only looks whether it is the newest: that takes no lock, and no count that all links would
//! share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::agent::Handler;
use crate::message::Kind;

type Table = BTreeMap<u8, Arc<dyn Handler>>;

/// All handlers of one engine.
#[derive(Default)]
pub(super) struct Handlers {
    newest: RwLock<Arc<Table>>,
    /// Counts the changes.
    version: AtomicU64,
}

/// The table as it was when it was last looked at. A handler that was replaced lives until all have looked again.
#[derive(Default)]
pub(super) struct AtHand {
    table: Arc<Table>,
    version: u64,
}

impl Handlers {
    /// Has `handler` serve `kind`; returns the one that did.
    pub(super) fn insert(&self, kind: Kind, handler: Arc<dyn Handler>) -> Option<Arc<dyn Handler>> {
        let mut newest = self.newest.write();
        let before = Arc::make_mut(&mut newest).insert(kind.0, handler);
        // Under the lock, so that who sees the number finds the table.
        self.version.fetch_add(1, Ordering::Release);
        before
    }

    pub(super) fn get(&self, kind: Kind) -> Option<Arc<dyn Handler>> {
        self.newest.read().get(&kind.0).cloned()
    }
}

impl AtHand {
    /// The handler of `kind`, in the newest table.
    pub(super) fn get(&mut self, handlers: &Handlers, kind: Kind) -> Option<&dyn Handler> {
        if handlers.version.load(Ordering::Acquire) != self.version {
            let newest = handlers.newest.read();
            self.version = handlers.version.load(Ordering::Acquire);
            let before = std::mem::replace(&mut self.table, Arc::clone(&newest));
            drop(newest);
            drop(before); // after the lock: a handler's destructor is the user's
        }
        self.table.get(&kind.0).map(|handler| &**handler)
    }
}
