//! What a launcher says to the processes that it starts, and what a user says instead.

mod env;
mod error;
mod meeting;
mod method;
mod slurm;

pub use self::env::LaunchEnv;
pub use self::error::LaunchError;
pub(crate) use self::meeting::host_port;
pub use self::meeting::{Meeting, StoreHost};
pub use self::method::{InitMethod, InitMethodError};
