//! What a launcher says to the processes that it starts, and what a user says instead.

mod env;
mod error;
mod meeting;
mod method;
mod slurm;

pub use self::env::LaunchEnv;
pub use self::error::LaunchError;
pub use self::meeting::{Meeting, StoreHost};
pub(crate) use self::meeting::{host_of, host_port};
pub use self::method::{InitMethod, InitMethodError};
