//! TCP links for the rpc framework.
mod bounds;
mod decoder;
mod flusher;
mod link;
mod outbox;
mod receiver;
mod sender;
mod socket;
mod transport;

pub use crate::transport::{TcpTransport, backend};
