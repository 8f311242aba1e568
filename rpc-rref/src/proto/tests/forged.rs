//! Ids and numbers that no program of this kind sends: none panics, and what they cost is bounded.

use super::group::{ALICE, BOB, CAROL, Group, OWNER};
use crate::proto::*;

const OUTSIDE: WorkerId = WorkerId(4);

fn rref(owner: WorkerId, creator: WorkerId, number: u64) -> RRefId {
    RRefId { owner, creator, number }
}

#[test]
fn workers_outside_of_the_group_are_violations() {
    let mut group = Group::new();
    let owner = group.at(OWNER);
    let id = Registration(0);
    let violation = |from, id| Violation::OutsideGroup { from, id };
    for rref in [rref(OUTSIDE, BOB, 0), rref(BOB, OUTSIDE, 0), rref(OWNER, OUTSIDE, 0)] {
        assert_eq!(owner.receive(BOB, rref, Transfer(0)), Err(violation(BOB, OUTSIDE)));
    }
    let register = Msg::Register { rref: rref(OWNER, OUTSIDE, 0), id };
    assert_eq!(owner.handle(BOB, register), Err(violation(BOB, OUTSIDE)));
    let release = Msg::Release { rref: rref(OWNER, ALICE, 0) };
    assert_eq!(owner.handle(OUTSIDE, release), Err(violation(OUTSIDE, OUTSIDE)));
    assert_eq!(owner.handle_create(OUTSIDE, rref(OWNER, OUTSIDE, 0)), Err(violation(OUTSIDE, OUTSIDE)));
    assert_eq!(owner.access(OUTSIDE, rref(OWNER, ALICE, 0)), Access::Gone);
    assert_eq!(owner.access(ALICE, rref(OWNER, OUTSIDE, 0)), Access::Gone);
    assert!(owner.is_idle());
}

#[test]
fn nobody_speaks_for_another() {
    let mut group = Group::new();
    let value = group.create(ALICE);
    let owner = group.at(OWNER);
    let not_owner = Violation::NotOwner { from: BOB, rref: rref(ALICE, BOB, 0) };
    assert_eq!(owner.handle(BOB, Msg::Release { rref: rref(ALICE, BOB, 0) }), Err(not_owner));
    assert_eq!(owner.handle_create(BOB, rref(ALICE, BOB, 0)), Err(not_owner));
    let not_creator = Violation::NotCreator { from: BOB, rref: value };
    assert_eq!(owner.handle(BOB, Msg::Abort { rref: value }), Err(not_creator));
    assert_eq!(owner.handle_create(BOB, value), Err(not_creator));
    let not_a_user = Violation::NotAUser { from: ALICE, rref: value };
    owner.handle(ALICE, Msg::Release { rref: value }).unwrap();
    assert_eq!(owner.handle(ALICE, Msg::Abort { rref: value }), Err(not_a_user), "it has released it");

    let alice = group.at(ALICE);
    let id = Registration(0);
    for msg in [
        Msg::Registered { rref: value, id },
        Msg::NotCreated { rref: value, id },
        Msg::Gone { rref: value, id },
    ] {
        assert_eq!(alice.handle(BOB, msg), Err(Violation::SpokeForOwner { from: BOB, rref: value }));
    }
    let not_asked = |from, rref| Err(Violation::NotAsked { from, rref });
    assert_eq!(alice.handle(BOB, Msg::Aborted { rref: value }), not_asked(BOB, value));
    let next = rref(OWNER, ALICE, 1);
    assert_eq!(alice.handle(OWNER, Msg::Aborted { rref: next }), not_asked(OWNER, next));
}

/// They would be confused with the value that gets the number.
#[test]
fn handles_to_values_that_this_worker_will_ask_for_are_not_taken() {
    let mut group = Group::new();
    let (at_owner, at_alice) = (rref(OWNER, OWNER, 0), rref(OWNER, ALICE, 0));
    assert_eq!(group.at(OWNER).receive(BOB, at_owner, Transfer(0)), Ok(false));
    assert_eq!(group.at(ALICE).receive(BOB, at_alice, Transfer(0)), Ok(false));
    for id in [OWNER, ALICE] {
        assert_eq!(group.said(id, BOB), [Msg::Adopted { transfer: Transfer(0) }]);
        group.lose(id, BOB);
    }
    let id = Registration(0);
    group.at(OWNER).handle(BOB, Msg::Register { rref: at_owner, id }).unwrap();
    assert_eq!(group.said(OWNER, BOB), [Msg::Gone { rref: at_owner, id }]);
    group.lose(OWNER, BOB);

    assert_eq!(group.own(), at_owner);
    assert_eq!(group.create(ALICE), at_alice);
    group.at(OWNER).drop_handle(at_owner);
    group.at(ALICE).drop_handle(at_alice);
    group.assert_idle(&[OWNER, ALICE]);
}

