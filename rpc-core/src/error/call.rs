//! [`CallError`]: what a caller sees.

use std::fmt;

use super::{Failure, HandlerRan};
use crate::worker::WorkerName;

/// Why a call has no value.
///
/// `E` is the handler's own error type; it is [`Never`](super::Never) for a function
/// that does not return a `Result`.
///
/// ```
/// use rpc_core::{CallError, Failure, HandlerRan};
/// # use rpc_core::WorkerName;
/// # let error: CallError<std::num::ParseIntError> = CallError::Failed {
/// #     to: WorkerName::new("worker1")?, function: "app::parse", failure: Failure::Departed };
/// match &error {
///     CallError::Handler { error, .. } => println!("not a number: {error}"),
///     CallError::Failed { failure: Failure::TimedOut { .. }, .. } => println!("slow today"),
///     other if other.handler_ran() == HandlerRan::No => println!("may be repeated: {other}"),
///     other => println!("{other}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<E = super::Never> {
    /// The handler ran and returned an error of its own.
    Handler {
        /// The worker that it ran on.
        to: WorkerName,
        /// The function, as `crate::module::name`.
        function: &'static str,
        /// What it returned.
        error: E,
    },
    /// The call failed outside of the handler's own logic.
    Failed {
        /// The worker that was called, as the caller named it.
        to: WorkerName,
        /// The function, as `crate::module::name`.
        function: &'static str,
        /// Why.
        failure: Failure,
    },
}

impl<E> CallError<E> {
    /// Whether the handler ran.
    pub fn handler_ran(&self) -> HandlerRan {
        match self {
            Self::Handler { .. } => HandlerRan::Yes,
            Self::Failed { failure, .. } => failure.handler_ran(),
        }
    }

    /// The handler's own error, if that is what this is.
    pub fn handler_error(&self) -> Option<&E> {
        match self {
            Self::Handler { error, .. } => Some(error),
            Self::Failed { .. } => None,
        }
    }

    /// Why the call failed, if not by the handler's own error.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Handler { .. } => None,
            Self::Failed { failure, .. } => Some(failure),
        }
    }

    /// Whether the deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self.failure(), Some(Failure::TimedOut { .. }))
    }

    /// The worker that was called.
    pub fn to(&self) -> &WorkerName {
        match self {
            Self::Handler { to, .. } | Self::Failed { to, .. } => to,
        }
    }

    /// The function that was called.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Handler { function, .. } | Self::Failed { function, .. } => function,
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler { to, function, error } => {
                write!(f, "{function} on worker {to} returned an error: {error}")
            }
            Self::Failed { to, function, failure } => write!(f, "{function} on worker {to}: {failure}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for CallError<E> {}
