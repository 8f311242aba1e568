//! [`PartPool`]: large memory in which messages have arrived, kept for the next ones.
//!
//! Memory that is fresh from the system is cleared by it, page by page, at the first write to each. That is done by the
//! thread that receives, and takes as long as receiving does, or ten times that where the machine has to ask its host for
//! the pages; small messages wait meanwhile. Memory that was used before has its pages.
//!
//! ```text
//!              nothing idle fits
//!  system ──────────────────────────► PartBuf ─► Part ─► its last holder drops it
//!     ▲                                  ▲                          │
//!     │ not taken from one trim to the   │ take                     ▼
//!     └───── next, full, gone ───────────┴─────────────────────── idle
//! ```
//!
//! # Invariants (each named by a test)
//! - **BP-1, one owner.** Memory that somebody can still read is not idle, and idle memory is taken once.
//! - **BP-2, bounded.** Idle are at most `bytes_max` bytes in at most [`IDLE_MAX`] pieces. What comes beyond that goes back
//!   to the system at once.
//! - **BP-3, given back.** What nobody takes between two trims goes back at the second one, and everything with the pool.
//!   What is held then goes back when it is dropped: a buffer does not keep its pool.
//! - **BP-4, fits.** What is taken is at most an eighth larger than what was asked for.
//! - **BP-5, never in the way.** With nothing that fits, memory comes from the system, and the pool never waits.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::memory::Memory;
use super::{OutOfMemory, PartBuf};

/// Memory below this size is not kept: allocators do that well themselves.
const KEPT_MIN: usize = 256 << 10;
/// Pieces that may be idle, so that looking for one takes no time.
const IDLE_MAX: usize = 64;

/// Large memory in which messages have arrived, kept for the next ones.
///
/// A receiver [takes](Self::take) a buffer for each large payload or part. When the last [`Part`](crate::Part) of it is
/// dropped, wherever that is, its memory is idle here, until the next message of about the same size. Clones are one pool.
///
/// ```
/// use rpc_core::PartPool;
/// let pool = PartPool::new(64 << 20);
/// let mut buf = pool.take(1 << 20)?; // from the system
/// buf.extend_from_slice(&[7; 1 << 20]);
/// let part = buf.freeze();
/// let address = part.as_ptr();
/// drop(part);
/// assert_eq!(pool.idle_bytes(), 1 << 20);
/// assert_eq!(pool.take(1 << 20)?.as_ptr(), address, "the same memory, to be written to again");
/// # Ok::<(), rpc_core::OutOfMemory>(())
/// ```
#[derive(Clone)]
pub struct PartPool(Arc<Shared>);

/// Where a buffer's memory goes once nobody holds it.
pub(super) struct Home(Weak<Shared>);

struct Shared {
    bytes_max: usize,
    state: Mutex<State>,
    /// There is idle memory, or the pool is gone.
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// In the order in which it came.
    idle: Vec<Idle>,
    bytes: usize,
    /// How often it was trimmed.
    trims: u64,
}

struct Idle {
    memory: Memory,
    /// [`State::trims`] when it came.
    since: u64,
}

impl PartPool {
    /// A pool that keeps at most `bytes_max` bytes that nobody uses. With 0 it keeps none.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Shared { bytes_max, state: Mutex::default(), changed: Arc::default() }))
    }

    /// An empty buffer for `len` bytes: of idle memory, or else of the system's.
    ///
    /// # Errors
    /// [`OutOfMemory`] of the system.
    pub fn take(&self, len: usize) -> Result<PartBuf, OutOfMemory> {
        if !(KEPT_MIN..=self.0.bytes_max).contains(&len) {
            return PartBuf::for_bulk(len);
        }
        let idle = self.0.state.lock().take(len);
        let memory = idle.map_or_else(|| Memory::for_bulk(len), Ok)?;
        Ok(PartBuf { memory, capacity: len, filled: 0, home: Some(Home(Arc::downgrade(&self.0))) })
    }

    /// Bytes that are kept and that nobody uses.
    pub fn idle_bytes(&self) -> usize {
        self.0.state.lock().bytes
    }

    /// Gives back to the system what has not been taken since the trim before this one. Returns whether something is left.
    ///
    /// That takes milliseconds for some hundred MiB, so not where somebody waits.
    pub fn trim(&self) -> bool {
        let mut state = self.0.state.lock();
        let unused = state.trim();
        let left = !state.idle.is_empty();
        drop(state);
        drop(unused);
        left
    }

    /// Trims, while there is something to trim, each time that `every` has passed; ends with the pool. For one task, of the
    /// pool's owner. Memory goes back on a thread for what blocks.
    pub fn tend(&self, every: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (pool, changed) = (Arc::downgrade(&self.0), Arc::clone(&self.0.changed));
        async move {
            loop {
                changed.notified().await;
                if pool.strong_count() == 0 {
                    return;
                }
                loop {
                    let time = tokio::time::sleep(every);
                    let gone = async {
                        while pool.strong_count() > 0 {
                            changed.notified().await
                        }
                    };
                    tokio::select! { () = time => {}, () = gone => return }
                    let Some(pool) = pool.upgrade().map(PartPool) else { return };
                    // It fails when the runtime ends, and this task with it.
                    if !tokio::task::spawn_blocking(move || pool.trim()).await.unwrap_or(false) {
                        break;
                    }
                }
            }
        }
    }
}

impl State {
    /// The smallest that fits; of several the one that came last, as it is the likeliest to be in caches.
    fn take(&mut self, len: usize) -> Option<Memory> {
        let fits = |idle: &&(usize, usize)| (len..=len + len / 8).contains(&idle.1);
        let lens = self.idle.iter().map(|idle| idle.memory.len()).enumerate().rev();
        let (at, found) = lens.filter(|idle| fits(&idle)).min_by_key(|(_, len)| *len)?;
        self.bytes -= found;
        Some(self.idle.remove(at).memory)
    }

    fn trim(&mut self) -> Vec<Idle> {
        let before = self.trims;
        self.trims += 1;
        let unused = self.idle.extract_if(.., |idle| idle.since < before).collect();
        self.bytes = self.idle.iter().map(|idle| idle.memory.len()).sum();
        unused
    }
}

impl Home {
    pub(super) fn give_back(self, memory: Memory) {
        let Some(pool) = self.0.upgrade() else { return };
        let mut state = pool.state.lock();
        let bytes = state.bytes + memory.len();
        if state.idle.len() == IDLE_MAX || bytes > pool.bytes_max {
            // Without the lock: it may take milliseconds.
            drop(state);
            return;
        }
        let since = state.trims;
        state.idle.push(Idle { memory, since });
        state.bytes = bytes;
        let first = state.idle.len() == 1;
        drop(state);
        if first {
            pool.changed.notify_one();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl fmt::Debug for PartPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartPool({} of {} B idle)", self.idle_bytes(), self.0.bytes_max)
    }
}

#[cfg(test)]
mod tests;
