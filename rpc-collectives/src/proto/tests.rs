//! The machines alone, and members, leader and network as one world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use rpc_core::WorkerId;

use super::limits::*;
use super::*;

const LEADER: WorkerId = WorkerId(0);

impl Value for u64 {
    /// As many as it says; the largest stands for a reference.
    fn kept_bytes(&self) -> Option<u64> {
        (*self < u64::MAX).then_some(*self)
    }
}

impl Value for (WorkerId, u64) {
    fn kept_bytes(&self) -> Option<u64> {
        self.1.is_multiple_of(2).then_some(1)
    }
}

fn line(tag: &str, members: u32) -> Line {
    Line { what: What::AllGather, members: (0..members).map(WorkerId).collect(), tag: tag.into() }
}

fn operation(tag: &str, count: u64) -> Operation {
    Operation { count, line: line(tag, 3) }
}

fn gave_up(member: u32) -> Cause {
    Cause::GaveUp { member: WorkerId(member) }
}

fn died(member: u32) -> Cause {
    Cause::Absent { member: WorkerId(member), why: Absence::Died { reason: "expected".into() } }
}

/// What became of worker `member` that gives `value`.
fn join(leader: &mut Leader<u64>, operation: &Operation, member: u32, value: u64) -> Joined<u64> {
    leader.join(operation, WorkerId(member), value).0
}

/// CL-1: values of all, of this one.
#[test]
fn cl1_the_last_one_brings_the_values_of_all() {
    let (mut leader, first) = (Leader::default(), operation("", 0));
    assert!(matches!(join(&mut leader, &first, 2, 22), Joined::Waits));
    assert!(matches!(join(&mut leader, &first, 0, 20), Joined::Waits));
    // Others of the same members do not count.
    for other in [operation("", 1), operation("other", 0)] {
        assert!(matches!(join(&mut leader, &other, 1, 99), Joined::Waits));
    }
    // Again, since its link was lost: the newer value counts, and the older one is handed back.
    let (joined, older) = leader.join(&first, WorkerId(2), 23);
    assert!(matches!(joined, Joined::Waits) && older == Some(22));
    let Joined::Ended(End::Whole(values)) = join(&mut leader, &first, 1, 21) else { panic!("all are there") };
    assert_eq!(values[..], [(WorkerId(0), 20), (WorkerId(1), 21), (WorkerId(2), 23)]);
}

/// CL-2: whoever comes later is told.
#[test]
fn cl2_who_comes_after_the_end_is_told_of_it() {
    let (mut leader, well, badly) = (Leader::default(), operation("", 0), operation("", 1));
    for member in 0..3 {
        join(&mut leader, &well, member, 0);
    }
    let Joined::Before(Before::Whole(Some(again))) = join(&mut leader, &well, 1, 0) else {
        panic!("as before")
    };
    assert_eq!(again.len(), 3);
    assert!(leader.fail(&well, gave_up(1)).is_none());

    join(&mut leader, &badly, 0, 0);
    let ended = leader.fail(&badly, gave_up(2)).expect("it is under way");
    assert!(leader.fail(&badly, gave_up(1)).is_none(), "the first end stays");
    let (Joined::Before(Before::Failed(told)), value) = leader.join(&badly, WorkerId(1), 7) else {
        panic!("it has ended")
    };
    assert!(Arc::ptr_eq(&told, &ended.failed) && value == Some(7));
}

/// CL-2. Who gives up before it has come has failed for the others all the same: its message may have overtaken the first.
#[test]
fn cl2_giving_up_may_come_first() {
    let (mut leader, first) = (Leader::default(), operation("", 0));
    assert!(leader.fail(&first, gave_up(1)).is_some());
    assert!(matches!(join(&mut leader, &first, 1, 0), Joined::Before(Before::Failed(_))));
}

/// CL-3: they and nobody else.
#[test]
fn cl3_a_failure_names_those_who_had_not_come() {
    let cause = Cause::TimedOut { member: WorkerId(1), after: Duration::from_secs(3) };
    let (mut leader, first) = (Leader::default(), operation("", 0));
    join(&mut leader, &first, 1, 11);
    assert_eq!(leader.missing(&first), Some(vec![WorkerId(0), WorkerId(2)]));
    assert!(leader.fail(&first, died(1)).is_none(), "it has come, so its death is no reason");
    let ended = leader.fail(&first, cause.clone()).expect("two are missing");
    assert_eq!(*ended.failed, Failed { cause, missing: vec![WorkerId(0), WorkerId(2)] });
    assert_eq!(ended.values, [11]);
    assert_eq!(leader.missing(&first), None);
}

