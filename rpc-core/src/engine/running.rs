//! The requests of one peer that are in progress here, so that a cancel or a new deadline finds them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::context::CallContext;
use crate::error::Violation;

/// Requests in progress, by the peer's call id.
#[derive(Debug, Default)]
pub(super) struct Running {
    requests: HashMap<u64, Request>,
    /// All requests that are not answered, those not in the map included.
    unanswered: usize,
}

#[derive(Debug)]
struct Request {
    context: CallContext,
    task: Option<AbortHandle>,
}

impl Running {
    /// Counts a request that has come.
    ///
    /// # Errors
    /// The peer has more in flight than the bound that both sides keep.
    pub(super) fn admit(&mut self, in_flight_max: usize) -> Result<(), Violation> {
        if self.unanswered >= in_flight_max {
            return Err(Violation::TooManyRequests { limit: in_flight_max });
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Requests that are not answered.
    pub(super) fn len(&self) -> usize {
        self.unanswered
    }

    /// Notes a request that was not answered at once.
    ///
    /// # Errors
    /// The peer has used the id twice.
    pub(super) fn insert(&mut self, call: u64, context: CallContext) -> Result<(), Violation> {
        match self.requests.entry(call) {
            Entry::Vacant(place) => {
                place.insert(Request { context, task: None });
                Ok(())
            }
            // The first one stays, to be stopped with its link.
            Entry::Occupied(_) => Err(Violation::DuplicateCall(call)),
        }
    }

    /// The task that runs it, so that it can be ended.
    pub(super) fn set_task(&mut self, call: u64, task: AbortHandle) {
        if let Some(request) = self.requests.get_mut(&call) {
            request.task = Some(task);
        }
    }

    /// The request is being answered.
    pub(super) fn answered(&mut self, call: u64) {
        self.requests.remove(&call);
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    pub(super) fn context(&self, call: u64) -> Option<CallContext> {
        self.requests.get(&call).map(|request| request.context.clone())
    }

    pub(super) fn set_timeout(&self, call: u64, timeout: Option<Duration>) {
        if let Some(request) = self.requests.get(&call) {
            request.context.set_timeout(timeout);
        }
    }

    /// Forgets everything, because nobody is there to be answered. Returns what has to be stopped, to be
    /// done outside of the lock.
    pub(super) fn take_all(&mut self) -> Stop {
        self.unanswered = 0;
        Stop(self.requests.drain().map(|(_, request)| request).collect())
    }
}

/// Requests to be stopped.
#[must_use]
#[derive(Debug)]
pub(super) struct Stop(Vec<Request>);

impl Stop {
    /// Cancels their nested calls and ends their tasks. Blocking handlers see it when they next ask.
    pub(super) fn now(self) {
        for request in self.0 {
            request.context.cancel();
            if let Some(task) = request.task {
                task.abort();
            }
        }
    }
}
