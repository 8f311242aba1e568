//! Stores and launch environments: how the workers of a job find each other.
//!
//! A *store* is a small shared map through which workers publish who they are. A launcher says in
//! environment variables, or a user in a URL, where the workers *meet*; one of them hosts the store there,
//! or the launcher does. When all ranks have said their names, [`join`] gives each the same group.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use rpc_core::{Incarnation, Store, WorkerName};
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
//! **Start** with [`LaunchEnv`] or [`InitMethod`], which say where; then [`open_store`]; then [`join`].
//! **It promises** that a broken rule (a name or rank used twice, another world size or backend) is an error
//! that names both workers, that waiting says who is missing and ends at the timeout, and that hostile bytes
//! cost a store's server one connection. **It leaves to you** who may reach the store: it does not
//! authenticate anybody.
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
