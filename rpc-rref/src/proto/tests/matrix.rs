//! The cases that a counting protocol has to get right, each by hand: what is delayed, lost, repeated, or dies.

use super::group::{ALICE, BOB, CAROL, Group, OWNER};
use crate::proto::stream::{Accepted, Inbound, Outbound};
use crate::proto::*;

const ALL: [WorkerId; 4] = [OWNER, ALICE, BOB, CAROL];

/// RC-2
#[test]
fn t1_a_parent_that_drops_its_handle_at_once_releases_only_when_its_child_is_adopted() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    group.at(ALICE).drop_handle(rref);
    assert_eq!(group.said(ALICE, OWNER), []);

    assert!(group.arrive(sent));
    group.deliver(BOB, OWNER);
    assert_eq!(group.said(ALICE, OWNER), [], "the child is listed, but the parent does not know");
    group.deliver(OWNER, BOB);
    assert_eq!(group.said(BOB, ALICE), [Msg::Adopted { transfer: sent.transfer }]);
    group.deliver(BOB, ALICE);
    assert_eq!(group.said(ALICE, OWNER), [Msg::Release { rref }]);
    group.deliver_all();
    assert!(!group.is_freed(rref));
    assert_eq!(group.at(OWNER).access(BOB, rref), Access::Yes);

    group.at(BOB).drop_handle(rref);
    group.assert_idle(&ALL);
    assert!(group.is_freed(rref));
}

#[test]
fn t2_a_registration_that_comes_twice_is_taken_once() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    assert!(group.arrive(sent));

    let (mut out, mut inbound) = (Outbound::new(), Inbound::new(BOB));
    group.said(BOB, OWNER).into_iter().for_each(|msg| out.push(msg));
    let mut taken = 0;
    for expected in [Accepted::Fresh, Accepted::Repeat] {
        let (seq, batch) = out.poll_batch(100).unwrap();
        assert_eq!(inbound.accept(seq), Ok(expected));
        if expected == Accepted::Fresh {
            for msg in batch {
                group.at(OWNER).handle(BOB, *msg).unwrap();
                taken += 1;
            }
        }
        out.failed(seq); // the answer is lost
    }
    assert_eq!(taken, 1);
    group.lose(BOB, OWNER); // they came through the stream
    assert_eq!(group.said(OWNER, BOB).len(), 1);
    group.deliver(OWNER, BOB);
    assert_eq!(group.events(BOB), [Event::Confirmed(rref)]);
    assert_eq!(group.said(BOB, ALICE).len(), 1);

    let msg = Msg::Register { rref, id: Registration(7) };
    let violation = Violation::RegisteredTwice { from: BOB, rref };
    assert_eq!(group.at(OWNER).handle(BOB, msg), Err(violation), "without the stream it is noticed");
}

#[test]
fn t3_a_late_handle_after_the_release_resurrects_nothing() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    assert!(group.arrive(sent));
    group.at(BOB).drop_handle(rref);
    group.at(ALICE).drop_handle(rref);
    group.assert_idle(&ALL);
    assert!(group.is_freed(rref));

    assert!(!group.arrive(sent), "it came before");
    assert_eq!(group.said(BOB, OWNER), []);
    group.assert_idle(&ALL);
}

#[test]
fn t3_a_late_registration_after_the_release_resurrects_nothing() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.give(ALICE, rref, BOB);
    for id in [ALICE, BOB] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&ALL);

    let id = Registration(0);
    group.at(OWNER).handle(BOB, Msg::Register { rref, id }).unwrap();
    assert_eq!(group.said(OWNER, BOB), [Msg::Gone { rref, id }]);
    group.assert_idle(&ALL);
}

#[test]
fn t4_a_release_counts_once() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.give(ALICE, rref, BOB);
    group.at(BOB).drop_handle(rref);
    assert_eq!(group.said(BOB, OWNER), [Msg::Release { rref }]);
    group.deliver(BOB, OWNER);
    assert!(!group.is_freed(rref), "alice has it");

    let again = group.at(OWNER).handle(BOB, Msg::Release { rref });
    assert_eq!(again, Err(Violation::NotAUser { from: BOB, rref }));
    assert!(!group.is_freed(rref));
    group.at(ALICE).drop_handle(rref);
    group.assert_idle(&ALL);
    assert!(group.is_freed(rref));
}

