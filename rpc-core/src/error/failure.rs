//! [`Failure`]: why a request got no answer from its handler.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ReferenceError;
use crate::futures::FutureError;
use crate::message::{Outcome, Response};
use crate::worker::WorkerName;

/// Whether the handler of a failed call ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandlerRan {
    /// Surely not: the call can be repeated.
    No,
    /// It ran, or began to.
    Yes,
    /// Nobody here can know.
    Unknown,
}

impl fmt::Display for HandlerRan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "the handler did not run",
            Self::Yes => "the handler ran",
            Self::Unknown => "the handler may have run",
        })
    }
}

/// Why a request has no answer from its handler. [`CallError`](crate::CallError) adds worker and function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// The target names nobody in the group.
    #[error("there is no such worker; the group has {known}")]
    UnknownWorker {
        /// The names that exist.
        known: String,
    },
    /// The callee has no function of that name.
    #[error(
        "it has no such function{similar}; is it compiled into that program and marked #[rpc::function]?"
    )]
    UnknownFunction {
        /// Similar names there, as text for the message; empty if there is none.
        similar: String,
    },
    /// Caller and callee were built with different signatures.
    #[error("its signature there is {theirs}, here it is {ours}; build both programs from the same source")]
    SignatureMismatch {
        /// The caller's signature.
        ours: String,
        /// The callee's.
        theirs: String,
    },
    /// The arguments could not be encoded; nothing was sent.
    #[error("the arguments could not be encoded: {reason}")]
    Encode {
        /// The codec's words.
        reason: String,
    },
    /// The callee could not decode the arguments.
    #[error("it could not decode the arguments: {reason}; do both programs have the same types?")]
    BadArguments {
        /// The codec's words.
        reason: String,
    },
    /// The handler ran, but its result could not be encoded there.
    #[error("the handler ran, but its result could not be encoded: {reason}")]
    BadResult {
        /// The codec's words.
        reason: String,
    },
    /// The handler ran, but its result could not be decoded here.
    #[error(
        "the handler ran, but its result could not be decoded: {reason}; do both programs have the same types?"
    )]
    BadReply {
        /// The codec's words.
        reason: String,
    },
    /// The callee does not have the caller's codec.
    #[error(
        "it does not have the codec of this call; it has {known}; build it with the feature of that codec or give it to also_codec there, or write the call by one that it has (CallScope::codec)"
    )]
    UnknownCodec {
        /// The codecs that it has.
        known: String,
    },
    /// Nobody serves this kind of request on the callee.
    #[error("it does not serve this kind of request")]
    UnknownKind,
    /// The handler panicked. The worker lives on.
    #[error("the handler panicked at {location}: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
        /// `file:line:column`, or `unknown location`.
        location: String,
    },
    /// No reply before the deadline.
    #[error("no reply within {}; {ran}; give the call more time with .timeout(..), or look at what the worker is doing", show(*.after))]
    TimedOut {
        /// How long the caller was willing to wait.
        after: Duration,
        /// What is known about the handler.
        ran: HandlerRan,
    },
    /// The caller cancelled.
    #[error("the call was cancelled; {ran}")]
    Cancelled {
        /// What is known about the handler.
        ran: HandlerRan,
    },
    /// No link could be made.
    #[error(
        "it cannot be reached at {address}: {cause}; is its process alive, and is that address open from here?"
    )]
    Unreachable {
        /// Where we tried.
        address: String,
        /// The system's words.
        cause: String,
    },
    /// The link went down with the call in flight.
    #[error("the link went down: {cause}; {ran}; if its process has died, its output says why")]
    LinkLost {
        /// Why it went down.
        cause: String,
        /// What is known about the handler.
        ran: HandlerRan,
    },
    /// The peer has left the group in an orderly way.
    #[error("it has shut down")]
    Departed,
    /// A bound was reached, here or there.
    #[error(
        "the bound {bound} = {limit} is reached; {}; wait for calls to finish, or raise it in its EngineConfig or #[rpc::function(..)]",
        HandlerRan::No
    )]
    Overloaded {
        /// Name of the bound, as in [`EngineConfig`](crate::EngineConfig); `max_waiting of ..` for that of a function.
        bound: String,
        /// Its value.
        limit: u64,
    },
    /// The message is larger than a message may be; nothing was sent.
    #[error(
        "the message has {bytes} bytes, over message_bytes_max = {limit}; split it, or raise the bound on both sides"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// This worker has been shut down.
    #[error("this worker has been shut down; initialise a new one")]
    ShutDown,
    /// A reference is of no use: the one that was used, or one among the arguments.
    #[error(transparent)]
    Reference(#[from] Box<ReferenceError>),
    /// Waiting here would stop the thread that has to bring the reply.
    #[error(
        "waiting here would block the runtime that drives this worker; await rpc_async instead, or wait on another thread"
    )]
    WouldBlock,
    /// The callee's authorization hook does not let this worker call that function.
    #[error(
        "its authorize hook does not let {caller} call it{}; {}",
        if reason.is_empty() { String::new() } else { format!(" ({reason})") },
        HandlerRan::No
    )]
    Denied {
        /// The caller, as the callee knows it.
        caller: String,
        /// What the hook said; empty if nothing.
        reason: String,
    },
    /// It was no call: a promise that was not kept, or a callback that panicked.
    #[error(transparent)]
    Future(#[from] Box<FutureError>),
}