/// CL-4: bounds, and no traces.
#[test]
fn cl4_bounds_hold_and_who_is_refused_leaves_no_trace() {
    let mut leader = Leader::default();
    for count in 0..OPEN_PER_MEMBER_MAX as u64 {
        assert!(matches!(join(&mut leader, &operation("", count), 0, 0), Joined::Waits));
    }
    let more = operation("", OPEN_PER_MEMBER_MAX as u64);
    let (Joined::Refused(full), Some(7)) = leader.join(&more, WorkerId(0), 7) else { panic!("one too many") };
    assert_eq!(full.limit, OPEN_PER_MEMBER_MAX);
    assert_eq!(leader.missing(&more), None);
    assert!(matches!(join(&mut leader, &operation("", 0), 0, 0), Joined::Waits), "again is not one more");
    leader.fail(&operation("", 0), gave_up(1));
    assert!(matches!(join(&mut leader, &more, 0, 0), Joined::Waits), "there is room again");

    for n in 0..OPEN_MAX {
        let other = Operation { count: n as u64, line: line("other", 8) };
        let member = 1 + (n / OPEN_PER_MEMBER_MAX) as u32;
        join(&mut leader, &other, member, 0);
    }
    assert_eq!(leader.open().count(), OPEN_MAX);
    let Joined::Refused(full) = join(&mut leader, &operation("third", 0), 2, 0) else {
        panic!("one too many")
    };
    assert_eq!(full.limit, OPEN_MAX);

    let open: Vec<Operation> = leader.open().cloned().collect();
    for operation in &open {
        leader.fail(operation, gave_up(0));
    }
    assert_eq!(leader.remembered(), (FAILED_MAX, 0), "of all these the last");
    assert!(leader.is_empty());
}

/// CL-4: what is kept for those whose answer was lost is little, and holds no reference.
#[test]
fn cl4_few_values_are_kept_after_the_end() {
    let mut leader = Leader::default();
    let mut run = |count: u64, each: [u64; 3]| {
        let operation = operation("", count);
        for (member, value) in (0..3).zip(each) {
            join(&mut leader, &operation, member, value);
        }
        leader.kept()
    };
    assert_eq!(run(0, [1, 2, 3]), (1, 6));
    assert_eq!(run(1, [1, KEPT_EACH_BYTES_MAX, 0]), (1, 6), "too large");
    assert_eq!(run(2, [0, 0, u64::MAX]), (1, 6), "with a reference");
    for count in 3..100 {
        let (_, bytes) = run(count, [0, KEPT_EACH_BYTES_MAX, 0]);
        assert!(bytes <= KEPT_BYTES_MAX);
    }
    assert_eq!(run(100, [5, 0, 0]), (16, 15 * KEPT_EACH_BYTES_MAX + 5), "the latest");
    for count in 101..1_000 {
        run(count, [1, 0, 0]);
    }
    assert_eq!(leader.kept(), (WHOLE_MAX, WHOLE_MAX as u64));
    assert_eq!(leader.remembered(), (0, WHOLE_MAX));
}

/// CL-5: by line.
#[test]
fn cl5_each_line_has_a_count_of_its_own() {
    let mut lines = Lines::default();
    let mut begin = |tag: &str| lines.begin(&line(tag, 3)).map(|operation| operation.count);
    assert_eq!([begin("a"), begin("a"), begin("b"), begin("a")], [Ok(0), Ok(1), Ok(0), Ok(2)]);
    for n in 2..LINES_MAX {
        begin(&n.to_string()).expect("there is room");
    }
    assert_eq!(begin("one more").map_err(|full| full.limit), Err(LINES_MAX));
    assert_eq!(begin("a"), Ok(3));
}

