//! Deaths at the wrong moment, real and alleged.

use super::group::{ALICE, BOB, CAROL, Group, OWNER};
use crate::proto::*;

#[test]
fn a_handle_whose_sender_dies_before_its_receiver_is_listed_may_find_the_value_gone() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    group.at(OWNER).peer_dead(ALICE);
    assert!(group.is_freed(rref));
    assert!(group.arrive(sent), "bob has not heard of it");
    group.deliver_all();
    assert_eq!(group.events(BOB), [Event::Failed(rref, Why::SenderLost)]);
    group.at(BOB).peer_dead(ALICE);
    group.at(BOB).drop_handle(rref);
    group.assert_idle(&[OWNER, BOB]);
}

#[test]
fn a_handle_whose_sender_dies_is_good_if_somebody_else_keeps_the_value() {
    let mut group = Group::new();
    let rref = group.own();
    group.give(OWNER, rref, ALICE);
    let sent = group.send(ALICE, rref, BOB);
    assert!(group.arrive(sent));
    for id in [OWNER, BOB] {
        group.at(id).peer_dead(ALICE);
    }
    group.deliver(BOB, OWNER);
    group.deliver(OWNER, BOB);
    assert_eq!(group.events(BOB), [Event::Confirmed(rref)]);
    assert_eq!(group.said(BOB, ALICE), [], "nobody waits there");
    group.at(BOB).drop_handle(rref);
    group.at(OWNER).drop_handle(rref);
    group.assert_idle(&[OWNER, BOB]);
}

/// Otherwise the first would spoil all that come after it, for as long as the program keeps it.
#[test]
fn a_handle_that_lost_its_sender_is_good_again_when_another_comes() {
    for by_owner in [false, true] {
        let mut group = Group::new();
        let rref = group.own();
        group.give(OWNER, rref, CAROL);
        // Alice is listed no longer when bob's registration comes, and the value was gone then.
        let id = Registration(0);
        let sent = group.send(CAROL, rref, BOB);
        assert!(group.arrive(sent));
        group.lose(BOB, OWNER);
        group.at(BOB).handle(OWNER, Msg::Gone { rref, id }).unwrap();
        assert_eq!(group.events(BOB), [Event::Failed(rref, Why::SenderLost)]);

        let from = if by_owner { OWNER } else { CAROL };
        let sent = group.send(from, rref, BOB);
        assert!(group.arrive(sent));
        group.deliver_all();
        assert_eq!(group.events(BOB), [Event::Confirmed(rref)]);
        assert_eq!(group.at(OWNER).access(BOB, rref), Access::Yes);
        for id in [OWNER, CAROL, BOB, BOB] {
            group.at(id).drop_handle(rref);
        }
        group.assert_idle(&[OWNER, BOB, CAROL]);
    }
}

/// RC-4
#[test]
fn a_handle_that_lost_its_sender_stays_so_when_another_comes_after_the_owners_death() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let [first, second] = [0, 1].map(|_| group.send(ALICE, rref, BOB));
    group.at(OWNER).peer_dead(ALICE);
    assert!(group.arrive(first));
    group.deliver_all();
    assert_eq!(group.events(BOB), [Event::Failed(rref, Why::SenderLost)]);
    group.at(BOB).peer_dead(OWNER);
    assert!(group.arrive(second));
    assert_eq!(group.at(BOB).failure(rref), Some(Why::SenderLost));
    for _ in 0..2 {
        group.at(BOB).drop_handle(rref);
    }
    group.assert_idle(&[BOB]);
}

#[test]
fn a_creator_that_dies_before_its_request_arrives_leaves_nobody_waiting() {
    let mut group = Group::new();
    let rref = group.ask(ALICE);
    let [to_bob, to_owner] = [BOB, OWNER].map(|to| group.send(ALICE, rref, to));
    assert!(group.arrive(to_bob) && group.arrive(to_owner));
    group.deliver(BOB, OWNER);
    assert_eq!(group.at(OWNER).access(BOB, rref), Access::NotYet);

    for id in [OWNER, BOB] {
        group.at(id).peer_dead(ALICE);
    }
    group.deliver(OWNER, BOB);
    for id in [OWNER, BOB] {
        assert_eq!(group.events(id), [Event::Failed(rref, Why::NotCreated)], "{id}");
        group.at(id).drop_handle(rref);
    }
    assert_eq!(group.at(OWNER).access(BOB, rref), Access::Gone);
    assert!(!group.creation_comes(rref), "the request arrives after all");
    group.assert_idle(&[OWNER, BOB]);
}

