//! [`ReferenceError`]: why a reference to a value on another worker is of no use.

use super::HandlerRan;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why a reference cannot be used. References are named by the text that stands for them everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The worker that held the value has died or left.
    #[error(
        "the owner of {rref}, {owner}, is gone, and the value with it; {ran}; create it anew on a worker that lives"
    )]
    OwnerLost {
        /// The reference.
        rref: String,
        /// The worker, with its rank.
        owner: String,
        /// What is known about the function or method that was called.
        ran: HandlerRan,
    },
    /// The request to create the value failed, so there is none.
    #[error("{rref} was not created: {reason}")]
    NotCreated {
        /// The reference.
        rref: String,
        /// What became of the request.
        reason: String,
    },
    /// The function that was to make the value did not return one.
    #[error("{rref} was not created: {reason}")]
    CreationFailed {
        /// The reference.
        rref: String,
        /// What its function ended with.
        reason: String,
        /// Its own error, if it returned one.
        error: Option<CreationError>,
    },
    /// The worker that passed the handle on died before the owner knew of this one, and the value went too.
    #[error(
        "{rref} was dropped by everybody else before its owner heard of the handle here, because the worker that passed it on is gone"
    )]
    SenderLost {
        /// The reference.
        rref: String,
    },
    /// The owner has no such value, or not for this worker.
    #[error("its owner has no value {rref} for this worker")]
    NotHere {
        /// The reference.
        rref: String,
    },
    /// The value has another type than the reference.
    #[error("{rref} is a {found}, not a {expected}; do both programs have the same types?")]
    WrongType {
        /// The reference.
        rref: String,
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// This worker does not own the value, so it cannot be borrowed here.
    #[error("{rref} is on worker {owner}, not here; use to_here() for a copy, or call its methods")]
    NotOwner {
        /// The reference.
        rref: String,
        /// The worker that has it.
        owner: String,
    },
    /// The caller itself holds what this call would have to wait for.
    #[error(
        "waiting for {rref} here would never end: this code runs in a method that has it borrowed; use `self`, or call without waiting"
    )]
    WouldDeadlock {
        /// The reference.
        rref: String,
    },
    /// Blocking here would stop the thread that drives this worker.
    #[error(
        "waiting for {rref} here would block the runtime that drives this worker; await it instead, or wait on another thread"
    )]
    WouldBlock {
        /// The reference.
        rref: String,
    },
    /// The value cannot be copied to other workers.
    #[error("{rref} is a {type_name}, which cannot be copied to another worker; call its methods instead")]
    NotCopyable {
        /// The reference.
        rref: String,
        /// The type of the value.
        type_name: String,
    },
    /// The handle belongs to another worker of this process, or to one that has shut down.
    #[error("{rref} belongs to another worker of this process; send it from there")]
    Foreign {
        /// The reference.
        rref: String,
    },
    /// More references are on their way to one worker than it may have to settle.
    #[error("too many references are on their way to {to}; wait until it has dealt with some")]
    TooMany {
        /// The worker, with its rank.
        to: String,
    },
    /// The worker that held the reference has left its group.
    #[error("{rref} is of no use: this worker has shut down; initialise a new one")]
    ShutDown {
        /// The reference.
        rref: String,
    },
    /// A message brought a handle that had been taken back meanwhile, so its sender has failed.
    #[error("{rref} came in a message that its sender has given up")]
    TakenBack {
        /// The reference.
        rref: String,
    },
    /// This worker has no part in reference counting.
    #[error("there is no registry of references on this worker; start one with Registry::start")]
    NoRegistry,
}

impl ReferenceError {
    /// Whether the function or method of the call that ended so ran.
    pub fn handler_ran(&self) -> HandlerRan {
        match self {
            Self::OwnerLost { ran, .. } => *ran,
            // All others are found before it starts.
            _ => HandlerRan::No,
        }
    }

    /// The error that the creating function returned, if it returned one and it is an `E`.
    ///
    /// ```
    /// # use rpc_core::{CreationError, ReferenceError};
    /// # let error = ReferenceError::CreationFailed { rref: "0:1@2".into(), reason: "an error".into(),
    /// #     error: CreationError::new(&7_u32) };
    /// assert_eq!(error.creation_error::<u32>(), Some(7));
    /// assert_eq!(error.creation_error::<String>(), None);
    /// ```
    pub fn creation_error<E: DeserializeOwned>(&self) -> Option<E> {
        let Self::CreationFailed { error: Some(error), .. } = self else { return None };
        error.get()
    }
}

/// The error that a creating function returned. Its type is known only to who asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationError {
    type_name: String,
    postcard: Vec<u8>,
}

impl CreationError {
    /// Keeps `error`; `None` if it cannot be encoded.
    pub fn new<E: Serialize>(error: &E) -> Option<Self> {
        let postcard = postcard::to_stdvec(error).ok()?;
        Some(Self { type_name: std::any::type_name::<E>().to_owned(), postcard })
    }

    /// The name of its type in the program that returned it.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The error, if it is an `E`.
    pub fn get<E: DeserializeOwned>(&self) -> Option<E> {
        if self.type_name != std::any::type_name::<E>() {
            return None;
        }
        postcard::from_bytes(&self.postcard).ok()
    }
}
