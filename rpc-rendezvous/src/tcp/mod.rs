//! The store over TCP: [`TcpStoreServer`] hosts it, [`TcpStore`] is a client.

mod client;
mod codec;
mod dial;
mod frame;
mod server;

pub use self::client::TcpStore;
pub(crate) use self::codec::ServerHello;
pub(crate) use self::dial::{Knock, Patience, Place, knock};
pub use self::server::TcpStoreServer;
