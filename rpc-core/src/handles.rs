//! Handles: what travels in a body not as a copy but as a reference that somebody counts.
//!
//! A value inside of an argument or a result hands its handle to the body that is being encoded
//! ([`put`]) and writes the index that it gets; on the other side it reads the index and takes the handle
//! that arrived ([`take`]). What the handles are, and who counts them, is up to the [`HandleDesk`] of the
//! worker: this crate carries them, tells it what became of the messages, and never looks inside.
//!
//! `rpc-rref` is the desk of this framework.

use std::any::Any;
use std::sync::Arc;

use crate::codec::CodecError;
use crate::error::{Failure, ReferenceError};
use crate::function::BoxFuture;
use crate::worker::WorkerId;

pub use crate::scope::{put_handle as put, take_handle as take};

/// A handle of any kind.
pub type AnyHandle = Arc<dyn Any + Send + Sync>;

/// Counts the handles that travel in the messages of one worker.
///
/// None of these may block. They are called without locks of this crate held.
pub trait HandleDesk: Any + Send + Sync {
    /// `handles` are about to leave for `to`, in a message that is sent after this: an answer to a request
    /// that came on the link of number `answer_on`, or a request. Returns what has to travel beside them.
    ///
    /// # Errors
    /// [`ReferenceError`] if one of them cannot travel. None of them is counted then.
    fn send(
        &self,
        to: WorkerId,
        answer_on: Option<u32>,
        handles: Vec<AnyHandle>,
    ) -> Result<(Vec<u8>, Box<dyn SentHandles>), ReferenceError>;

    /// A message of `from` has brought `aside`, to `place`: the function that takes them, or whose result
    /// they are. Called once for each message that arrives, also for those that nobody decodes. Returns the
    /// handles by index; dropping one gives it back.
    ///
    /// # Errors
    /// Bytes that are no aside of this desk's.
    fn receive(
        &self,
        from: WorkerId,
        aside: &[u8],
        place: &'static str,
    ) -> Result<Vec<AnyHandle>, CodecError>;

    /// Resolves when `handles` may be used: a function starts only then. `None` if they may already.
    fn confirmed(&self, handles: &[AnyHandle]) -> Option<BoxFuture<'static, Result<(), ReferenceError>>>;
}

/// Handles in a message that is on its way.
pub trait SentHandles: Send {
    /// The message has failed, or nobody knows whether it has arrived: what was not taken is taken back.
    /// It may arrive all the same. Dropped without this, it has arrived.
    fn lost(self: Box<Self>, why: &Failure);
}