/// Durations as people write them: `1.5s` rather than nanoseconds.
fn show(duration: Duration) -> impl fmt::Display {
    format!("{:?}", Duration::from_millis(duration.as_millis().max(1) as u64))
}

impl Failure {
    /// Whether the handler ran. No wildcard arm: a new variant has to choose.
    pub fn handler_ran(&self) -> HandlerRan {
        match self {
            Self::TimedOut { ran, .. } | Self::Cancelled { ran } | Self::LinkLost { ran, .. } => *ran,
            Self::Panicked { .. } | Self::BadResult { .. } | Self::BadReply { .. } => HandlerRan::Yes,
            Self::Reference(error) => error.handler_ran(),
            // A blocked waiter says nothing about the call, which is in flight, nor does a callback about what it did.
            Self::WouldBlock | Self::Future(_) => HandlerRan::Unknown,
            Self::UnknownWorker { .. }
            | Self::UnknownFunction { .. }
            | Self::SignatureMismatch { .. }
            | Self::Encode { .. }
            | Self::BadArguments { .. }
            | Self::UnknownCodec { .. }
            | Self::UnknownKind
            | Self::Unreachable { .. }
            | Self::Departed
            | Self::Overloaded { .. }
            | Self::TooLarge { .. }
            | Self::ShutDown
            | Self::Denied { .. } => HandlerRan::No,
        }
    }

    /// The reference that is of no use, if that is why.
    pub fn reference(&self) -> Option<&ReferenceError> {
        match self {
            Self::Reference(error) => Some(error),
            _ => None,
        }
    }

    /// What a response without a value says, for the outcomes that need nothing from the caller.
    pub fn from_response(response: &Response) -> Self {
        let mut details = response.details().into_iter();
        let mut next = || details.next().unwrap_or_default();
        match response.outcome {
            Outcome::Panicked => Self::Panicked { message: next(), location: next() },
            Outcome::BadArguments => Self::BadArguments { reason: next() },
            Outcome::BadResult => Self::BadResult { reason: next() },
            Outcome::UnknownCodec => Self::UnknownCodec { known: next() },
            Outcome::Overloaded => {
                let bound = next();
                Self::Overloaded { bound, limit: next().parse().unwrap_or_default() }
            }
            Outcome::DeadlineExceeded => Self::TimedOut { after: Duration::ZERO, ran: HandlerRan::Unknown },
            Outcome::Cancelled => Self::Cancelled { ran: HandlerRan::Unknown },
            Outcome::ShuttingDown => Self::Departed,
            Outcome::UnknownFunction => Self::UnknownFunction { similar: String::new() },
            Outcome::SignatureMismatch => {
                Self::SignatureMismatch { ours: String::new(), theirs: details.nth(1).unwrap_or_default() }
            }
            Outcome::UnknownKind => Self::UnknownKind,
            Outcome::Denied => Self::Denied { caller: next(), reason: next() },
            Outcome::Reference => match postcard::from_bytes(&response.body.payload) {
                Ok(error) => Self::Reference(Box::new(error)),
                Err(error) => Self::BadReply { reason: error.to_string() },
            },
            Outcome::Ok | Outcome::HandlerError => Self::BadReply { reason: "not a failure".into() },
        }
    }

    /// For a target that names nobody.
    pub(crate) fn unknown_worker(known: &[WorkerName]) -> Self {
        Self::UnknownWorker { known: crate::worker::list(known) }
    }
}
