//! Handles in answers: only the link that the request came on tells what became of one.

use super::group::{ALICE, BOB, Group, OWNER};
use crate::proto::*;

#[test]
fn an_answer_on_a_link_that_goes_down_is_taken_back() {
    let mut group = Group::new();
    let rref = group.own();
    let [first, second] = [1, 2].map(|link| group.answer(OWNER, rref, BOB, link));
    group.at(OWNER).drop_handle(rref);
    group.at(OWNER).link_down(BOB, 1);
    group.at(OWNER).link_down(BOB, 1);
    assert_eq!(group.said(OWNER, BOB), [Msg::Revoke { transfer: first.transfer }], "once, and not the other");
    group.deliver_all();
    assert!(!group.is_freed(rref));
    assert!(!group.arrive(first));
    assert!(group.arrive(second));
    group.at(BOB).drop_handle(rref);
    group.assert_idle(&[OWNER, BOB]);
    assert!(group.is_freed(rref));
}

#[test]
fn an_answer_on_a_link_that_is_already_down_is_taken_back_at_once() {
    let mut group = Group::new();
    let rref = group.own();
    group.at(OWNER).link_down(BOB, 5);
    group.at(OWNER).link_down(BOB, 3); // heard of late
    let sent = group.answer(OWNER, rref, BOB, 4);
    assert_eq!(group.said(OWNER, BOB), [Msg::Revoke { transfer: sent.transfer }]);
    group.answer(OWNER, rref, BOB, 6);
    assert_eq!(group.said(OWNER, BOB).len(), 1, "that link is up");
    group.answer(OWNER, rref, ALICE, 4);
    assert_eq!(group.said(OWNER, ALICE), [], "and so are the links with others");
}

#[test]
fn an_answer_that_came_before_its_link_went_down_keeps_its_handle() {
    let mut group = Group::new();
    let rref = group.own();
    let sent = group.answer(OWNER, rref, BOB, 1);
    assert!(group.arrive(sent));
    group.at(OWNER).link_down(BOB, 1);
    group.at(OWNER).drop_handle(rref);
    group.deliver_all();
    assert!(!group.is_freed(rref));
    group.at(BOB).drop_handle(rref);
    group.assert_idle(&[OWNER, BOB]);
}

/// The caller gave up. Its driver takes the handles all the same, and drops them.
#[test]
fn an_answer_to_a_call_that_was_given_up_holds_nobody() {
    let mut group = Group::new();
    let rref = group.own();
    let sent = group.answer(OWNER, rref, BOB, 1);
    group.at(OWNER).drop_handle(rref);
    assert!(group.arrive(sent));
    group.at(BOB).drop_handle(rref);
    group.assert_idle(&[OWNER, BOB]);
    assert!(group.is_freed(rref));
    group.at(OWNER).link_down(BOB, 1);
    assert_eq!(group.said(OWNER, BOB), [], "it was adopted");
}
