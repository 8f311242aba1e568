//! [`MakingCall`]: a call that this worker makes.

use std::fmt;
use std::sync::Arc;

use rpc_core::{Body, FollowedCall, MadeCall, MadeEnd};

use super::log::Origin;
use super::names::{self, Words};
use super::notes::{self, RequestNote, ResponseNote};
use super::recorder::{Followed, Recorder};
use super::serving::Within;
use crate::model::{Call, NameId, Tick, Traffic};

/// What is known of a call so far. Recorded when it is dropped, if it has been sent.
pub(super) struct MakingCall {
    recorder: Followed,
    within: Option<Arc<Within>>,
    call: Call,
    operation: &'static str,
    function: &'static str,
    outcome: &'static str,
    error: Option<Box<str>>,
    /// What the callee has told.
    note: Option<ResponseNote>,
}

impl MakingCall {
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        within: Option<Arc<Within>>,
        call: &FollowedCall<'_>,
    ) -> Self {
        let FollowedCall { worker, peer, operation, function, .. } = *call;
        let unnamed = NameId(0);
        let mut made = Call::new(recorder.next_id(), worker.id.0, peer.id.0, unnamed, unnamed, unnamed);
        (made.parent, made.depth) = recorder.place(within.as_deref());
        made.times.began = Some(recorder.now());
        let recorder = recorder.count();
        let outcome = "given_up";
        Self { recorder, within, call: made, operation, function, outcome, error: None, note: None }
    }
}

impl MadeCall for MakingCall {
    fn id(&self) -> Option<u64> {
        Some(self.call.id.0)
    }

    fn encoded(&mut self, bytes: u64, parts: usize, note: &mut Vec<u8>) {
        self.call.request = traffic(bytes, parts);
        notes::write(&RequestNote { id: self.call.id, depth: self.call.depth }, note);
        self.call.times.encoded = Some(self.recorder.now());
    }

    fn ended(&mut self, end: &MadeEnd<'_>) {
        self.call.times.answered = Some(self.recorder.now());
        self.call.times.written = end.written.map(|written| self.recorder.tick(written));
        self.outcome = end.outcome;
        self.error = end.failure.map(names::text);
        self.call.response = end.response.map_or_else(Traffic::default, traffic_of);
        self.note = end.note.and_then(notes::read);
        if let Some(ResponseNote { arrived_unix_ns, wait_ns, run_ns, .. }) = self.note {
            // Saturating: whatever the peer says stays a time.
            let ran = arrived_unix_ns.saturating_add(wait_ns);
            self.call.times.arrived = Some(Tick::from_unix_ns(arrived_unix_ns));
            self.call.times.ran = Some(Tick::from_unix_ns(ran));
            self.call.times.replied = Some(Tick::from_unix_ns(ran.saturating_add(run_ns)));
        }
    }

    fn taken(&mut self, error: Option<&dyn fmt::Display>) {
        self.call.times.decoded = Some(self.recorder.now());
        if let Some(error) = error {
            self.error = Some(names::text(error));
        }
    }
}

impl Drop for MakingCall {
    fn drop(&mut self) {
        if self.call.times.answered.is_none() {
            return;
        }
        let Self { call, operation, function, outcome, .. } = self;
        let words = Words { operation, function, outcome, error: self.error.as_deref() };
        let nested = self.note.as_ref().and_then(|note| note.gathered.as_deref());
        let machine = self.note.as_ref().and_then(|note| note.machine);
        if let Some(within) = &self.within {
            within.gather(|gathered| {
                gathered.add_call(call, &words);
                gathered.add_machine(call.to, machine);
                nested.into_iter().for_each(|nested| gathered.add(nested));
            });
        }
        let origin = match self.within {
            Some(_) => Origin::MadeInHandler,
            None => Origin::Made,
        };
        self.recorder.record(origin, |log| {
            log.add_call(call, origin, &words);
            log.add_machine(call.to, machine);
            if let Some(nested) = nested {
                log.import(origin, nested, call.from);
            }
        });
    }
}

pub(super) fn traffic_of(body: &Body) -> Traffic {
    traffic(body.len_bytes(), body.parts.len())
}

fn traffic(bytes: u64, parts: usize) -> Traffic {
    Traffic { bytes, parts: u16::try_from(parts).unwrap_or(u16::MAX) }
}
