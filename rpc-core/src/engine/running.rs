//! The requests of one peer that are in progress here, so that a cancel or a new deadline finds them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::calls::CONTROL_IN_FLIGHT_MAX;
use crate::context::CallContext;
use crate::error::Violation;
use crate::info::Traffic;
use crate::message::Kind;

/// Requests in progress, by the peer's call id.
#[derive(Debug, Default)]
pub(super) struct Running {
    requests: HashMap<u64, Request>,
    /// All requests that are not answered, those not in the map included.
    unanswered: usize,
    /// How many of them are of control kinds.
    control: usize,
    /// Requests of the peer, and the answers to them. Counted here because the lock is held then.
    pub(super) traffic: Traffic,
    /// The link whose requests these are; 0 for none, and for those of this worker to itself.
    link: u32,
}

#[derive(Debug)]
struct Request {
    context: CallContext,
    task: Option<AbortHandle>,
}

impl Running {
    /// From now on the requests of `link` count, and no others.
    pub(super) fn begin(&mut self, link: u32) {
        self.link = link;
    }

    /// Counts a request that has come on `link`; false if that link is gone, so that nobody waits for it.
    ///
    /// # Errors
    /// The peer has more in flight than the bound that both sides keep, or has used an id twice.
    pub(super) fn admit(
        &mut self,
        link: u32,
        call: u64,
        kind: Kind,
        bytes: u64,
        in_flight_max: usize,
    ) -> Result<bool, Violation> {
        if link != self.link {
            return Ok(false);
        }
        if self.requests.contains_key(&call) {
            return Err(Violation::DuplicateCall(call));
        }
        let (used, limit) = match kind.is_control() {
            true => (self.control, CONTROL_IN_FLIGHT_MAX),
            false => (self.unanswered.saturating_sub(self.control), in_flight_max),
        };
        if used >= limit {
            return Err(Violation::TooManyRequests { limit });
        }
        self.unanswered += 1;
        self.control += usize::from(kind.is_control());
        self.traffic.received(bytes);
        Ok(true)
    }

    /// Requests that are not answered.
    pub(super) fn len(&self) -> usize {
        self.unanswered
    }

    /// Notes a request that was not answered at once; false if its link has gone since it was admitted.
    #[must_use]
    pub(super) fn insert(&mut self, link: u32, call: u64, context: CallContext) -> bool {
        if link == self.link {
            self.requests.insert(call, Request { context, task: None });
        }
        link == self.link
    }

    /// The task that runs it, so that it can be ended.
    pub(super) fn set_task(&mut self, link: u32, call: u64, task: AbortHandle) {
        if link == self.link
            && let Some(request) = self.requests.get_mut(&call)
        {
            request.task = Some(task);
        }
    }

    /// The request is being answered, with so many bytes.
    pub(super) fn answered(&mut self, link: u32, call: u64, kind: Kind, bytes: u64) {
        if link == self.link {
            self.traffic.sent(bytes);
            // Most are answered at once, and never in the map.
            if !self.requests.is_empty() {
                self.requests.remove(&call);
            }
            self.unanswered = self.unanswered.saturating_sub(1);
            self.control = self.control.saturating_sub(usize::from(kind.is_control()));
        }
    }

    /// Of the requests that were not answered at once.
    pub(super) fn contexts(&self) -> impl Iterator<Item = &CallContext> {
        self.requests.values().map(|request| &request.context)
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
        (self.unanswered, self.control) = (0, 0);
        self.link = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// EN-3
    #[test]
    fn who_exceeds_the_bound_of_a_kind_breaks_the_protocol() {
        let mut running = Running::default();
        running.begin(1);
        for call in 0..2 {
            assert_eq!(running.admit(1, call, Kind::CALL, 0, 2), Ok(true));
        }
        assert_eq!(running.admit(1, 9, Kind::CALL, 0, 2), Err(Violation::TooManyRequests { limit: 2 }));
        for call in 0..CONTROL_IN_FLIGHT_MAX as u64 {
            assert_eq!(running.admit(1, 100 + call, Kind::REFERENCES, 0, 2), Ok(true));
        }
        let limit = CONTROL_IN_FLIGHT_MAX;
        assert_eq!(running.admit(1, 9, Kind::SHUTDOWN, 0, 2), Err(Violation::TooManyRequests { limit }));
        running.answered(1, 0, Kind::CALL, 0);
        assert!(running.admit(1, 9, Kind::SHUTDOWN, 0, 2).is_err());
        assert_eq!(running.admit(1, 9, Kind::CALL, 0, 2), Ok(true));
        running.answered(1, 100, Kind::REFERENCES, 0);
        assert_eq!(running.admit(1, 10, Kind::SHUTDOWN, 0, 2), Ok(true));
        assert_eq!(running.admit(2, 11, Kind::CALL, 0, 2), Ok(false), "a link that is gone");
    }
}
