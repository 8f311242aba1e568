//! Reference counting over workers, as a pure state machine.
//!
//! The *owner* holds a value. Every other worker that has handles to it is a *user*, listed once with the
//! owner however many handles it has: this is reference listing, after A. Birrell et al., *Distributed
//! garbage collection for network objects* (1993), rather than counting, which needs order between
//! different senders, and cannot tell whose references a dead worker took along.
//!
//! ```text
//!  sender (a user)        receiver               owner
//!    |---- handle(t) ------->|                     |    inside an application message; t is pinned
//!    |                       |---- Register(n) --->|
//!    |                       |<--- Registered(n) --|
//!    |<--- Adopted(t) -------|                     |    unpins t
//!    |                       |---- Release ------->|    last handle dropped, nothing pinned
//! ```
//! - A user that is listed already answers `Adopted` at once. So does one that has the handle from the
//!   owner itself: its `Register` goes to the owner ahead of its `Adopted`, and needs no answer.
//! - A user *pins* the value for each handle that it has sent and that has not been adopted; the owner does
//!   too. Nobody releases, or frees, what is pinned.
//! - A value is *created* by a message of its future first user, which lists that user. A handle may
//!   reach the owner, or a `Register` may, before that message does: the owner then *expects* the value.
//! - A creation that failed, or that its creator does not know the end of, is *aborted*: it will not happen
//!   any more, if it has not. The creator is listed all the same until it releases, and so is everybody who
//!   registers meanwhile, with the answer `NotCreated`: whoever gets a handle on gets the reason too.
//! - A handle whose message is lost, or may be, is *revoked*: the receiver answers `Adopted` and will not
//!   take it when it comes after all. A handle in an answer is so too when the link that the request came
//!   on is down: nobody else learns whether an answer has arrived.
//!
//! Transfers and creations are numbered without gaps, between each pair of workers, so both sides know what
//! has come with a few bytes of memory, and a late or repeated message meets its number.
//!
//! ```
//! use rpc_core::WorkerId;
//! use rpc_rref::proto::{Event, Table};
//!
//! let (alice, bob) = (WorkerId(0), WorkerId(1));
//! let mut at_alice = Table::<&str, ()>::new(alice, 2);
//! let mut at_bob = Table::<&str, ()>::new(bob, 2);
//!
//! let rref = at_alice.own("a value");                       // alice shares a value
//! let transfer = at_alice.share(rref, bob, None).unwrap();  // a handle travels in a message to bob
//! assert!(at_bob.receive(alice, rref, transfer)?);
//! at_alice.drop_handle(rref);                               // bob's handle keeps the value alive
//! assert_eq!(at_alice.poll_event(), None);
//!
//! at_bob.drop_handle(rref);
//! while let Some((_to, msg)) = at_bob.poll_transmit() {
//!     at_alice.handle(bob, msg)?;
//! }
//! assert_eq!(at_alice.poll_event(), Some(Event::Free(rref, "a value")));
//! # Ok::<(), rpc_rref::proto::Violation>(())
//! ```
//!
//! # Invariants (each named by a test)
//! - **RC-1, no early free.** While a handle is live or on its way, the value is alive or expected.
//! - **RC-2, parents wait.** A user releases only when it is listed and nothing is pinned.
//! - **RC-3, no leak.** With all handles dropped and all messages delivered, every table is empty.
//! - **RC-4, no orphan waits.** When a worker dies, what it held is let go, its own values fail everywhere,
//!   and no handle stays unconfirmed for ever.
//!
//! RC-1 follows from RC-2: a handle on its way has a pinned sender; a pinned user is not released; going up
//! from sender to sender one arrives at a listed user, at the creation, or at the owner. A sender that
//! dies breaks that chain: a receiver that was not listed yet then learns that the value is gone, as an
//! error ([`Why::SenderLost`]). A worker that is taken for dead and is not makes no difference: the two do
//! not speak again, and each is dead to the other; a third worker sees what it would see of a death.
//!
//! # Needed from below
//! The messages of this protocol ([`Msg`]) from one worker to another arrive once and in order, until one of
//! them dies: [`stream`]. Application messages may arrive late, in any order, repeatedly or never.
//!
//! # Bounds
//! Ids come from other programs, and what they can make this worker keep is bounded:
//! - Workers outside of the group are a [`Violation`].
//! - Transfers, and creations, are refused ([`Violation::TooFarAhead`]) 2^24 ahead of the oldest that has not
//!   come: 2 MiB for a peer. A sender that keeps to the protocol does not get there: it is told [`Full`].
//! - A handle to a value that will never be is kept while this program has it. A registration for one waits
//!   until its alleged creator dies; there are at most 2^20 such for each user, and more are answered `Gone`.
//!   They are no violation, because the user may have the handle from somebody who forged it.
//! - Messages that wait to be sent: one `Adopted` for each transfer that came, one `Registered` for each
//!   `Register`, one `Aborted` for each `Abort`; the rest answers for local handles. So a peer grows the queue
//!   to itself by what it sends, and the driver has to stop listening to one that does not take its messages.

