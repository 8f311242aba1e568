//! Frames through a gate, one at a time.

use rpc_core::Body;

use super::super::plan::Answer;
use super::*;

fn gate() -> Gate {
    Gate::new("here".into(), "there".into())
}

fn framed(kind: u8, call: u64) -> Frame {
    Frame { header: Header::control(kind, call), body: Body::default() }
}

fn request(call: u64) -> Frame {
    framed(Kind::CALL.0, call)
}

/// What the engine gets of a frame, and what goes back, as (kind, call).
type Seen = (Option<(u8, u64)>, Option<(u8, u64)>);

fn seen(arrival: Arrival) -> Seen {
    let name = |frame: Frame| Some((frame.header.kind, frame.header.call));
    match arrival {
        Arrival::Deliver(frame) => (name(frame), None),
        Arrival::Answer(frame) => (None, name(frame)),
        Arrival::Nothing => (None, None),
        other => panic!("{other:?}"),
    }
}

const NOTHING: Seen = (None, None);

fn arrives(gate: &mut Gate, frame: Frame, now: Instant, verdict: Verdict) -> Arrival {
    gate.arrives(frame, now, |_| verdict)
}

fn drain(gate: &mut Gate, now: Instant) -> Vec<(u8, u64)> {
    std::iter::from_fn(|| gate.next(now)).map(|frame| (frame.header.kind, frame.header.call)).collect()
}

const LATE: Duration = Duration::from_millis(300);

/// FT-2
#[tokio::test(start_paused = true)]
async fn what_follows_a_late_request_is_late_too() {
    let (mut gate, now) = (gate(), Instant::now());
    assert_eq!(seen(arrives(&mut gate, request(1), now, Verdict::Delay(LATE))), NOTHING);
    assert_eq!(seen(arrives(&mut gate, framed(frame::DEADLINE, 1), now, Verdict::Pass)), NOTHING);
    assert_eq!(seen(arrives(&mut gate, framed(frame::CANCEL, 1), now, Verdict::Pass)), NOTHING);
    let other = seen(arrives(&mut gate, request(2), now, Verdict::Pass));
    assert_eq!(other, (Some((Kind::CALL.0, 2)), None), "others pass");
    assert_eq!((drain(&mut gate, now), gate.next_due()), (vec![], Some(now + LATE)));
    let kinds = [Kind::CALL.0, frame::DEADLINE, frame::CANCEL].map(|kind| (kind, 1));
    assert_eq!(drain(&mut gate, now + LATE), kinds);
}

