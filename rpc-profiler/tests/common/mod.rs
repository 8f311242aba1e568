//! A job that nobody has run: a parameter server and three trainers, who ask each other too.

use rpc_profiler::Profile;
use rpc_profiler::model::{Call, CallTimes, ClockOffset, NameId, Span, SpanId, Tick, Traffic, Worker};

const BEGAN_NS: u64 = 1_790_000_000_000_000_000;
const US: u64 = 1_000;

/// Its profile, of so many steps, as `ps` has recorded it. The same each time.
pub(crate) fn training(steps: u64) -> Profile {
    let mut job = Job::new();
    for trainer in 1..=3 {
        for step in 0..steps {
            job.step(trainer, step);
        }
    }
    job.finish()
}

struct Job {
    profile: Profile,
    dice: u64,
    ended_ns: u64,
    /// When each worker is done with its last step.
    free_ns: [u64; 4],
}

/// What the next call is made in.
type Parent = (Option<SpanId>, u16);

impl Job {
    fn new() -> Self {
        let began = Tick::from_unix_ns(BEGAN_NS);
        let mut profile = Profile::new(0, began, began);
        let clocks = [
            ClockOffset::EXACT,
            ClockOffset::new(1_834_112, Some(14_200)),
            ClockOffset::new(-402_377, Some(9_800)),
            ClockOffset::new(88_150, Some(21_600)),
        ];
        for ((rank, name), clock) in (0..).zip(["ps", "trainer1", "trainer2", "trainer3"]).zip(clocks) {
            profile.workers.push(Worker::new(rank, name, clock));
        }
        Self { profile, dice: 7, ended_ns: 0, free_ns: [0, 200 * US, 900 * US, 1_400 * US] }
    }

    /// Pulls parameters, asks a neighbour for its part, computes, and pushes gradients.
    fn step(&mut self, trainer: u32, step: u64) {
        let began = self.free_ns[trainer as usize];
        let span = self.open();
        let inside = (Some(span), 1);
        let mut now = began + 10 * US;
        now = self.call(
            inside,
            (trainer, 0),
            "rpc_sync",
            "ps::parameters",
            now,
            60 * US,
            (96, 262_144),
            "ok",
            None,
        );

        let forward = self.open();
        let neighbour = trainer % 3 + 1;
        let fetched = self.call(
            (Some(forward), 2),
            (trainer, neighbour),
            "rpc_async",
            "trainer::embedding",
            now + 20 * US,
            160 * US,
            (4_096, 32_768),
            "ok",
            Some("ps::lookup"),
        );
        let computed = fetched.max(now + 400 * US) + self.up_to(150 * US);
        self.close(forward, inside.0, 1, trainer, "forward", now, computed);
        now = computed;

        let backward = self.open();
        let ended = now + 500 * US + self.up_to(200 * US);
        self.close(backward, inside.0, 1, trainer, "backward", now, ended);
        now = ended;

        let mut pushed = now;
        for layer in ["ps::push::<Layer1>", "ps::push::<Layer2>", "ps::push::<Layer3>"] {
            let (outcome, took) = match (step % 17, trainer, layer.ends_with("3>")) {
                (11, 2, true) => ("timed_out", 1_500 * US),
                (5, 3, false) => ("error", 30 * US),
                _ => ("ok", 90 * US),
            };
            let done =
                self.call(inside, (trainer, 0), "rpc_async", layer, now, took, (131_072, 8), outcome, None);
            pushed = pushed.max(done);
            now += 12 * US;
        }
        if step % 20 == 3 {
            pushed = self.call(
                inside,
                (trainer, 0),
                "to_here",
                "ps::Checkpoint",
                pushed + 5 * US,
                900 * US,
                (48, 1_200_000),
                "ok",
                None,
            );
        }
        self.close(span, None, 0, trainer, "step", began, pushed + 8 * US);
        self.free_ns[trainer as usize] = pushed + 40 * US + self.up_to(120 * US);
    }

