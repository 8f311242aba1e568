//! Stores and launch environments through which workers find each other.
#![forbid(unsafe_code)]

mod file;
mod hash;
mod join;
mod launch;
mod limits;
mod map;
mod memory;
mod open;
mod tcp;

pub use crate::file::FileStore;
pub use crate::join::{JoinError, Joined, Joining, join};
pub use crate::launch::{InitMethod, InitMethodError, LaunchEnv, LaunchError, Meeting, StoreHost};
pub use crate::limits::StoreLimits;
pub use crate::memory::MemoryStore;
pub use crate::open::{OpenStore, open_store};
pub use crate::tcp::{TcpStore, TcpStoreServer};