#[test]
fn numbers_far_ahead_are_violations() {
    let mut group = Group::new();
    let owner = group.at(OWNER);
    owner.limits.window = 100;
    let too_far = |from, number| Violation::TooFarAhead { from, number };
    let value = rref(BOB, BOB, 0);
    for number in [100, u64::MAX] {
        assert_eq!(owner.receive(BOB, value, Transfer(number)), Err(too_far(BOB, number)));
        let revoke = Msg::Revoke { transfer: Transfer(number) };
        assert_eq!(owner.handle(BOB, revoke), Err(too_far(BOB, number)));
        let created = rref(OWNER, ALICE, number);
        assert_eq!(owner.handle_create(ALICE, created), Err(too_far(ALICE, number)));
        assert_eq!(owner.handle(ALICE, Msg::Abort { rref: created }), Err(too_far(ALICE, number)));
        assert_eq!(owner.access(BOB, created), Access::Gone, "it cannot be on its way");
    }
    assert!(owner.is_idle());
    assert_eq!(owner.receive(BOB, value, Transfer(99)), Ok(true));
    assert_eq!(owner.handle_create(ALICE, rref(OWNER, ALICE, 99)), Ok(true));
}

/// So a worker that keeps to the protocol never breaks the rule above.
#[test]
fn a_sender_is_told_before_its_numbers_are_too_far_ahead() {
    let mut group = Group::new();
    for id in [OWNER, ALICE, BOB] {
        group.at(id).limits.window = 10;
    }
    let value = group.create(ALICE);
    let sent: Vec<_> = (0..10).map(|_| group.send(ALICE, value, BOB)).collect();
    assert_eq!(group.at(ALICE).share(value, BOB, None), Err(ShareError::Full(Full)));
    assert!(group.at(ALICE).share(value, CAROL, None).is_ok(), "another worker");
    for sent in sent.into_iter().rev() {
        assert!(group.arrive(sent));
    }
    group.deliver_all();
    assert!(group.at(ALICE).share(value, BOB, None).is_ok());

    let asked: Vec<RRefId> = (1..=10).map(|_| group.ask(ALICE)).collect();
    assert_eq!(group.at(ALICE).create(OWNER, ()), Err(Full));
    group.at(ALICE).created(asked[1]);
    assert_eq!(group.at(ALICE).create(OWNER, ()), Err(Full), "the oldest has not ended");
    group.at(ALICE).creation_failed(asked[0]);
    assert_eq!(group.at(ALICE).create(OWNER, ()), Err(Full), "the owner does not know");
    group.deliver_all();
    assert!(group.at(ALICE).create(OWNER, ()).is_ok());
}

#[test]
fn a_user_waits_for_a_bounded_number_of_creations() {
    let mut group = Group::new();
    let owner = group.at(OWNER);
    owner.limits.parked = 3;
    for number in 0..5 {
        let register = Msg::Register { rref: rref(OWNER, ALICE, number), id: Registration(number) };
        owner.handle(BOB, register).unwrap();
    }
    let register = Msg::Register { rref: rref(OWNER, ALICE, 0), id: Registration(9) };
    let twice = Violation::RegisteredTwice { from: BOB, rref: rref(OWNER, ALICE, 0) };
    assert_eq!(owner.handle(BOB, register), Err(twice));
    let gone = |number| Msg::Gone { rref: rref(OWNER, ALICE, number), id: Registration(number) };
    assert_eq!(group.said(OWNER, BOB), [gone(3), gone(4)]);

    assert!(group.creation_comes(rref(OWNER, ALICE, 0)));
    let register = Msg::Register { rref: rref(OWNER, ALICE, 7), id: Registration(7) };
    group.at(OWNER).handle(BOB, register).unwrap();
    assert_eq!(group.said(OWNER, BOB).len(), 3, "it has room again, and waits");
    for id in [BOB, ALICE] {
        group.at(OWNER).peer_dead(id);
    }
    assert!(group.at(OWNER).is_idle());
}

/// A handle that was made up costs what a handle costs, for as long as the program has it.
#[test]
fn a_handle_to_a_value_that_nobody_asked_for_leaves_nothing_behind() {
    let mut group = Group::new();
    let owner = group.at(OWNER);
    for number in 0..100 {
        assert_eq!(owner.receive(BOB, rref(OWNER, ALICE, number), Transfer(number)), Ok(true));
        assert!(!owner.is_confirmed(rref(OWNER, ALICE, number)));
    }
    assert_eq!(owner.iter_owned().count(), 100);
    for number in 0..100 {
        owner.drop_handle(rref(OWNER, ALICE, number));
    }
    assert!(owner.is_idle());
}

#[test]
fn asking_for_access_makes_no_entry() {
    let mut group = Group::new();
    let owner = group.at(OWNER);
    assert_eq!(owner.access(BOB, rref(OWNER, ALICE, 0)), Access::NotYet);
    assert_eq!(owner.access(BOB, rref(ALICE, ALICE, 0)), Access::Gone, "this worker does not own it");
    assert!(owner.is_idle());
    let value = group.own();
    let owner = group.at(OWNER);
    assert_eq!(owner.access(OWNER, value), Access::Yes);
    assert_eq!(owner.access(BOB, value), Access::NotYet, "its registration may be on its way");
    let sent = group.send(OWNER, value, BOB);
    let owner = group.at(OWNER);
    owner.drop_handle(value);
    assert_eq!(owner.access(OWNER, value), Access::Yes, "a handle is on its way");
    assert!(group.arrive(sent));
    group.deliver_all();
    assert_eq!(group.at(OWNER).access(BOB, value), Access::Yes);
    assert_eq!(group.at(OWNER).access(OWNER, value), Access::NotYet);
}
