//! [`Never`]: the error type of functions that return none.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The error type of a function that does not return a `Result`: it has no values.
///
/// What `std::convert::Infallible` is, with serde, which that type does not have.
///
/// ```
/// use rpc_core::{CallError, Never};
/// fn handler_error(error: CallError<Never>) -> ! {
///     match error {
///         CallError::Handler { error, .. } => match error {}, // cannot be
///         other => panic!("{other}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl Serialize for Never {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this function returns no error of its own"))
    }
}
