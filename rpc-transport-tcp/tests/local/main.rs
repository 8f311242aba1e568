//! Links over Unix sockets: what is tested of TCP links is true of them too, and which of the two a link is.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod doors;
mod rig;
mod ways;

#[path = "../loopback/delivery.rs"]
mod delivery;
#[path = "../loopback/ends.rs"]
mod ends;
#[path = "../loopback/frames.rs"]
mod frames;
#[path = "../loopback/hostile.rs"]
mod hostile;
#[path = "../loopback/stress.rs"]
mod stress;
