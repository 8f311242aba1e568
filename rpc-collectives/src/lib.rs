//! Operations that a whole team of workers takes part in: everybody gives a value and gets those of all, or nobody goes
//! on before all are there.
//!
//! ```
//! # use std::sync::Arc;
//! # use rpc_core::Host;
//! use rpc_collectives::{Collectives, Team};
//!
//! async fn train(team: Team, own_loss: f64) -> Result<f64, rpc_collectives::CollectiveError> {
//!     let losses = team.all_gather(own_loss).await?; // by name, the same for all members
//!     team.barrier().await?; // nobody goes on before all are here
//!     Ok(losses.values().sum::<f64>() / losses.len() as f64)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rpc_testing::Cluster::new(2).await; // two engines over a network in memory
//! # let start = |worker: &str| {
//! #     let host: Arc<dyn Host> = Arc::new(cluster.client(worker).clone());
//! #     (Collectives::start(&host.client(), Arc::downgrade(&host)), host)
//! # };
//! # let ((first, first_host), (second, second_host)) = (start("worker0"), start("worker1"));
//! # let teams = (first.everybody(&first_host.client()), second.everybody(&second_host.client()));
//! // On each worker; here both in one process.
//! let means = tokio::try_join!(train(teams.0, 0.2), train(teams.1, 0.4))?;
//! assert_eq!(means.0, means.1);
//! # cluster.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! **Start** with [`Team`]. Programs that use the facade `rpc` get one from their `Worker`; a stack of one's own starts
//! [`Collectives`] over its [`Agent`](rpc_core::Agent), on every worker, and makes teams from them.
//!
//! **It promises** that an operation ends for each member with all values or with an error, [`CollectiveError`], which
//! says who is missing and why: too late, dead, gone, or given up. Never with some of the values. A dead member ends it
//! as soon as that is known, whoever else has come; a late one when the time of one of those who wait is over: that of a
//! call, unless told otherwise ([`Team::with_timeout`]).
//! **It leaves to you** that all members run the same operations of a team in the same order. When one has not, it is
//! named as missing.
//!
//! **After a failure** a team can go on. An operation that failed counts all the same: a member that comes to it later gets
//! that error at once, as long as the leader remembers it (the last 64), instead of waiting. So, to try again, every member
//! calls again after each error that it gets, and they meet. A member that does not call again stays one operation behind:
//! from then on its calls meet those that the others made before.
//!
//! Each operation costs each follower one call to the leader. Values pass through the leader, which does not decode
//! them, so it sends as many bytes as the members have given, times their number. For tensors that are to be reduced over
//! many workers that is not the way; for what steers a program it is.
#![forbid(unsafe_code)]

// Reading order: what users hold, a member's side, the leader's, the protocol.
mod broadcast;
mod error;
mod info;
mod item;
mod message;
mod team;

mod part;

mod leading;
mod serve;
mod shared;

mod proto;

// The public interface is:
pub use crate::broadcast::{Broadcast, Results, broadcast_call};
pub use crate::error::{CollectiveError, Incomplete, IncompleteCause, TeamError};
pub use crate::info::CollectiveInfo;
pub use crate::part::Collective;
pub use crate::shared::Collectives;
pub use crate::team::Team;
