//! [`TransportAgent`]: turns any [`Transport`](crate::Transport) into an [`Agent`](crate::Agent).
//!
//! ```text
//!   send ──► CallTable ──► Peer ──► LinkSender ~~~~~ LinkReceiver ──► reader ──► Service ──► Handler
//!  Reply ◄──────┴────────────────── reader ◄~~~~~~~~~~ LinkSender ◄──────────────────┘
//! ```
//! - [`Peer`](peer::Peer): one for each worker of the group: its link, and the calls in flight to it.
//! - [`CallTable`](calls::CallTable): the calls, by the id on the wire.
//! - `reader`: one task for each link; completes replies and hands requests to the service.
//! - [`Service`](service::Service): runs handlers in place, as tasks, or on threads, and answers.
//! - `handlers`: who serves which kind, for readers to look up without a lock.
//! - `timer`: one task; expires calls.
//! - `watchers`: who hears of links that go and peers that leave.
//! - `info`: what is going on, for who asks.
//! - `leave`: drives [`proto::shutdown`](crate::proto::shutdown).
//!
//! # Invariants (each named by a test)
//! - **EN-1, one answer.** Each request that was sent is answered exactly once, or its link goes down;
//!   each [`Reply`](crate::Reply) is completed exactly once whatever happens.
//! - **EN-2, no wait for a thread.** The reader never waits for a handler, and a blocked thread never
//!   keeps another from starting.
//! - **EN-3, bounded.** Each table and queue has a bound in [`EngineConfig`]; reaching it is a typed
//!   failure of the request that reaches it, never of one that is under way. Control kinds
//!   ([`Kind::is_control`](crate::Kind::is_control)) have a bound of their own, so that calls do not use it up.
//! - **EN-4, a dead link ends its calls.** When a link goes down the calls that were sent on it fail
//!   with what is known; calls not sent yet wait for the next link, which the next request dials.
//! - **EN-5, a response that arrives is seen.** A call that was given up keeps its place until its reply is
//!   in, and the reply still reaches its [`Reply`](crate::Reply), which knows what to do with the handles in it.
//! - **EN-6, a link belongs to who has shown its certificate.** On a link whose transport knows the peer's
//!   certificate, only the worker whose fingerprint the group has is spoken to, whichever side has dialled.

mod agent;
mod calls;
mod config;
mod dial;
mod handlers;
mod handshake;
mod info;
mod leave;
mod pace;
mod peer;
mod pool;
mod reader;
mod running;
mod service;
mod shared;
mod timer;
mod watchers;

pub use self::agent::{StartError, TransportAgent};
pub use self::config::EngineConfig;
pub(crate) use self::pool::nearly_idle;