#[test]
fn t5_an_adoption_counts_once_and_none_of_the_dead_does() {
    let mut group = Group::new();
    let rref = group.own();
    let sent = group.send(OWNER, rref, BOB);
    let second = group.send(OWNER, rref, CAROL);
    assert!(group.arrive(sent));
    group.at(OWNER).drop_handle(rref);
    group.deliver(BOB, OWNER);

    let again = Msg::Adopted { transfer: sent.transfer };
    let violation = Violation::NotSent { from: BOB, transfer: sent.transfer };
    assert_eq!(group.at(OWNER).handle(BOB, again), Err(violation));
    group.at(OWNER).peer_dead(BOB);
    assert_eq!(group.at(OWNER).handle(BOB, again), Ok(()));
    assert!(!group.is_freed(rref), "the other handle is on its way");

    assert!(group.arrive(second));
    group.at(CAROL).drop_handle(rref);
    group.deliver(CAROL, OWNER);
    assert!(group.is_freed(rref));
}

#[test]
fn t7_a_creation_that_comes_twice_runs_once() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    assert!(group.creation_comes(rref));
    assert!(!group.creation_comes(rref));
    group.at(ALICE).created(rref);
    group.at(ALICE).drop_handle(rref);
    group.deliver_all();
    assert!(group.is_freed(rref));
    assert!(!group.creation_comes(rref), "not after it was freed either");
    group.assert_idle(&ALL);
}

#[test]
fn t8_a_creation_that_is_lost_fails_for_everybody_every_time() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    let [early, late] = [0, 1].map(|_| group.send(ALICE, rref, BOB));
    let to_owner = group.send(ALICE, rref, OWNER);
    assert!(group.arrive(early) && group.arrive(to_owner));
    let from_bob = group.send(BOB, rref, CAROL);
    group.deliver_all();

    group.at(ALICE).creation_failed(rref);
    group.deliver_all();
    assert!(group.arrive(late) && group.arrive(from_bob));
    group.deliver_all();
    for id in ALL {
        assert_eq!(group.at(id).failure(rref), Some(Why::NotCreated), "{id}");
        assert!(!group.at(id).is_confirmed(rref));
        assert_eq!(group.events(id), [Event::Failed(rref, Why::NotCreated)], "never confirmed: {id}");
        let refused = Err(ShareError::Useless(Why::NotCreated));
        assert_eq!(group.at(id).share(rref, CAROL, None), refused, "each time");
        assert_eq!(group.at(OWNER).access(id, rref), Access::Gone);
    }

    for id in [ALICE, BOB, BOB, CAROL, OWNER] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&ALL);
    assert!(!group.creation_comes(rref));
}

/// The owner passed the handle on while it expected the value, so its receiver was confirmed at once.
#[test]
fn t8_who_has_the_handle_from_the_owner_learns_that_the_creation_is_lost() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    let sent = group.send(ALICE, rref, OWNER);
    assert!(group.arrive(sent));
    let sent = group.send(OWNER, rref, BOB);
    assert!(group.arrive(sent));
    group.deliver_all();
    group.at(ALICE).creation_failed(rref);
    group.deliver_all();
    assert_eq!(group.at(BOB).failure(rref), Some(Why::NotCreated));
    for id in [ALICE, BOB, OWNER] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&ALL);
}

#[test]
fn t9_a_creation_that_is_overtaken_by_its_abort_does_not_run() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    group.at(ALICE).creation_failed(rref);
    group.at(ALICE).drop_handle(rref);
    assert_eq!(group.said(ALICE, OWNER), [Msg::Abort { rref }, Msg::Release { rref }]);
    group.deliver_all();
    assert!(!group.creation_comes(rref));
    group.assert_idle(&ALL);
}

#[test]
fn t9_a_creation_that_ran_although_its_creator_gave_up_is_freed() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    group.at(ALICE).creation_failed(rref);
    assert!(group.creation_comes(rref));
    group.at(ALICE).created(rref); // the answer, too late
    assert_eq!(group.at(ALICE).failure(rref), Some(Why::NotCreated));
    group.deliver_all();
    assert!(!group.is_freed(rref), "a handle is on its way");

    assert!(group.arrive(sent));
    group.deliver_all();
    assert!(group.at(BOB).is_confirmed(rref), "the value is there");
    assert_eq!(group.at(OWNER).access(ALICE, rref), Access::NotYet, "its creator has released it");
    group.at(BOB).drop_handle(rref);
    group.deliver_all();
    assert!(group.is_freed(rref));
    group.at(ALICE).drop_handle(rref);
    group.assert_idle(&ALL);
}