/// FT-2
#[tokio::test(start_paused = true)]
async fn a_goodbye_passes_nothing_and_delays_nothing() {
    let (mut gate, now) = (gate(), Instant::now());
    arrives(&mut gate, request(1), now, Verdict::Delay(LATE));
    arrives(&mut gate, request(2), now, Verdict::Reorder);
    assert_eq!(seen(arrives(&mut gate, framed(frame::GOODBYE, 0), now, Verdict::Pass)), NOTHING);
    assert_eq!(drain(&mut gate, now), [(Kind::CALL.0, 1), (Kind::CALL.0, 2), (frame::GOODBYE, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_reordered_frame_is_passed_by_one_of_its_direction_or_waits_a_while() {
    let (mut gate, now) = (gate(), Instant::now());
    arrives(&mut gate, request(1), now, Verdict::Reorder);
    arrives(&mut gate, framed(frame::REPLY, 9), now, Verdict::Pass);
    assert_eq!(drain(&mut gate, now), [], "a reply is of the other direction");
    arrives(&mut gate, request(2), now, Verdict::Pass);
    assert_eq!(drain(&mut gate, now), [(Kind::CALL.0, 1)]);
    arrives(&mut gate, request(3), now, Verdict::Reorder);
    assert_eq!(gate.next_due(), Some(now + REORDER_MAX));
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_answered_when_its_caller_gives_up() {
    let (mut gate, now) = (gate(), Instant::now());
    assert_eq!(seen(arrives(&mut gate, request(1), now, Verdict::Drop)), NOTHING);
    assert_eq!(seen(arrives(&mut gate, framed(frame::DEADLINE, 1), now, Verdict::Pass)), NOTHING);
    let cancelled = seen(arrives(&mut gate, framed(frame::CANCEL, 1), now, Verdict::Pass));
    assert_eq!(cancelled, (None, Some((frame::REPLY, 1))));
    let again = seen(arrives(&mut gate, framed(frame::CANCEL, 1), now, Verdict::Pass));
    assert_eq!(again, (Some((frame::CANCEL, 1)), None), "once");
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn a_failed_request_is_answered_at_once() {
    let (mut gate, now) = (gate(), Instant::now());
    let answer = Answer(Response::failed(Outcome::Overloaded, &["a bound", "1"]));
    let Arrival::Answer(frame) = arrives(&mut gate, request(1), now, Verdict::Fail(answer)) else {
        panic!("no answer");
    };
    assert_eq!((frame.header.kind, frame.header.call), (frame::REPLY, 1));
    assert_eq!(frame.header.method, Outcome::Overloaded as u64);
    assert_eq!(frame.header.payload_bytes as usize, frame.body.payload.len());
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn a_dropped_reply_is_delivered_when_its_caller_has_given_up() {
    let (mut gate, now) = (gate(), Instant::now());
    assert!(gate.leaves(request(1), now).is_some());
    assert_eq!(seen(arrives(&mut gate, framed(frame::REPLY, 1), now, Verdict::Drop)), NOTHING);
    assert_eq!(drain(&mut gate, now + LATE), []);
    assert!(gate.leaves(framed(frame::CANCEL, 1), now).is_some(), "the callee hears of it");
    assert_eq!(drain(&mut gate, now), [(frame::REPLY, 1)]);
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn a_dropped_reply_to_one_who_has_given_up_before_is_delivered() {
    let (mut gate, now) = (gate(), Instant::now());
    gate.leaves(request(1), now);
    gate.leaves(framed(frame::CANCEL, 1), now);
    let late = seen(arrives(&mut gate, framed(frame::REPLY, 1), now, Verdict::Drop));
    assert_eq!(late, (Some((frame::REPLY, 1)), None));
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn a_request_that_is_served_twice_is_answered_once() {
    let (mut gate, now) = (gate(), Instant::now());
    arrives(&mut gate, request(1), now, Verdict::Duplicate);
    assert!(gate.leaves(framed(frame::REPLY, 1), now).is_none());
    assert_eq!(drain(&mut gate, now), [(Kind::CALL.0, 1)], "again");
    assert!(gate.leaves(framed(frame::REPLY, 1), now).is_some());
    assert_eq!(drain(&mut gate, now), []);
}

/// FT-3
#[tokio::test(start_paused = true)]
async fn one_that_nobody_waits_for_or_with_references_is_not_served_again() {
    let (mut gate, now) = (gate(), Instant::now());
    arrives(&mut gate, request(1), now, Verdict::Duplicate);
    let mut cancelled = framed(frame::REPLY, 1);
    cancelled.header.method = Outcome::Cancelled as u64;
    assert!(gate.leaves(cancelled, now).is_some());
    arrives(&mut gate, request(2), now, Verdict::Duplicate);
    let mut references = framed(frame::REPLY, 2);
    references.header.codec = aside::FLAG;
    assert!(gate.leaves(references, now).is_some());
    assert_eq!(drain(&mut gate, now), []);
}

/// FT-4
#[tokio::test(start_paused = true)]
async fn a_gate_that_is_full_says_so_until_something_has_gone() {
    let (mut gate, now) = (gate(), Instant::now());
    for call in 1..=HELD_MAX as u64 {
        assert!(!gate.is_full());
        arrives(&mut gate, request(call), now, Verdict::Delay(LATE));
    }
    assert!(gate.is_full());
    assert!(gate.next(now + LATE).is_some());
    assert!(!gate.is_full());
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_judged_by_what_was_asked() {
    let (mut gate, now) = (gate(), Instant::now());
    let mut asking = request(1);
    asking.header.method = 77;
    gate.leaves(asking, now);
    gate.arrives(framed(frame::REPLY, 1), now, |passing| {
        assert_eq!((passing.from, passing.to, passing.method), ("there", "here", 77));
        assert_eq!((passing.message, passing.is_reply), (Message::Call, true));
        Verdict::Pass
    });
    let unasked = gate.arrives(framed(frame::REPLY, 2), now, |_| panic!("nobody has asked"));
    assert_eq!(seen(unasked), (Some((frame::REPLY, 2)), None));
}
