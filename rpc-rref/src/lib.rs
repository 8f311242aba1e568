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

pub mod method;
pub mod proto;
