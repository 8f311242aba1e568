//! The machines alone; as one world with members and a network in the modules below.

mod every_order;
mod storm;
mod world;

use std::sync::Arc;
use std::time::Duration;

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

/// CL-5. Without losses and without anybody who gives up, all operations of all members end well.
#[test]
fn cl5_operations_meet_however_far_apart_their_members_are() {
    let (mut leader, mut lines) = (Leader::default(), [0; 3].map(|_| Lines::default()));
    let mut joins = Vec::new();
    for round in 0..20 {
        for (who, lines) in lines.iter_mut().enumerate() {
            let operation = lines.begin(&line("", 3)).unwrap();
            assert_eq!(operation.count, round);
            joins.push((who as u32, operation));
        }
    }
    // The last ones first; each member has twenty under way at a time.
    let mut whole = 0;
    while let Some((from, operation)) = joins.pop() {
        if let Joined::Ended(End::Whole(values)) = join(&mut leader, &operation, from, operation.count) {
            assert!(values.iter().all(|(_, count)| *count == operation.count));
            whole += 1;
        }
    }
    assert_eq!(whole, 20);
}
