//! Handshakes of TLS over buffers: who is let in, and who is not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod credentials;
mod links;
mod store;
mod support;
