//! [`Profiling`]: a profile that is under way.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::log::Origin;
use super::recorder::Recorder;
use crate::model::{ClockOffset, MachineId, Profile, Tick, Worker};
use crate::offsets;

/// A profile that is under way. Ends when it is dropped; [`finish`](Self::finish) gives what was recorded. Any number may
/// be under way, one in the other or side by side: each has what was recorded while it was.
#[must_use = "recording ends when this is dropped: bind it, as in `let profiling = ..`"]
pub struct Profiling {
    recorder: Arc<Recorder>,
    what: Origin,
    began: Tick,
    /// Numbers of the first records that belong to it, and what was lost before.
    first_call: u64,
    first_span: u64,
    lost_before: u64,
}

impl Profiling {
    pub(super) fn begin(recorder: &Arc<Recorder>, what: Origin) -> Self {
        recorder.begin(what);
        let (first_call, first_span, lost_before) = match &*recorder.log.lock() {
            Some(log) => (log.calls.next(), log.spans.next(), log.lost),
            None => (0, 0, 0),
        };
        let began = recorder.now();
        Self { recorder: Arc::clone(recorder), what, began, first_call, first_span, lost_before }
    }

    /// Ends it. What has been recorded is what [`so_far`](Self::so_far) has.
    pub fn finish(self) -> Profile {
        self.so_far()
    }

    /// What has been recorded since it began: calls and spans that have ended. A call has when its response is there, or
    /// what came instead, and its result has been taken or its future dropped. [`Profile::under_way`] counts the others.
    /// Recording goes on; what comes while this copies waits for it.
    pub fn so_far(&self) -> Profile {
        let mut profile = Profile::new(self.recorder.rank(), self.began, self.recorder.now());
        profile.under_way = self.recorder.under_way();
        let wanted = |origin| match self.what {
            Origin::Served => origin != Origin::Made,
            Origin::Made | Origin::MadeInHandler => origin != Origin::Served,
        };
        let mut machines = Vec::new();
        if let Some(log) = &*self.recorder.log.lock() {
            machines.clone_from(&log.machines);
            let (calls, calls_gone) = log.calls.since(self.first_call, wanted);
            let (spans, spans_gone) = log.spans.since(self.first_span, wanted);
            profile.names = log.names.list().to_vec();
            profile.dropped = calls_gone + spans_gone + (log.lost - self.lost_before);
            (profile.calls, profile.spans) = (calls, spans);
        }
        once(&mut profile);
        self.name_workers(&mut profile, &machines);
        offsets::apply(&mut profile);
        profile
    }

    fn name_workers(&self, profile: &mut Profile, machines: &[Option<MachineId>]) {
        let callers = profile.calls.iter().flat_map(|call| [call.from, call.to]);
        let ranks = callers.chain(profile.spans.iter().map(|span| span.worker));
        let ranks: BTreeSet<u32> = ranks.chain([profile.home]).collect();
        let group = self.recorder.group();
        let known = ranks.into_iter().filter_map(|rank| group.get(rpc_core::WorkerId(rank)));
        let workers = known.map(|member| {
            let info = &member.info;
            let mut worker = Worker::new(info.id.0, info.name.as_str(), ClockOffset::default());
            worker.machine = match info.id.0 == profile.home {
                true => self.recorder.machine(),
                false => machines.get(info.id.0 as usize).copied().flatten(),
            };
            worker
        });
        profile.workers = workers.collect();
    }
}

/// What another worker did may have come by several ways, where handlers have called back.
fn once(profile: &mut Profile) {
    let home = profile.home;
    let mut calls = HashSet::new();
    profile.calls.retain(|call| call.from == home || calls.insert((call.id, call.times.began.is_some())));
    let mut spans = HashSet::new();
    profile.spans.retain(|span| span.worker == home || spans.insert(span.id));
}

impl Drop for Profiling {
    fn drop(&mut self) {
        self.recorder.end(self.what);
    }
}

impl fmt::Debug for Profiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiling").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}
