//! What the failure of a request about a value means for the reference to it.
//!
//! A link that goes down says nothing about the worker behind it. So a request that was lost with its link
//! waits for the next receipt from there, or for none: then the owner is gone, and the error says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rpc_core::{BoxFuture, CallContext, CallHook, Failure, ReferenceError};

use super::wait::{Key, Waiter};
use super::{Registry, State};
use crate::handle::Handle;
use crate::proto::RRefId;

/// A value that a method has borrowed, as the context of the method knows it.
pub(crate) struct Holding {
    pub(crate) registry: Weak<Registry>,
    pub(crate) rref: RRefId,
    pub(crate) exclusive: bool,
    /// The context may outlive the method, in what the method has spawned.
    pub(crate) ended: AtomicBool,
}

/// Ends the [`Holding`] with the method.
pub(crate) struct Held(pub(crate) Arc<Holding>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

/// One use of a reference by a request.
pub(crate) struct Use {
    registry: Weak<Registry>,
    rref: RRefId,
    /// What the request needs of the value; `None` if it does not borrow it.
    exclusive: Option<bool>,
}

impl Use {
    pub(crate) fn new(registry: &Registry, handle: &Handle, exclusive: bool) -> Self {
        Self { registry: registry.own().clone(), rref: handle.rref(), exclusive: Some(exclusive) }
    }

    /// For a request that does not borrow the value.
    pub(crate) fn anywhere(self) -> Self {
        Self { exclusive: None, ..self }
    }

    pub(crate) fn rref(&self) -> RRefId {
        self.rref
    }

    /// How the method that runs here has this value borrowed, if it has: to write, or not.
    fn held(&self) -> Option<bool> {
        let holding = CallContext::current()?.extension::<Holding>()?;
        let same = holding.rref == self.rref && holding.registry.ptr_eq(&self.registry);
        (same && !holding.ended.load(Ordering::Relaxed)).then_some(holding.exclusive)
    }

    /// Whether the request comes from a method that has the value borrowed to read.
    pub(crate) fn is_nested(&self) -> bool {
        self.held() == Some(false)
    }
}

impl CallHook for Use {
    fn would_deadlock(&self) -> Option<Failure> {
        let (wanted, held) = (self.exclusive?, self.held()?);
        let error = ReferenceError::WouldDeadlock { rref: self.rref.to_string() };
        (wanted || held).then(|| Failure::Reference(Box::new(error)))
    }

    fn explain(&self, failure: &Failure) -> Option<BoxFuture<'static, Failure>> {
        let registry = self.registry.upgrade()?;
        let (rref, owner) = (self.rref, self.rref.owner);
        let now =
            |failure| -> Option<BoxFuture<'static, Failure>> { Some(Box::pin(std::future::ready(failure))) };
        match failure {
            Failure::Unreachable { .. } | Failure::Departed => {
                registry.peer_is_gone(owner, failure);
                let (text, owner) = (rref.to_string(), registry.describe(owner));
                let error = ReferenceError::OwnerLost { rref: text, owner, ran: failure.handler_ran() };
                now(Failure::Reference(Box::new(error)))
            }
            Failure::LinkLost { .. } if owner != registry.me() => {
                Some(Box::pin(verdict(registry, rref, failure.clone())))
            }
            // The owner cannot know why a value that never came to be is not there; its creator does.
            Failure::Reference(error)
                if matches!(**error, ReferenceError::NotHere { .. } | ReferenceError::NotCreated { .. }) =>
            {
                let error = registry.read(|state| registry.reference_error(state, rref))?;
                now(Failure::Reference(Box::new(error)))
            }
            Failure::TimedOut { .. } => {
                let error = registry.read(|state| registry.reference_error(state, rref))?;
                now(Failure::Reference(Box::new(error)))
            }
            _ => None,
        }
    }
}

/// How many batches in a row may be lost with their links before that is all there is to know.
const ATTEMPTS_MAX: u32 = 8;

/// `failure`, or that the owner is gone, as soon as that is known.
async fn verdict(registry: Arc<Registry>, rref: RRefId, failure: Failure) -> Failure {
    let owner = rref.owner;
    let known = |state: &State| state.streams.get(&owner).map(|stream| (stream.receipts, stream.timeouts));
    let before = registry.change(|state| {
        state.probe(owner);
        known(state)
    });
    let at = Arc::clone(&registry);
    let check = move |state: &mut State| {
        // A receipt tells that it lives; without one in time, no more is known than before. What else is wrong
        // with the reference may be a consequence, such as that the request to make the value was lost too.
        let gives_up = state.streams.get(&owner).is_some_and(|stream| stream.failures >= ATTEMPTS_MAX);
        let is_over =
            state.dead.contains(&owner) || known(state).is_none() || known(state) != before || gives_up;
        is_over.then(|| at.reference_error(state, rref))
    };
    match Waiter::new(registry, Key::Peer(owner), check).await {
        // The request had been sent, so nobody knows how far it got.
        Some(ReferenceError::OwnerLost { rref, owner, .. }) => {
            let ran = failure.handler_ran();
            Failure::Reference(Box::new(ReferenceError::OwnerLost { rref, owner, ran }))
        }
        Some(error) => Failure::Reference(Box::new(error)),
        None => failure,
    }
}
