//! Links over real sockets of the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod delivery;
mod ends;
mod frames;
mod hostile;
mod listening;
mod rig;
mod stress;