#[test]
fn a_creator_that_dies_after_its_request_arrived_takes_nobody_elses_value() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.give(ALICE, rref, BOB);
    for id in [OWNER, BOB] {
        group.at(id).peer_dead(ALICE);
    }
    assert_eq!(group.at(OWNER).access(BOB, rref), Access::Yes);
    assert!(group.at(BOB).is_confirmed(rref));
    group.at(BOB).drop_handle(rref);
    group.deliver(BOB, OWNER);
    assert!(group.is_freed(rref));
}

#[test]
fn an_owner_that_dies_while_a_user_registers_holds_no_sender() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    let sent = group.send(ALICE, rref, BOB);
    assert!(group.arrive(sent));
    group.at(BOB).peer_dead(OWNER);
    assert_eq!(group.said(BOB, ALICE), [Msg::Adopted { transfer: sent.transfer }]);
    group.deliver(BOB, ALICE);
    group.at(ALICE).peer_dead(OWNER);
    for id in [ALICE, BOB] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&[ALICE, BOB]);
}

/// The owner takes alice for dead, and alice does not know.
#[test]
fn a_worker_that_is_wrongly_taken_for_dead_is_not_listened_to() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.at(OWNER).peer_dead(ALICE);
    assert!(group.is_freed(rref));
    let other = group.ask(ALICE);
    assert!(!group.creation_comes(other));
    let sent = group.send(ALICE, rref, OWNER);
    assert!(!group.arrive(sent));
    let to_bob = group.send(ALICE, rref, BOB);
    assert!(group.arrive(to_bob));
    group.deliver_all();
    assert_eq!(group.events(BOB), [Event::Failed(rref, Why::SenderLost)], "a third worker gets an error");
    group.deliver_all();

    group.at(ALICE).peer_dead(OWNER); // it is told
    assert_eq!(group.at(ALICE).failure(rref), Some(Why::OwnerLost));
    group.at(ALICE).drop_handle(rref);
    group.at(ALICE).drop_handle(other);
    group.at(BOB).drop_handle(rref);
    group.assert_idle(&[OWNER, ALICE, BOB]);
}

#[test]
fn a_handle_to_the_dead_holds_nobody() {
    let mut group = Group::new();
    let rref = group.own();
    group.at(OWNER).peer_dead(BOB);
    group.send(OWNER, rref, BOB);
    group.answer(OWNER, rref, BOB, 3);
    group.at(OWNER).drop_handle(rref);
    assert!(group.is_freed(rref));
    group.assert_idle(&[OWNER]);
}

/// RC-4
#[test]
fn a_handle_to_the_owners_own_value_that_is_gone_says_so() {
    let mut group = Group::new();
    let rref = group.create(ALICE);
    group.give(ALICE, rref, BOB);
    let sent = group.send(BOB, rref, CAROL);
    assert!(group.arrive(sent));
    let sent = group.send(CAROL, rref, OWNER);
    group.at(OWNER).peer_dead(ALICE);
    group.at(OWNER).peer_dead(BOB);
    assert!(group.is_freed(rref));
    assert!(group.arrive(sent), "it is a handle, which tells why it is of no use");
    assert_eq!(group.events(OWNER), [Event::Failed(rref, Why::SenderLost)]);
    assert_eq!(group.at(OWNER).access(OWNER, rref), Access::Gone);
    group.deliver_all();
    assert_eq!(group.at(CAROL).failure(rref), Some(Why::SenderLost));
    for id in [OWNER, CAROL] {
        group.at(id).drop_handle(rref);
    }
    group.assert_idle(&[OWNER, CAROL]);
}
