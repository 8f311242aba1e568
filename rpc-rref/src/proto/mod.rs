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
//!   A creation that failed, or that its creator does not know the end of, is *aborted*: it will not
//!   happen any more, or the creator is no user of it any more.
//! - A handle whose message is lost, or may be, is *revoked*: the receiver answers `Adopted` and will not
//!   take it when it comes after all.
//!
//! Transfers and creations are numbered without gaps, between each pair of workers, so both sides know what
//! has come with a few bytes of memory, and a late or repeated message meets its number.
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
//! error ([`Why::SenderLost`]).
//!
//! # Needed from below
//! The messages of this protocol ([`Msg`]) from one worker to another arrive once and in order, until one of
//! them dies. Application messages may arrive late, in any order, repeatedly or never.

mod ids;
mod owned;
mod table;
mod used;

#[cfg(test)]
mod tests;

use rpc_core::WorkerId;
use serde::{Deserialize, Serialize};

pub use self::ids::{RRefId, Registration, Transfer};
pub use self::table::Table;

/// A message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Owner to user: there is no such value any more.
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
    /// Creator to owner: do not create it any more, or forget that I use it.
    Abort {
        /// The value.
        rref: RRefId,
    },
}

/// What the driver has to do or to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This worker's handles to the value are confirmed.
    Confirmed(RRefId),
    /// This worker's handles to the value are of no use.
    Failed(RRefId, Why),
    /// Nobody has a handle to this worker's value any more: drop it.
    Free(RRefId),
}

/// Why handles are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    /// The owner died.
    OwnerLost,
    /// The value was never created, as far as its creator knows.
    NotCreated,
    /// The sender of the handle died before this worker was listed, and the value went with it.
    SenderLost,
}

/// A peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message for an owner that this worker is not.
    #[error("{from} took this worker for the owner of {rref}")]
    NotOwner {
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
    /// A user released that is not listed.
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
    /// A worker adopted what was not sent to it.
    #[error("{from} adopted transfer {transfer:?}, which it was not sent")]
    NotSent {
        /// The sender of the message.
        from: WorkerId,
        /// The number.
        transfer: Transfer,
    },
}
