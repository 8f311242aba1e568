//! Links over sockets on loopback: how frames arrive, how links end, and who gets in.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod delivery;
mod ends;
mod hostile;
mod network;
mod proxy;
mod rig;
mod stress;