/// CL-6: not what is to come.
#[test]
fn cl6_past_is_what_was_begun_and_ended() {
    let mut lines = Lines::default();
    assert_eq!(lines.standing(&operation("", 0)), Standing::ToCome);
    let (first, second) = (lines.begin(&line("", 3)).unwrap(), lines.begin(&line("", 3)).unwrap());
    assert_eq!(lines.standing(&first), Standing::UnderWay);
    lines.end(&second);
    assert_eq!([&first, &second].map(|one| lines.standing(one)), [Standing::UnderWay, Standing::Past]);
    assert_eq!(lines.standing(&operation("", 2)), Standing::ToCome);
}

/// Members that run operations of one line one after the other, a leader, and a network that reorders, repeats after
/// losses, and overtakes.
struct World {
    members: Vec<Member>,
    leader: Leader<(WorkerId, u64)>,
    net: Vec<Packet>,
}

struct Member {
    lines: Lines,
    under_way: Option<Operation>,
    /// How its operations ended, by count.
    ends: BTreeMap<u64, Result<Vec<u64>, ()>>,
}

#[derive(Clone, Debug)]
enum Packet {
    Join(WorkerId, Operation),
    Leave(WorkerId, Operation),
    Answer(WorkerId, Operation, Result<Vec<u64>, ()>),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Index),
    Deliver(Index),
    /// A packet is lost with its link; whoever sent a request sends it again.
    Lose(Index),
    /// A member's program gives up.
    GiveUp(Index),
    /// A member's time is over, at the leader.
    Expire(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => index().prop_map(Step::Begin),
        8 => index().prop_map(Step::Deliver),
        1 => index().prop_map(Step::Lose),
        1 => index().prop_map(Step::GiveUp),
        1 => index().prop_map(Step::Expire),
    ]
}

impl World {
    fn new(members: u32) -> Self {
        let member = || Member { lines: Lines::default(), under_way: None, ends: BTreeMap::new() };
        Self { members: (0..members).map(|_| member()).collect(), leader: Leader::default(), net: Vec::new() }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Begin(who) => {
                let who = who.index(self.members.len());
                let (id, line) = (WorkerId(who as u32), line("", self.members.len() as u32));
                let member = &mut self.members[who];
                if member.under_way.is_none() {
                    let operation = member.lines.begin(&line).expect("one line");
                    member.under_way = Some(operation.clone());
                    self.net.push(Packet::Join(id, operation));
                }
            }
            Step::Deliver(at) if !self.net.is_empty() => {
                let at = at.index(self.net.len());
                let packet = self.net.swap_remove(at);
                self.deliver(packet);
            }
            Step::Lose(at) if !self.net.is_empty() => {
                let at = at.index(self.net.len());
                if let Packet::Answer(to, operation, _) = self.net.swap_remove(at) {
                    self.again(to, operation);
                }
            }
            Step::GiveUp(who) => {
                let who = who.index(self.members.len());
                let Some(operation) = self.members[who].under_way.clone() else { return };
                self.end(who, &operation, Err(()));
                self.net.push(Packet::Leave(WorkerId(who as u32), operation));
            }
            Step::Expire(at) => {
                let open: Vec<Operation> = self.leader.open().cloned().collect();
                if open.is_empty() {
                    return;
                }
                let operation = &open[at.index(open.len())];
                let came = self.leader.anybody(operation).expect("somebody opened it");
                let cause = Cause::TimedOut { member: came, after: Duration::from_secs(1) };
                self.fail(operation, cause);
            }
            _ => {}
        }
    }

    /// The link was lost with its request: it asks again, if it still wants to know.
    fn again(&mut self, who: WorkerId, operation: Operation) {
        if self.members[who.0 as usize].under_way.as_ref() == Some(&operation) {
            self.net.push(Packet::Join(who, operation));
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Join(from, operation) => {
                let (joined, _) = self.leader.join(&operation, from, (from, operation.count));
                match joined {
                    Joined::Waits => {}
                    Joined::Ended(End::Whole(values)) => {
                        for (member, (giver, _)) in values.iter() {
                            assert_eq!(member, giver, "CL-1: each its own");
                        }
                        let counts: Vec<u64> = values.iter().map(|(_, (_, count))| *count).collect();
                        self.tell_all(&operation, &Ok(counts));
                    }
                    Joined::Ended(End::Failed(_)) => unreachable!("coming ends nothing badly"),
                    Joined::Before(Before::Whole(kept)) => {
                        let counts = kept.map(|values| values.iter().map(|(_, (_, count))| *count).collect());
                        self.net.push(Packet::Answer(from, operation, counts.ok_or(())));
                    }
                    Joined::Before(Before::Failed(_)) => {
                        self.net.push(Packet::Answer(from, operation, Err(())))
                    }
                    Joined::Refused(full) => panic!("{full:?}"),
                }
            }
            Packet::Leave(from, operation) => self.fail(&operation, Cause::GaveUp { member: from }),
            Packet::Answer(to, operation, end) => self.end(to.0 as usize, &operation, end),
        }
    }

    fn fail(&mut self, operation: &Operation, cause: Cause) {
        if self.leader.fail(operation, cause).is_some() {
            self.tell_all(operation, &Err(()));
        }
    }

    /// Whoever waits is answered. That somebody has asked twice only repeats it.
    fn tell_all(&mut self, operation: &Operation, end: &Result<Vec<u64>, ()>) {
        for who in &operation.line.members {
            self.net.push(Packet::Answer(*who, operation.clone(), end.clone()));
        }
    }

    fn end(&mut self, who: usize, operation: &Operation, end: Result<Vec<u64>, ()>) {
        let member = &mut self.members[who];
        if member.under_way.as_ref() != Some(operation) {
            return; // an answer that comes too late, or again
        }
        if let Ok(counts) = &end {
            assert_eq!(counts.len(), operation.line.members.len(), "CL-1: of all");
            assert!(counts.iter().all(|count| *count == operation.count), "CL-1: for this one");
        }
        member.under_way = None;
        member.lines.end(operation);
        member.ends.insert(operation.count, end);
    }

    fn any_open(&self) -> Option<Operation> {
        self.leader.open().next().cloned()
    }

    /// Everybody goes on to the count of the one who is furthest, and the network calms down.
    fn finish(&mut self) {
        let furthest = |world: &Self| {
            let counts = world
                .members
                .iter()
                .map(|member| member.ends.len() + usize::from(member.under_way.is_some()));
            counts.max().unwrap_or(0)
        };
        let last = furthest(self);
        loop {
            while let Some(packet) = self.net.pop() {
                self.deliver(packet);
            }
            let behind =
                self.members.iter().position(|member| member.under_way.is_none() && member.ends.len() < last);
            let Some(who) = behind else { break };
            let line = line("", self.members.len() as u32);
            let operation = self.members[who].lines.begin(&line).expect("one line");
            self.members[who].under_way = Some(operation.clone());
            self.net.push(Packet::Join(WorkerId(who as u32), operation));
        }
        // A lost request is found out by the time of those who wait.
        while let Some(operation) = self.any_open() {
            self.fail(&operation, Cause::TimedOut { member: LEADER, after: Duration::ZERO });
            while let Some(packet) = self.net.pop() {
                self.deliver(packet);
            }
        }
    }
}

