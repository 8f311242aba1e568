//! Starts the workers of an rpc program as processes, watches them, and ends them together.
//!
//! This is the library under the command `rpcrun`; use it to let a program start itself as a whole job:
//!
//! ```no_run
//! use rpcrun::Launch;
//!
//! # async fn launch() -> Result<(), Box<dyn std::error::Error>> {
//! if std::env::var_os("RANK").is_none() {
//!     let args = std::env::args_os().skip(1);
//!     let outcome = Launch::new(std::env::current_exe()?).args(args).nproc(4).run().await?;
//!     std::process::exit(outcome.exit_code());
//! }
//! // ... and here begins the worker.
//! # Ok(()) }
//! ```
//!
//! **Start** with [`Launch`]. What a worker finds in its environment is written at [`placement`].
//!
//! The store that it hosts is for the job's workers: they prove to have its token, which they find in their
//! environment (`RPC_JOIN_TOKEN`). On one machine the launcher makes one; for several machines each launcher has
//! to be given the same, or credentials.
//!
//! **It promises** that no worker outlives the launch: when one fails, or the launcher is told to stop, the
//! others get SIGTERM and, after a grace period, SIGKILL; when the future of [`Launch::run`] is dropped they get
//! SIGKILL; and on Linux the kernel kills them when the launcher itself dies. **It leaves to you** what a worker
//! starts outside its own process group, and the workers of other machines: each machine's launcher ends its own.
//!
//! # Platforms
//! Unix. The kernel's help when the launcher is killed needs Linux.
#![deny(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(not(unix))]
compile_error!("rpcrun needs process groups and signals, so it builds for Unix only");

// Reading order: what is asked for, where each worker stands, how it is started, watched and heard.
mod launch;
mod stop;

pub mod placement;
mod process;
mod security;
mod store;
mod supervise;

mod lines;
mod output;

mod error;
mod outcome;

// The public interface is:
pub use crate::error::LaunchError;
pub use crate::launch::Launch;
pub use crate::outcome::{Outcome, WorkerExit};
pub use crate::output::{Line, OutputMode, Stream};
pub use crate::stop::StopSignal;
