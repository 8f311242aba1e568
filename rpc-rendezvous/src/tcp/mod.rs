//! The store over TCP: [`TcpStoreServer`] hosts it, [`TcpStore`] is a client.

mod access;
mod client;
mod codec;
mod dial;
mod frame;
mod server;
mod stream;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
mod tls;

pub(crate) use self::access::Access;
pub use self::client::TcpStore;
pub(crate) use self::codec::ServerHello;
pub(crate) use self::dial::{Knock, Patience, Place, knock};
pub use self::server::TcpStoreServer;
pub(crate) use self::stream::Stream;

/// What proofs of the token that are made for a store are bound to, beside the channel.
const SERVICE: &str = "rpc-store/1";
