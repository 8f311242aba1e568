//! [`ExchangeError`]: why the other end is not believed.

use std::io;
use std::sync::Arc;

/// Why a token exchange has failed. There is nothing secret in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// What came is no message of an exchange.
    #[error("what the peer sent is no token exchange")]
    NotAnExchange,
    /// The client speaks another version.
    #[error("the peer speaks version {theirs} of the token exchange")]
    Version {
        /// Its version.
        theirs: u8,
    },
    /// The server says that the proof is wrong: it has another token.
    #[error("the peer refused this process's proof of the join token")]
    Refused,
    /// The peer's proof is wrong: it has another token or none, or somebody sits in between.
    #[error("the peer's proof of the join token is wrong")]
    WrongProof,
    /// The connection ended.
    #[error("the peer closed the connection during the token exchange")]
    Closed,
    /// The exchange was not over in time.
    #[error("the token exchange took too long")]
    TooSlow,
    /// The connection failed.
    #[error("the connection failed during the token exchange")]
    Io(#[source] Arc<io::Error>),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(Arc::new(error)),
        }
    }
}