    /// Adds a call, with one to the server in its handler if `nested` names a function, and says when it ended.
    #[expect(clippy::too_many_arguments, reason = "they are the columns of a table")]
    fn call(
        &mut self,
        (parent, depth): Parent,
        (from, to): (u32, u32),
        operation: &str,
        function: &str,
        began: u64,
        took: u64,
        (request, response): (u64, u64),
        outcome: &str,
        nested: Option<&str>,
    ) -> u64 {
        let id = self.open();
        let [operation, function, outcome_id] = [operation, function, outcome].map(|name| self.name(name));
        let mut call = Call::new(id, from, to, operation, function, outcome_id);
        (call.parent, call.depth) = (parent, depth);
        call.request = Traffic { bytes: request, parts: u16::from(request > 4_000) };

        let slow = if self.up_to(40) == 0 { 8 } else { 1 };
        let encoded = began + 2 * US + request / 40 + self.up_to(2 * US);
        let written = encoded + 3 * US + self.up_to(9 * US);
        let arrived = written + 18 * US + self.up_to(14 * US) + request / 12;
        let ran = arrived + (4 * US + self.up_to(25 * US)) * slow;
        let mut times = CallTimes::default();
        (times.began, times.encoded, times.written) = (tick(began), tick(encoded), tick(written));
        let ended = if outcome == "timed_out" {
            times.answered = tick(began + took);
            began + took
        } else {
            let mut replied = ran + took / 2 + self.up_to(took);
            if let Some(nested) = nested {
                let inside = (Some(id), depth + 1);
                replied = self.call(
                    inside,
                    (to, 0),
                    "rpc_sync",
                    nested,
                    ran + 6 * US,
                    took / 3,
                    (512, 16_384),
                    "ok",
                    None,
                ) + 15 * US;
                self.handler_span(id, depth + 1, to, "gather", replied - 14 * US, replied - US);
            }
            let answered = replied + 20 * US + self.up_to(12 * US) + response / 12;
            let decoded = answered + US + response / 50;
            (times.arrived, times.ran, times.replied) = (tick(arrived), tick(ran), tick(replied));
            (times.answered, times.decoded) = (tick(answered), tick(decoded));
            call.response = Traffic { bytes: response, parts: u16::from(response > 4_000) };
            decoded
        };
        call.times = times;
        self.profile.calls.push(call);
        self.ended_ns = self.ended_ns.max(ended);
        ended
    }

    fn handler_span(&mut self, parent: SpanId, depth: u16, worker: u32, name: &str, began: u64, ended: u64) {
        let id = self.open();
        self.close(id, Some(parent), depth, worker, name, began, ended);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the columns of a table")]
    fn close(
        &mut self,
        id: SpanId,
        parent: Option<SpanId>,
        depth: u16,
        worker: u32,
        name: &str,
        began: u64,
        ended: u64,
    ) {
        let name = self.name(name);
        let [began, ended] = [began, ended].map(|ns| Tick::from_unix_ns(BEGAN_NS + ns));
        let mut span = Span::new(id, worker, name, began, ended);
        (span.parent, span.depth) = (parent, depth);
        self.profile.spans.push(span);
    }

    /// An id that nothing else has.
    fn open(&mut self) -> SpanId {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        SpanId(self.dice)
    }

    /// A number below `limit`, as good as any.
    fn up_to(&mut self, limit: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (self.dice >> 33) % limit
    }

    fn name(&mut self, name: &str) -> NameId {
        let names = &mut self.profile.names;
        let known = names.iter().position(|other| other == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        NameId(index as u32)
    }

    fn finish(mut self) -> Profile {
        self.profile.ended = Tick::from_unix_ns(BEGAN_NS + self.ended_ns + 300 * US);
        self.profile.calls.sort_by_key(|call| call.times.last());
        self.profile.spans.sort_by_key(|span| span.ended);
        self.profile
    }
}

fn tick(ns: u64) -> Option<Tick> {
    Some(Tick::from_unix_ns(BEGAN_NS + ns))
}