#[test]
fn t10_who_waits_for_its_registration_waits_no_longer_when_the_owner_sends_a_handle() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let to_owner = group.send(ALICE, rref, OWNER);
    assert!(group.arrive(to_owner));
    let [from_alice, from_owner] = [ALICE, OWNER].map(|from| group.send(from, rref, BOB));
    assert!(group.arrive(from_alice));
    assert!(!group.at(BOB).is_confirmed(rref), "a function that takes it has to wait");
    assert!(group.arrive(from_owner));
    assert_eq!(group.events(BOB), [Event::Confirmed(rref)]);
    assert_eq!(group.said(BOB, ALICE), [Msg::Adopted { transfer: from_alice.transfer }]);
    group.deliver_all();
    assert_eq!(group.events(BOB), [], "the answer to the registration says nothing new");
    for id in [ALICE, OWNER, BOB, BOB] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&ALL);
}

#[test]
fn t11_a_handle_of_the_owners_whose_message_is_lost_is_taken_back() {
    let mut group = Group::new();
    let rref = group.own();
    let sent = group.send(OWNER, rref, BOB);
    group.at(OWNER).drop_handle(rref);
    group.at(OWNER).transfer_lost(BOB, sent.transfer);
    assert!(!group.is_freed(rref), "it may arrive yet");
    group.deliver(OWNER, BOB);
    group.deliver(BOB, OWNER);
    assert!(group.is_freed(rref));
    assert!(!group.arrive(sent), "it is too late");
    group.assert_idle(&ALL);
}

#[test]
fn t11_a_handle_that_arrived_is_not_taken_back() {
    let mut group = Group::new();
    let rref = group.own();
    let sent = group.send(OWNER, rref, BOB);
    assert!(group.arrive(sent));
    group.at(OWNER).transfer_lost(BOB, sent.transfer);
    group.at(OWNER).drop_handle(rref);
    group.deliver_all();
    assert!(!group.is_freed(rref));
    assert_eq!(group.at(OWNER).access(BOB, rref), Access::Yes);
}

#[test]
fn t12_a_handle_to_the_owner_whose_message_is_lost_holds_its_sender_no_longer() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, OWNER);
    group.at(ALICE).drop_handle(rref);
    group.at(ALICE).transfer_lost(OWNER, sent.transfer);
    group.assert_idle(&ALL);
    assert!(group.is_freed(rref));
    assert!(!group.arrive(sent));
    group.assert_idle(&ALL);
}

#[test]
fn t13_what_a_dead_user_held_is_let_go() {
    let mut group = Group::new();
    let rref = group.own();
    group.give(OWNER, rref, BOB);
    let sent = group.send(OWNER, rref, BOB);
    group.at(OWNER).drop_handle(rref);
    group.at(OWNER).peer_dead(BOB);
    assert!(group.is_freed(rref), "its place in the list, and the handle on its way to it");
    assert!(group.at(OWNER).is_idle());
    let late = group.at(OWNER).handle(BOB, Msg::Adopted { transfer: sent.transfer });
    assert_eq!(late, Ok(()));
}

/// RC-4
#[test]
fn t14_handles_of_a_dead_owner_fail_at_once_and_drop_without_a_word() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.give(ALICE, rref, BOB);
    let creating = group.ask(ALICE);
    let sent = group.send(ALICE, rref, CAROL);
    assert!(group.arrive(sent), "it registers, and the owner dies");
    for id in [ALICE, BOB, CAROL] {
        group.at(id).peer_dead(OWNER);
        assert_eq!(group.at(id).failure(rref), Some(Why::OwnerLost), "{id}");
        group.lose(id, OWNER);
    }
    assert_eq!(group.at(ALICE).failure(creating), Some(Why::OwnerLost));
    assert_eq!(group.events(CAROL), [Event::Failed(rref, Why::OwnerLost)]);

    group.at(ALICE).drop_handle(creating);
    for id in [ALICE, BOB, CAROL] {
        group.at(id).drop_handle(rref);
        assert_eq!(group.said(id, OWNER), []);
    }
    group.assert_idle(&[ALICE, BOB, CAROL]);
}

#[test]
fn t14_what_is_asked_of_a_dead_owner_or_comes_from_others_fails_at_once() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    group.at(BOB).peer_dead(OWNER);
    assert!(group.arrive(sent), "it is a handle, which tells why it is of no use");
    assert_eq!(group.events(BOB), [Event::Failed(rref, Why::OwnerLost)]);
    let created = group.ask(BOB);
    assert_eq!(group.events(BOB), [Event::Failed(created, Why::OwnerLost)]);
    group.deliver(BOB, ALICE);
    for rref in [rref, created] {
        assert_eq!(group.at(BOB).failure(rref), Some(Why::OwnerLost));
        group.at(BOB).drop_handle(rref);
    }
    group.assert_idle(&[BOB]);
}
