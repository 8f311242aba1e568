//! The machines of all workers over a network that delivers in any order, with work that spreads and
//! workers that die.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Packet {
    Ask {
        from: usize,
        to: usize,
        ask: Ask,
    },
    Answer {
        from: usize,
        to: usize,
        answer: Result<Answer, NoAnswer>,
    },
    /// An application's request; its handler may make another.
    Request {
        from: usize,
        to: usize,
    },
    Reply {
        to: usize,
    },
}

#[derive(Debug, Default, Clone, Copy)]
struct Work {
    counts: Counts,
}

#[derive(Debug)]
struct World {
    machines: Vec<Machine>,
    work: Vec<Work>,
    /// Who waits for the reply of the request that each running handler serves.
    serving: Vec<Vec<usize>>,
    alive: Vec<bool>,
    left: Vec<bool>,
    net: Vec<Packet>,
    now: Duration,
    /// Requests that handlers may still make: work ends some time.
    fuel: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(Index),
    Call(Index, Index),
    FinishHandler(Index),
    Join(Index),
    Die(Index),
    Tick(u16),
}

impl World {
    fn new(n: usize) -> Self {
        let by_name: Vec<WorkerId> = (0..n as u32).map(WorkerId).collect();
        Self {
            machines: by_name.iter().map(|id| Machine::new(*id, by_name.clone())).collect(),
            work: vec![Work::default(); n],
            serving: vec![Vec::new(); n],
            alive: vec![true; n],
            left: vec![false; n],
            net: Vec::new(),
            now: Duration::ZERO,
            fuel: 30,
        }
    }

    fn counts(&self, worker: usize) -> Counts {
        self.work[worker].counts
    }

    fn runs(&self, worker: usize) -> bool {
        self.alive[worker] && !self.left[worker]
    }

    fn apply(&mut self, step: &Step) {
        let n = self.machines.len();
        match step {
            Step::Deliver(at) if !self.net.is_empty() => {
                let packet = self.net.swap_remove(at.index(self.net.len()));
                self.deliver(packet);
            }
            // A worker that has joined makes no calls of its own any more, only its handlers do.
            Step::Call(from, to) => {
                let (from, to) = (from.index(n), to.index(n));
                if self.runs(from) && !self.machines[from].joined {
                    self.call(from, to);
                }
            }
            Step::FinishHandler(worker) => self.finish_handler(worker.index(n)),
            Step::Join(worker) => {
                let worker = worker.index(n);
                if self.runs(worker) {
                    self.machines[worker].join(self.now);
                }
            }
            Step::Die(worker) => self.die(worker.index(n)),
            Step::Tick(ms) => self.now += Duration::from_millis(u64::from(*ms)),
            Step::Deliver(_) => {}
        }
        self.run_machines();
    }

    fn call(&mut self, from: usize, to: usize) {
        if self.fuel == 0 || !self.runs(to) {
            return;
        }
        self.fuel -= 1;
        self.work[from].counts.sent += 1;
        self.work[from].counts.active += 1;
        self.net.push(Packet::Request { from, to });
    }

    fn finish_handler(&mut self, worker: usize) {
        let Some(caller) = self.serving[worker].pop() else { return };
        self.work[worker].counts.active -= 1;
        self.net.push(Packet::Reply { to: caller });
    }

    fn die(&mut self, worker: usize) {
        if !self.runs(worker) || self.machines.len() < 2 {
            return;
        }
        self.alive[worker] = false;
        // Requests to and from it are gone, and callers see that.
        for packet in std::mem::take(&mut self.net) {
            match packet {
                Packet::Request { from, to } if to == worker => self.net.push(Packet::Reply { to: from }),
                Packet::Request { from, .. } if from == worker => {}
                other => self.net.push(other),
            }
        }
        for caller in std::mem::take(&mut self.serving[worker]) {
            self.net.push(Packet::Reply { to: caller });
        }
        for other in 0..self.machines.len() {
            let stopped = self.serving[other].iter().filter(|caller| **caller == worker).count();
            self.serving[other].retain(|caller| *caller != worker);
            self.work[other].counts.active -= stopped as u64;
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Ask { from, to, ask } => {
                let answer = if !self.alive[to] {
                    Err(NoAnswer::Lost)
                } else if self.left[to] {
                    Err(NoAnswer::Departed)
                } else {
                    let counts = self.counts(to);
                    Ok(self.machines[to].handle_ask(self.now, WorkerId(from as u32), ask, counts))
                };
                self.net.push(Packet::Answer { from: to, to: from, answer });
            }
            Packet::Answer { from, to, answer } if self.runs(to) => {
                let counts = self.counts(to);
                self.machines[to].handle_answer(self.now, WorkerId(from as u32), answer, counts);
            }
            Packet::Request { from, to } => {
                assert!(!self.left[to], "SD-1: a request reached a worker that was let go");
                self.work[to].counts.received += 1;
                self.work[to].counts.active += 1;
                self.serving[to].push(from);
                let next = (to + 1) % self.machines.len();
                if self.fuel.is_multiple_of(2) {
                    self.call(to, next); // a nested call
                }
            }
            Packet::Reply { to } if self.runs(to) => self.work[to].counts.active -= 1,
            Packet::Answer { .. } | Packet::Reply { .. } => {}
        }
    }

