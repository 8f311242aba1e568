//! [`FutureError`]: why a future that is not a call has no result.

use serde::{Deserialize, Serialize};

use crate::error::{CallError, Failure};
use crate::worker::WorkerName;

/// Why a promise was not kept, or a callback has no result. Converts into [`CallError`], and so into whatever that
/// converts into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FutureError {
    /// The [`Settable`](super::Settable) was dropped without a result.
    #[error(
        "the promise made at {place} was dropped before it was set; whoever has its Settable has to set it or fail it"
    )]
    Dropped {
        /// Where the promise was made, as `file:line:column`.
        place: String,
    },
    /// The callback panicked.
    #[error("the callback given at {place} panicked at {location}: {message}")]
    Panicked {
        /// Where the callback was given.
        place: String,
        /// The panic's message.
        message: String,
        /// Where it panicked, or `unknown location`.
        location: String,
    },
    /// Waiting here would stop the thread that has to bring the result.
    #[error(
        "waiting here would block the runtime that drives this worker; await the future instead, or wait on another thread"
    )]
    WouldBlock,
}

impl<E> From<FutureError> for CallError<E> {
    fn from(error: FutureError) -> Self {
        let place = match &error {
            FutureError::Dropped { place } | FutureError::Panicked { place, .. } => place.clone(),
            FutureError::WouldBlock => String::new(),
        };
        // No worker was called, so there is none to name.
        let to = WorkerName::unchecked("");
        Self::Failed { to, function: place.into(), failure: Failure::Future(Box::new(error)) }
    }
}
