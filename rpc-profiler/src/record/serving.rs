//! [`ServingCall`]: a call that this worker serves.

use std::sync::Arc;

use parking_lot::Mutex;
use rpc_core::{Body, FollowedCall, ServedCall};

use super::gathered::Gathered;
use super::log::Origin;
use super::making::traffic_of;
use super::names::Words;
use super::notes::{self, RequestNote, ResponseNote};
use super::recorder::{Followed, Recorder};
use crate::model::{Call, NameId, SpanId, Tick};

/// What is known of a call so far. Recorded when it is dropped, if this worker records what it serves.
pub(super) struct ServingCall {
    recorder: Followed,
    within: Arc<Within>,
    call: Call,
    arrived: Tick,
    ran: Tick,
    function: &'static str,
    outcome: &'static str,
}

/// The call in whose handler something is done.
#[derive(Debug)]
pub(super) struct Within {
    pub(super) id: SpanId,
    pub(super) depth: u16,
    /// For the caller, if it profiles.
    gathered: Option<Mutex<Gathered>>,
}

impl Within {
    /// Changes what is gathered, if something is.
    pub(super) fn gather(&self, change: impl FnOnce(&mut Gathered)) {
        if let Some(gathered) = &self.gathered {
            change(&mut gathered.lock());
        }
    }

    pub(super) fn is_gathered(&self) -> bool {
        self.gathered.is_some()
    }
}

impl ServingCall {
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        note: Option<RequestNote>,
        call: &FollowedCall<'_>,
    ) -> Self {
        let arrived = recorder.now();
        let FollowedCall { worker, peer, function, .. } = *call;
        let RequestNote { id, depth } =
            note.unwrap_or_else(|| RequestNote { id: recorder.next_id(), depth: 0 });
        let unnamed = NameId(0);
        let mut served = Call::new(id, peer.id.0, worker.id.0, unnamed, unnamed, unnamed);
        served.depth = depth;
        served.times.arrived = Some(arrived);
        let gathered = note.map(|_| Mutex::default());
        let within = Arc::new(Within { id, depth, gathered });
        let recorder = recorder.count();
        Self { recorder, within, call: served, arrived, ran: arrived, function, outcome: "given_up" }
    }
}

impl ServedCall for ServingCall {
    fn id(&self) -> Option<u64> {
        Some(self.call.id.0)
    }

    fn within(&self) -> rpc_core::Within {
        Arc::clone(&self.within) as rpc_core::Within
    }

    fn runs(&mut self) {
        self.ran = self.recorder.now();
    }

    fn ended(&mut self, outcome: &'static str, response: &Body, note: &mut Vec<u8>) {
        self.outcome = outcome;
        self.call.response = traffic_of(response);
        let gathered = self.within.gathered.as_ref().map(|gathered| gathered.lock().close());
        let replied = self.recorder.now();
        (self.call.times.ran, self.call.times.replied) = (Some(self.ran), Some(replied));
        if let Some(gathered) = gathered {
            let times = ResponseNote {
                arrived_unix_ns: self.arrived.unix_ns(),
                wait_ns: self.ran.since(self.arrived),
                run_ns: replied.since(self.ran),
                machine: self.recorder.machine(),
                gathered,
            };
            notes::write(&times, note);
        }
    }
}

impl Drop for ServingCall {
    fn drop(&mut self) {
        if self.call.times.replied.is_none() {
            // Given up: this is when.
            (self.call.times.ran, self.call.times.replied) = (Some(self.ran), Some(self.recorder.now()));
        }
        let Self { call, function, outcome, .. } = self;
        let words = Words { operation: "serve", function, outcome, error: None };
        self.recorder.record(Origin::Served, |log| log.add_call(call, Origin::Served, &words));
    }
}
