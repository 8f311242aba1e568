//! [`CallError`]: what a caller sees.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

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
/// #     to: WorkerName::new("worker1")?, function: "app::parse".into(), failure: Failure::Departed };
/// match &error {
///     CallError::Handler { error, .. } => println!("not a number: {error}"),
///     CallError::Failed { failure: Failure::TimedOut { .. }, .. } => println!("slow today"),
///     other if other.handler_ran() == HandlerRan::No => println!("may be repeated: {other}"),
///     other => println!("{other}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It can itself be the error of a function, so a handler that calls on may use `?`:
///
/// ```
/// # use rpc_core::{CallError, Client};
/// # use rpc_macros::function;
/// #[function(crate = "rpc_core")]
/// async fn relay(to: String, text: String) -> Result<usize, CallError> {
///     let client = Client::current().expect("a handler has a client");
///     Ok(client.rpc_async(&to, length, (text,)).await?)
/// }
/// # #[function(crate = "rpc_core")]
/// # fn length(text: String) -> usize { text.len() }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError<E = super::Never> {
    /// The handler ran and returned an error of its own.
    Handler {
        /// The worker that it ran on.
        #[serde(deserialize_with = "as_named")]
        to: WorkerName,
        /// The function, as `crate::module::name`.
        function: Cow<'static, str>,
        /// What it returned.
        error: E,
    },
    /// The call failed outside of the handler's own logic.
    Failed {
        /// The worker that was called, as the caller named it. Empty where none was: for a promise or a callback.
        #[serde(deserialize_with = "as_named")]
        to: WorkerName,
        /// The function, as `crate::module::name`; the place of a promise or a callback.
        function: Cow<'static, str>,
        /// Why.
        failure: Failure,
    },
}

/// The caller's own text for the worker, which need not be a name that a worker could have.
fn as_named<'de, D: serde::Deserializer<'de>>(from: D) -> Result<WorkerName, D::Error> {
    Ok(WorkerName::unchecked(&String::deserialize(from)?))
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

    /// The error of the function that was to make the value behind a reference, if that is what this is, and it
    /// is a `C` (see [`ReferenceError::creation_error`](super::ReferenceError::creation_error)).
    pub fn creation_error<C: serde::de::DeserializeOwned>(&self) -> Option<C> {
        self.failure()?.reference()?.creation_error()
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
    pub fn function(&self) -> &str {
        match self {
            Self::Handler { function, .. } | Self::Failed { function, .. } => function,
        }
    }
}

impl CallError {
    /// For a call that was not made: `to` is as the caller named it.
    pub fn not_made(to: &str, function: &'static str, failure: Failure) -> Self {
        Self::Failed { to: WorkerName::unchecked(to), function: function.into(), failure }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler { to, function, error } => {
                write!(f, "{function} on worker {to} returned an error: {error}")
            }
            Self::Failed { failure: Failure::Future(error), .. } => error.fmt(f),
            Self::Failed { to, function, failure } => write!(f, "{function} on worker {to}: {failure}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for CallError<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_being_the_error_of_another_call() {
        let inner: CallError<u8> =
            CallError::Handler { to: WorkerName::unchecked("worker1"), function: "app::f".into(), error: 7 };
        let outer: CallError<CallError<u8>> = CallError::Handler {
            to: WorkerName::unchecked("rank 9"),
            function: "app::g".into(),
            error: inner,
        };
        let bytes = postcard::to_stdvec(&outer).unwrap();
        assert_eq!(postcard::from_bytes::<CallError<CallError<u8>>>(&bytes).unwrap(), outer);
    }
}
