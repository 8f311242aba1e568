//! The crate from outside: stores over real sockets and files, meeting and joining.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod join;
mod meeting;
#[cfg(feature = "tls")]
mod secured;
mod stores;
mod support;
mod tcp;
#[cfg(not(feature = "tls"))]
mod without_tls;
