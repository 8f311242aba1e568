//! Counted references to values on other workers, and calls of their methods.
//!
//! An [`RRef<T>`] names a value that stays on one worker, its *owner*. It travels inside of the arguments and
//! results of calls; whoever has one can call the value's methods, copy it, or pass the reference on. The
//! value is dropped when the last reference, on any worker, is gone.
//!
//! ```
//! # use std::sync::Arc;
//! # use rpc_core::{FunctionTable, Host};
//! use rpc_rref::{RRef, Registry};
//!
//! struct Counter {
//!     n: u64,
//! }
//!
//! #[rpc_macros::methods(crate = "rpc_rref")] // without the option for users of the facade
//! impl Counter {
//!     fn add(&mut self, by: u64) -> u64 {
//!         self.n += by;
//!         self.n
//!     }
//! }
//!
//! #[rpc_macros::function(crate = "rpc_core")]
//! async fn bump(counter: RRef<Counter>) -> u64 {
//!     counter.rpc_async().add(5).await.expect("its owner lives")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rpc_testing::Cluster::new(2).await; // two engines over a network in memory
//! # let functions = Arc::new(FunctionTable::linked()?);
//! # let start = |worker: &str| {
//! #     let host: Arc<dyn Host> = Arc::new(cluster.client(worker).clone());
//! #     let registry = Registry::start(&host.client(), functions.clone(), Arc::downgrade(&host));
//! #     registry.map(|registry| (registry, host))
//! # };
//! # let ((alice, _alice_host), (_bob, _bob_host)) = (start("worker0")?, start("worker1")?);
//! let counter = RRef::new_opaque(&alice, Counter { n: 10 });
//! let n = alice.client().rpc_async("worker1", bump, (counter.clone(),)).await?; // worker1 calls back
//! assert_eq!(n, 15);
//! assert_eq!(counter.local_value().await?.n, 15); // alice owns it
//! # Ok(()) }
//! ```
//!
//! **Start** with [`RRef`]. Programs that use the facade `rpc` have all this in their `Worker`; a stack of one's
//! own starts a [`Registry`] over its [`Agent`](rpc_core::Agent), which may be written by hand: see
//! `examples/own_agent.rs`. [`proto`] is the counting protocol alone: no I/O, clock or task.
//!
//! **It promises** that no reference outlives its value and no value outlives its references, on a network that
//! delays, reorders and loses, and when workers crash: what a dead worker held is let go, and what it owned is
//! a typed error everywhere ([`ReferenceError`](rpc_core::ReferenceError)). **It leaves to you** cycles of
//! values that refer to each other: they are named in the report at shutdown, not collected.
#![forbid(unsafe_code)]

// Reading order: what users hold, who counts it, how it is called, the protocol.
mod handle;
mod local;
mod registry;
mod rref;
mod serial;

pub mod method;
pub mod proto;
pub mod report;

// The public interface is:
pub use crate::local::{LocalMut, LocalRef, ReadGuard, WriteGuard};
pub use crate::proto::RRefId;
pub use crate::registry::{PeerReferences, ReferenceInfo, Registry, StartError};
pub use crate::report::{Leak, LeakPolicy, LeakReport, RRefList};
pub use crate::rref::{RRef, WeakRRef};

/// What the macros of this framework expand to. Not part of the public interface.
#[doc(hidden)]
pub mod macro_support {
    pub use rpc_core::macro_support::inventory;
    pub use rpc_core::{BoxFuture, CallError, CallLimit, Never, ResultLike, RpcFuture};

    pub use crate::method::{MethodBody, MethodEntry, Proxy, RemoteMethod, RemoteMethods, Run};
    pub use crate::rref::RRef;

    /// What goes wrong with `remote` at once.
    pub type RemoteError = CallError;
}
