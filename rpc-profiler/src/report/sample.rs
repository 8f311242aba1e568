//! [`ProfileBuilder`]: profiles that tests can count in their heads.

use crate::model::{Call, CallTimes, ClockOffset, NameId, Profile, Span, SpanId, Tick, Traffic, Worker};

/// When recording began, in all samples.
pub(super) const BEGAN_NS: u64 = 1_700_000_000_000_000_000;

/// So many nanoseconds after that.
pub(super) const fn at(ns: u64) -> Option<Tick> {
    Some(Tick::from_unix_ns(BEGAN_NS + ns))
}

/// The times of a call that both sides know all of, with so many nanoseconds for each stage.
pub(super) fn stages(began_ns: u64, stages_ns: [u64; 7]) -> [Option<Tick>; 8] {
    let mut end_ns = began_ns;
    let mut times = [at(began_ns); 8];
    for (time, stage_ns) in times[1..].iter_mut().zip(stages_ns) {
        end_ns += stage_ns;
        *time = at(end_ns);
    }
    times
}

/// Workers `worker0` to `worker2` in one millisecond.
pub(super) struct ProfileBuilder {
    pub(super) profile: Profile,
}

impl ProfileBuilder {
    pub(super) fn new() -> Self {
        let began = Tick::from_unix_ns(BEGAN_NS);
        let mut profile = Profile::new(0, began, Tick::from_unix_ns(BEGAN_NS + 1_000_000));
        let clocks = [ClockOffset::EXACT, ClockOffset::new(500, Some(20)), ClockOffset::new(0, None)];
        for (rank, clock) in (0..).zip(clocks) {
            profile.workers.push(Worker::new(rank, format!("worker{rank}"), clock));
        }
        Self { profile }
    }

    pub(super) fn name(&mut self, name: &str) -> NameId {
        let names = &mut self.profile.names;
        let known = names.iter().position(|other| other == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        NameId(u32::try_from(index).unwrap())
    }

    /// Adds a good call `rpc_async#function(from -> to)`, with 10 bytes to the callee and 20 back.
    pub(super) fn call(&mut self, function: &str, from: u32, to: u32, times: [Option<Tick>; 8]) -> SpanId {
        let id = self.next_id();
        let (operation, function, ok) = (self.name("rpc_async"), self.name(function), self.name("ok"));
        let mut call = Call::new(id, from, to, operation, function, ok);
        (call.request, call.response) = (Traffic { bytes: 10, parts: 0 }, Traffic { bytes: 20, parts: 0 });
        let [began, encoded, written, arrived, ran, replied, answered, decoded] = times;
        call.times = CallTimes { began, encoded, written, arrived, ran, replied, answered, decoded };
        self.profile.calls.push(call);
        id
    }

    pub(super) fn span(&mut self, name: &str, worker: u32, began_ns: u64, ended_ns: u64) -> SpanId {
        let id = self.next_id();
        let name = self.name(name);
        let tick = |ns| Tick::from_unix_ns(BEGAN_NS + ns);
        self.profile.spans.push(Span::new(id, worker, name, tick(began_ns), tick(ended_ns)));
        id
    }

    /// The call that was added last.
    pub(super) fn last(&mut self) -> &mut Call {
        self.profile.calls.last_mut().unwrap()
    }

    /// Has the call that was added last end with `outcome`.
    pub(super) fn outcome(&mut self, outcome: &str) {
        self.last().outcome = self.name(outcome);
    }

    fn next_id(&self) -> SpanId {
        SpanId((self.profile.calls.len() + self.profile.spans.len()) as u64 + 1)
    }
}