proptest! {
    /// CL-1, CL-2, CL-4 and CL-5 under any order of arrival, loss and giving up.
    #[test]
    fn cl1_members_get_all_values_of_one_operation_or_an_error(
        members in 1_u32..5,
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(members);
        for step in steps {
            world.apply(step);
        }
        world.finish();
        prop_assert!(world.leader.is_empty(), "CL-4");
        for member in &world.members {
            let counts: Vec<u64> = member.ends.keys().copied().collect();
            prop_assert_eq!(counts, (0..member.ends.len() as u64).collect::<Vec<_>>(), "CL-5");
        }
    }
}

/// CL-5. Without losses and without anybody who gives up, all operations of all members end well.
#[test]
fn cl5_operations_meet_however_far_apart_their_members_are() {
    let mut world = World::new(3);
    for round in 0..20 {
        for who in 0..3 {
            let operation = world.members[who].lines.begin(&line("", 3)).unwrap();
            assert_eq!(operation.count, round);
            world.net.push(Packet::Join(WorkerId(who as u32), operation));
        }
    }
    // The last ones first; each member has twenty under way at a time.
    let mut whole = 0;
    while let Some(packet) = world.net.pop() {
        let Packet::Join(from, operation) = packet else { unreachable!() };
        if let Joined::Ended(End::Whole(values)) =
            world.leader.join(&operation, from, (from, operation.count)).0
        {
            assert!(values.iter().all(|(_, (_, count))| *count == operation.count));
            whole += 1;
        }
    }
    assert_eq!(whole, 20);
}
