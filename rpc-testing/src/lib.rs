//! Tests of distributed programs in one process: no sockets, no waiting, any fault you like.
//!
//! A [`Cluster`] is N workers over one [`MemoryNetwork`]. Each is what it would be in a process of its own,
//! and serves your functions. The network delays, holds, drops, cuts and parts as told, and keeps tokio's
//! time, so a test that pauses the clock waits for nothing and runs the same every time.
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::{Failure, HandlerRan, Never, RemoteFunction};
//! use rpc_testing::{Cluster, Rule};
//! # use rpc_core::{BoxFuture, FunctionBody, FunctionTable};
//!
//! // In a program: #[rpc::function] async fn square(x: u64) -> u64 { .. }
//! # #[allow(non_camel_case_types)]
//! # #[derive(Clone, Copy)]
//! # struct square;
//! # impl RemoteFunction for square {
//! #     type Args = (u64,);
//! #     type Output = u64;
//! #     type Error = Never;
//! #     const NAME: &'static str = "example::square";
//! #     const SIGNATURE: &'static str = "async fn(u64) -> u64";
//! #     const BODY: FunctionBody<(u64,), u64, Never> = FunctionBody::Async(|(x,)| Box::pin(async move {
//! #         tokio::time::sleep(Duration::from_secs(3)).await;
//! #         Ok(x * x)
//! #     }));
//! # }
//! // In a test: #[tokio::test(start_paused = true)]
//! async fn a_cut_link_fails_the_call_and_the_next_one_dials_anew() {
//! #   let mut functions = FunctionTable::new();
//! #   functions.add(square).unwrap();
//! #   let cluster = Cluster::builder().workers(["worker0", "worker1"]).functions(functions);
//! #   let cluster = cluster.build().await.unwrap();
//! #   #[cfg(any())] // The line that is shown; an example has no linked functions.
//!     let cluster = Cluster::new(2).await; // serves every #[rpc::function] that is linked in
//!     let client = cluster.client("worker0");
//!
//!     let replies = cluster.network().add(Rule::hold().replies());
//!     let call = client.rpc_async("worker1", square, (4,)); // takes 3 s, of which none are waited for
//!     cluster.network().until_held(1).await;                // it ran, and its reply is on the way
//!     cluster.cut("worker0", "worker1");
//!     let error = call.await.unwrap_err();
//!     assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })));
//!     assert_ne!(error.handler_ran(), HandlerRan::No);
//!
//!     replies.remove();
//!     assert_eq!(client.rpc_async("worker1", square, (4,)).await, Ok(16));
//!     cluster.assert_idle().await; // no call, handler or frame is left behind
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
//! # runtime.block_on(a_cut_link_fails_the_call_and_the_next_one_dials_anew());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # A program under faults
//! A [`TestCluster`] is the workers of a program with its own facade, over any backend. [`Faults`] are what they meet: messages that
//! fail, come late, get lost or come twice, links that end, workers that are kept apart or die.
//!
//! ```
//! use rpc_testing::{Fault, Faults, Message};
//! let faults = Faults::seeded(7);
//! faults.add(Fault::fail().on(Message::Call).to("worker1").nth(3)); // the third call that each worker sends to it
//! faults.add(Fault::drop().replies().from("worker2").probability(0.1)); // the handler has run; nobody hears of it
//! // faults.around(&rpc::default_backends())? is what workers are given; then, as it comes:
//! faults.partition(&["worker0"], &["worker1", "worker2"]);
//! faults.heal();
//! assert_eq!(faults.unfired().len(), 2); // nobody has sent anything
//! ```
//!
//! # What there is
//! **Start** with [`Cluster`], for functions; with [`TestCluster`], for programs. [`MemoryNetwork`] alone tests an engine or an agent of your own, and
//! [`conformance`](mod@conformance) a transport of your own. **It promises** that a link is a link: order, completeness,
//! limits and an end, unless a [`Rule`] says otherwise. **It leaves to you** the clock (enable tokio's
//! `test-util`) and functions that block: they run on threads, which no paused clock stops.
//!
//! For dev-dependencies: nothing here is meant for production.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Reading order: the network, workers on it, what any network has to do, and what they say.
mod network;

mod cluster;
pub mod conformance;
mod faults;
mod log_lines;
mod program;

mod rng;

// The public interface is:
pub use crate::cluster::{Cluster, ClusterBuilder, ClusterError};
pub use crate::faults::{ActiveFault, Fault, Faults, FaultyTransport, Injected, Message, UnknownMessage};
pub use crate::log_lines::LogLines;
pub use crate::network::{ActiveRule, InFlight, MemoryNetwork, MemoryTransport, NetworkBuilder, Rule, Stage};
pub use crate::program::{Place, TestCluster, TestClusterBuilder, TestClusterError};
