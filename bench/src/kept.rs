//! What a server keeps of the large messages that arrive, and what it sends.
//!
//! A message that arrives into fresh memory costs page faults, one that arrives into memory that was used before
//! does not, and which of the two it is depends on what the application does with the one before. So the bench
//! asks the same of every system: in one case the server drops what arrives at once, so that whoever reuses
//! memory can, and in the other it keeps all of it until the end of the round, so that nobody can.

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

// Of the process, which serves in one round of one case: handlers of some systems are plain functions. All handlers
// run on the thread of the runtime.
static KEEPING: AtomicBool = AtomicBool::new(false);
thread_local! {
    /// Bounded by the round, see `w3_bulk`.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    static SOURCE: RefCell<Option<(usize, Box<dyn Any>)>> = const { RefCell::new(None) };
}

/// From now on all that arrives is kept.
pub(crate) fn keep_all() {
    KEEPING.store(true, Ordering::Relaxed);
}

/// Whether messages are kept.
pub(crate) fn keeps() -> bool {
    KEEPING.load(Ordering::Relaxed)
}

/// Keeps or drops what has arrived.
pub(crate) fn arrived(message: impl Any) {
    if keeps() {
        KEPT.with_borrow_mut(|kept| kept.push(Box::new(message)));
    }
}

/// The message that a server sends when it is asked for one of this size. Made once, so that only the sending counts.
pub(crate) fn source<T: Any + Clone>(bytes: usize, make: impl FnOnce(usize) -> T) -> T {
    SOURCE.with_borrow_mut(|source| {
        let made = match source.take() {
            Some((length, made)) if length == bytes => made.downcast::<T>().ok(),
            _ => None,
        };
        let made = made.map_or_else(|| make(bytes), |made| *made);
        *source = Some((bytes, Box::new(made.clone())));
        made
    })
}