mod ids;
mod map;
mod owned;
mod seen;
pub mod stream;
mod table;
mod used;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use rpc_core::WorkerId;
use serde::{Deserialize, Serialize};

pub use self::ids::{RRefId, Registration, Transfer};
pub use self::table::{Counts, PeerCounts, Table};

/// A message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Msg {
    /// User to owner: list me.
    Register {
        /// The value.
        rref: RRefId,
        /// Which registration this is, for the answer.
        id: Registration,
    },
    /// Owner to user: you are listed.
    Registered {
        /// The value.
        rref: RRefId,
        /// The registration that this answers.
        id: Registration,
    },
    /// Owner to user: you are listed, but the value will never be there.
    NotCreated {
        /// The value.
        rref: RRefId,
        /// The registration that this answers.
        id: Registration,
    },
    /// Owner to user: there is no such value any more, and you are not listed.
    Gone {
        /// The value.
        rref: RRefId,
        /// The registration that this answers.
        id: Registration,
    },
    /// User to owner: I have no handle any more.
    Release {
        /// The value.
        rref: RRefId,
    },
    /// Receiver of a handle to its sender: I am listed, or will not be.
    Adopted {
        /// The sender's number.
        transfer: Transfer,
    },
    /// Sender of a handle to its receiver: do not take it any more.
    Revoke {
        /// The sender's number.
        transfer: Transfer,
    },
    /// Creator to owner: do not create it, if you have not. I release it later, in either case.
    Abort {
        /// The value.
        rref: RRefId,
    },
    /// Owner to creator: I know.
    Aborted {
        /// The value.
        rref: RRefId,
    },
}

/// What the driver has to do or to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event<O> {
    /// This worker's handles to the value are confirmed. After a failure with [`Why::SenderLost`] that is
    /// because another handle has come.
    Confirmed(RRefId),
    /// This worker's handles to the value are of no use. For one of its own that will not be created: others'
    /// are not either.
    Failed(RRefId, Why),
    /// Nobody has a handle to this worker's value any more; here are the driver's data, to be dropped where no
    /// lock is held. For a value that has not been created that may be said more than once, each time with
    /// what there was since the last.
    Free(RRefId, O),
}

/// Whether a worker may use a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// It may.
    Yes,
    /// It may not now. Its registration may be on its way, or the creation of the value.
    NotYet,
    /// The value is freed, or will never be there, or the worker is dead.
    Gone,
}

/// Why handles are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Why {
    /// The owner died.
    OwnerLost,
    /// The value was never created, as far as its creator knows.
    NotCreated,
    /// The sender of the handle died before this worker was listed, and the value went with it.
    SenderLost,
}

/// Too much is on its way to the peer that has not been settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handles or creations on their way to the same worker; wait until it has dealt with some")]
pub struct Full;

/// Why a handle cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// It is of no use itself.
    #[error("the handle is of no use: {0:?}")]
    Useless(Why),
    /// 2^24 handles have been sent to that worker since the oldest that it has not adopted.
    #[error(transparent)]
    Full(#[from] Full),
}

/// A peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An id of no worker.
    #[error("{from} spoke of worker {id}, which is not in the group")]
    OutsideGroup {
        /// The sender.
        from: WorkerId,
        /// The id.
        id: WorkerId,
    },
    /// A number that is not its turn yet.
    #[error("{from} used number {number} long before its turn")]
    TooFarAhead {
        /// The sender.
        from: WorkerId,
        /// Of a transfer or a value.
        number: u64,
    },
    /// A message for an owner that this worker is not.
    #[error("{from} took this worker for the owner of {rref}")]
    NotOwner {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// A message that only the owner may send.
    #[error("{from} spoke for the owner of {rref}")]
    SpokeForOwner {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// A user registered that is listed.
    #[error("{from} registered twice for {rref}")]
    RegisteredTwice {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// A user released, or aborted, that is not listed.
    #[error("{from} released {rref}, of which it is no user")]
    NotAUser {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// A worker created or aborted in another's name.
    #[error("{from} spoke for the creator of {rref}")]
    NotCreator {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// An answer about a value that this worker has not asked for.
    #[error("{from} answered for {rref}, which it was not asked for")]
    NotAsked {
        /// The sender.
        from: WorkerId,
        /// The value.
        rref: RRefId,
    },
    /// A batch of messages came before the one before it.
    #[error("{from} sent batch {got} of its messages before batch {expected}")]
    BatchSkipped {
        /// The sender.
        from: WorkerId,
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A worker adopted what was not sent to it.
    #[error("{from} adopted transfer {transfer:?}, which it was not sent")]
    NotSent {
        /// The sender of the message.
        from: WorkerId,
        /// The number.
        transfer: Transfer,
    },
}
