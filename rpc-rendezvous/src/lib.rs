//! Stores and launch environments: how the workers of a job find each other.
//!
//! A *store* is a small shared map through which workers publish who they are. A launcher says in
//! environment variables, or a user in a URL, where the workers *meet*; one of them hosts the store there,
//! or the launcher does. When all ranks have said their names, [`join`] gives each the same group.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use rpc_core::{Incarnation, Protection, Store, WorkerName};
//! use rpc_rendezvous::{Joining, MemoryStore, join};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = |rank: u32| Joining {
//!     job: "demo".into(),
//!     name: WorkerName::new(format!("worker{rank}")).unwrap(),
//!     rank,
//!     world_size: 2,
//!     incarnation: Incarnation::random().unwrap(),
//!     backend: "tcp".into(),
//!     address: format!("127.0.0.1:{}", 4000 + rank),
//!     fingerprint: None,
//!     protection: Protection::None,
//!     timeout: Duration::from_secs(10),
//! };
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::default());     // processes use `open_store`
//! let (zero, one) = tokio::try_join!(join(&store, worker(0)), join(&store, worker(1)))?;
//! assert_eq!(zero.group.members(), one.group.members());
//! assert_eq!(zero.group.find(&"worker1".into())?.id.0, 1);
//! tokio::join!(zero.leave(), one.leave());                          // now both ranks may join again
//! # Ok(()) }
//! ```
//!
//! # Who may use the store
//!
//! [`StoreSecurity`] says so. With a token ([`StoreSecurity::Token`]) each side proves that it knows it, before
//! anything of the store's protocol is read: on loopback over plain TCP, elsewhere over TLS, and what the
//! proofs are bound to is that one connection. With certificates ([`StoreSecurity::Ca`]) it is mutual TLS. Who
//! comes without what is asked for, or meets a store that asks for something else, gets
//! [`StoreError::Denied`](rpc_core::StoreError::Denied), which names the likely remedy; nothing is ever done in
//! a weaker way instead.
//!
//! **Start** with [`LaunchEnv`] or [`InitMethod`], which say where; then [`open_store`]; then [`join`].
//! **It promises** that a broken rule (a name or rank used twice, another world size or backend) is an error
//! that names both workers, that waiting says who is missing and ends at the timeout, and that hostile bytes
//! cost a store's server one connection; and, unless the store is [open](StoreSecurity::Open), that nothing of
//! somebody without token or certificate is decoded. **It leaves to you** what a job needs ([`StoreSecurity`]), and
//! how the token gets to its workers.
//!
//! # Crate features
//! - **`tls`** (default): stores with a token over a network, and stores with certificates. Without it tokens
//!   work on loopback, and what needs TLS is an error that says so.
#![forbid(unsafe_code)]

// Reading order: where to meet, the stores, hosting one, joining.
mod launch;

mod file;
mod hash;
mod limits;
mod map;
mod memory;
mod security;
mod tcp;
mod text;

mod open;

mod join;

// The public interface is:
pub use crate::file::FileStore;
pub use crate::join::{JoinError, Joined, Joining, join, refuse};
pub use crate::launch::{InitMethod, InitMethodError, LaunchEnv, LaunchError, Meeting, StoreHost};
pub use crate::limits::StoreLimits;
pub use crate::memory::MemoryStore;
pub use crate::open::{OpenStore, open_store};
pub use crate::security::{StoreSecurity, is_local_host};
pub use crate::tcp::{TcpStore, TcpStoreServer};
