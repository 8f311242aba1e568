//! Links over sockets on loopback: how frames arrive, how links end, and who gets in.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod delivery;
mod ends;
mod rig;
mod stress;
