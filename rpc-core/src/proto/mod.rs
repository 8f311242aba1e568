//! Protocols as pure state machines: `handle_*` in, `poll_*` out, time as an argument. No clock, no
//! randomness, no task, no socket. The [`engine`](crate::TransportAgent) drives them.

pub(crate) mod links;
pub mod shutdown;