    fn run_machines(&mut self) {
        for worker in 0..self.machines.len() {
            if !self.runs(worker) {
                continue;
            }
            let counts = self.counts(worker);
            self.machines[worker].handle_timeout(self.now, counts);
            while let Some((to, ask)) = self.machines[worker].poll_transmit() {
                self.net.push(Packet::Ask { from: worker, to: to.0 as usize, ask });
            }
            if self.machines[worker].is_done() {
                self.check_may_leave(worker);
                self.left[worker] = true;
            }
        }
    }

    /// SD-1
    fn check_may_leave(&self, leaver: usize) {
        for other in 0..self.machines.len() {
            if !self.runs(other) || other == leaver {
                continue;
            }
            assert!(self.machines[other].joined, "SD-1: {other} has not joined: {self:#?}");
            assert_eq!(self.counts(other).active, 0, "SD-1: {other} is busy: {self:#?}");
        }
        let requests = self.net.iter().any(|packet| matches!(packet, Packet::Request { .. }));
        assert!(!requests, "SD-1: a request is on its way: {self:#?}");
    }

    /// Everybody joins, all work ends, everything is delivered.
    fn settle(&mut self) {
        for worker in 0..self.machines.len() {
            if self.runs(worker) {
                self.machines[worker].join(self.now);
            }
        }
        for _ in 0..20_000 {
            self.run_machines();
            if (0..self.machines.len()).all(|worker| !self.runs(worker)) {
                return;
            }
            for worker in 0..self.machines.len() {
                self.finish_handler(worker);
            }
            if self.net.is_empty() {
                self.now += ROUND_PAUSE_MAX;
            } else {
                let packet = self.net.remove(0);
                self.deliver(packet);
            }
        }
        panic!("SD-2: it does not end: {self:#?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<Index>().prop_map(Step::Deliver),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Step::Call(from, to)),
        2 => any::<Index>().prop_map(Step::FinishHandler),
        3 => any::<Index>().prop_map(Step::Join),
        1 => any::<Index>().prop_map(Step::Die),
        2 => (0_u16..600).prop_map(Step::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// SD-1, SD-2, SD-3 under any interleaving of work, joins, deliveries and deaths.
    #[test]
    fn all_leave_together_and_only_when_nothing_moves(
        workers in 1_usize..5,
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(workers);
        for step in &steps {
            world.apply(step);
        }
        world.settle();
    }
}

#[test]
fn a_single_worker_leaves_when_it_is_idle() {
    let mut machine = Machine::new(WorkerId(0), vec![WorkerId(0)]);
    let busy = Counts { sent: 1, received: 0, active: 1 };
    machine.join(Duration::ZERO);
    machine.handle_timeout(Duration::ZERO, busy);
    assert!(!machine.is_done(), "SD-1");
    let idle = Counts { active: 0, ..busy };
    for _ in 0..2 {
        let at = machine.poll_timeout().expect("another round follows");
        machine.handle_timeout(at, idle);
    }
    assert!(machine.is_done(), "SD-2");
}

#[test]
fn the_view_names_who_is_missing_and_who_is_busy() {
    let ids: Vec<WorkerId> = (0..3).map(WorkerId).collect();
    let mut leader = Machine::new(ids[0], ids.clone());
    leader.join(Duration::ZERO);
    leader.handle_timeout(Duration::ZERO, Counts::default());
    let asked: Vec<WorkerId> = std::iter::from_fn(|| leader.poll_transmit()).map(|(to, _)| to).collect();
    assert_eq!(asked, ids[1..]);
    let busy = Counts { sent: 4, received: 4, active: 2 };
    let idle = Counts::default();
    leader.handle_answer(Duration::ZERO, ids[1], Ok(Answer::Counts { joined: true, counts: busy }), idle);
    leader.handle_answer(Duration::ZERO, ids[2], Ok(Answer::Counts { joined: false, counts: idle }), idle);
    assert_eq!(leader.view(), View { missing: vec![ids[2]], busy: vec![ids[1]] });
}

/// SD-3
#[test]
fn when_the_leader_dies_the_next_name_leads() {
    let ids: Vec<WorkerId> = (0..2).map(WorkerId).collect();
    let mut follower = Machine::new(ids[1], ids.clone());
    follower.join(Duration::ZERO);
    follower.handle_timeout(Duration::ZERO, Counts::default());
    assert_eq!(follower.poll_transmit(), Some((ids[0], Ask::Join)));
    follower.handle_answer(Duration::ZERO, ids[0], Err(NoAnswer::Lost), Counts::default());
    for _ in 0..2 {
        let at = follower.poll_timeout().expect("it leads now");
        follower.handle_timeout(at, Counts::default());
    }
    assert!(follower.is_done());
    assert_eq!(follower.lost(), [ids[0]]);
}
