//! Dropping values: a destructor is its user's code, and may block, panic, or drop further references.
//!
//! Who drops a reference never waits for a destructor: a value that has one is dropped on a thread of the
//! worker's own. There one destructor runs after another. What it sets free waits until it has returned, so a
//! chain of values that refer to each other takes no more stack than one of them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rpc_core::Failure;
use rpc_core::handles::{HandleDesk, SentHandles};

use super::Registry;
use super::chores::{DROP, chore};
use super::state::Owned;

thread_local! {
    /// What the destructor that runs on this thread sets free; `None` if none runs. Bounded by the values that
    /// there were.
    static FREED: RefCell<Option<Vec<Owned>>> = const { RefCell::new(None) };
}

/// Values whose destructors have to run.
#[derive(Default)]
pub(super) struct Trash(Mutex<Heap>);

#[derive(Default)]
struct Heap {
    /// Bounded by the values that there were.
    values: Vec<Owned>,
    /// Somebody is on the way to drop them.
    fetched: bool,
}

impl Registry {
    /// Drops `freed` where a destructor may block.
    pub(super) fn discard(&self, freed: Vec<Owned>) {
        let Some(freed) = leave_to_running(freed) else { return };
        let has_destructor = |owned: &Owned| owned.value.as_ref().is_some_and(|value| value.needs_drop());
        if !freed.iter().any(has_destructor) {
            return;
        }
        let mut heap = self.trash.0.lock();
        heap.values.extend(freed);
        let fetched = std::mem::replace(&mut heap.fetched, true);
        drop(heap);
        if fetched {
            return;
        }
        let reply = self.agent().send(self.me(), chore(DROP, Vec::new()));
        if let Some(registry) = self.own().upgrade() {
            let desk: Arc<dyn HandleDesk> = registry;
            reply.watch(desk, self.me(), "references", Some(Box::new(Fetched(self.own().clone()))));
        }
    }

    pub(super) fn empty_trash(&self) {
        let heap = std::mem::take(&mut *self.trash.0.lock());
        drop_values(heap.values);
    }
}

/// Gives `freed` to the destructor that runs on this thread; `None` if one does.
fn leave_to_running(freed: Vec<Owned>) -> Option<Vec<Owned>> {
    let mut freed = Some(freed);
    // Without a place to leave them, because the thread is ending, they are dropped as if none ran.
    let _ = FREED.try_with(|running| {
        if let Some(running) = &mut *running.borrow_mut() {
            running.extend(freed.take().unwrap_or_default());
        }
    });
    freed
}

/// Drops `values` here and now, and what they set free. One destructor that panics keeps no other from
/// running.
pub(super) fn drop_values(mut values: Vec<Owned>) {
    let outer = FREED.try_with(|running| running.replace(Some(Vec::new())));
    while let Some(value) = values.pop() {
        if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
            tracing::warn!("the destructor of a value behind a reference panicked");
        }
        let _ = FREED.try_with(|running| {
            if let Some(freed) = &mut *running.borrow_mut() {
                values.append(freed);
            }
        });
    }
    if let Ok(outer) = outer {
        let _ = FREED.try_with(|running| running.replace(outer));
    }
}

/// Drops what is in the trash if nobody came to do it.
struct Fetched(Weak<Registry>);

impl SentHandles for Fetched {
    fn lost(self: Box<Self>, _why: &Failure) {
        if let Some(registry) = self.0.upgrade() {
            registry.empty_trash();
        }
    }
}
