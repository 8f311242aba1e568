//! Remote references: who keeps a value alive that several workers have handles to.
//!
//! This is the counting protocol alone, [`proto`]: no I/O, no clock, no task. A [`Table`](proto::Table) is
//! one worker's part. Its driver tells it what happened to handles and messages, and sends what it says.
//!
//! ```
//! use rpc_core::WorkerId;
//! use rpc_rref::proto::{Event, Table};
//!
//! let (alice, bob) = (WorkerId(0), WorkerId(1));
//! let mut at_alice = Table::<(), ()>::new(alice, 2);
//! let mut at_bob = Table::<(), ()>::new(bob, 2);
//!
//! let rref = at_alice.own(());                              // alice shares a value
//! let transfer = at_alice.share(rref, bob, None).unwrap();  // a handle travels in a message to bob
//! assert!(at_bob.receive(alice, rref, transfer)?);
//! at_alice.drop_handle(rref);                               // bob's handle keeps the value alive
//! assert_eq!(at_alice.poll_event(), None);
//!
//! at_bob.drop_handle(rref);
//! while let Some((_to, msg)) = at_bob.poll_transmit() {
//!     at_alice.handle(bob, msg)?;
//! }
//! assert_eq!(at_alice.poll_event(), Some(Event::Free(rref, ())));
//! # Ok::<(), rpc_rref::proto::Violation>(())
//! ```
#![forbid(unsafe_code)]

// Reading order: what users hold, who counts it, how it is called, the protocol.
mod handle;
mod local;
mod registry;
mod rref;
mod serial;

pub mod method;
pub mod proto;

// The public interface is:
pub use crate::local::{LocalMut, LocalRef, ReadGuard, WriteGuard};
pub use crate::proto::RRefId;
pub use crate::registry::Registry;
pub use crate::rref::{RRef, WeakRRef};

/// What the macros of this framework expand to. Not part of the public interface.
#[doc(hidden)]
pub mod macro_support {
    pub use rpc_core::macro_support::inventory;
    pub use rpc_core::{BoxFuture, CallError, Never, ResultLike, RpcFuture};

    pub use crate::method::{MethodBody, MethodEntry, Proxy, RemoteMethod, RemoteMethods, Run};
    pub use crate::rref::RRef;

    /// What goes wrong with `remote` at once.
    pub type RemoteError = CallError;
}
