//! Orders in which a reply, its response and its watch may come.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::aside;
use crate::error::ReferenceError;
use crate::function::BoxFuture;
use crate::message::{Body, Outcome};

fn ok() -> ReplyResult {
    Ok(Response { outcome: Outcome::Ok, codec: 1, body: Body::default() })
}

#[test]
fn a_thread_waits_until_another_completes() {
    let (promise, mut reply) = Promise::new();
    let waiter = std::thread::spawn(move || reply.wait_timeout(None));
    promise.complete(ok());
    assert!(waiter.join().unwrap().unwrap().is_ok());
}

#[test]
fn waiting_ends_at_its_time_and_can_go_on() {
    let (promise, mut reply) = Promise::new();
    assert!(reply.wait_timeout(Some(Duration::from_millis(1))).is_none());
    promise.complete(ok());
    assert!(reply.wait_timeout(Some(Duration::ZERO)).unwrap().is_ok());
}

#[test]
fn a_dropped_promise_is_an_error_not_a_hang() {
    let (promise, mut reply) = Promise::new();
    drop(promise);
    assert!(matches!(reply.wait_timeout(None), Some(Err(Failure::LinkLost { .. }))));
}

#[test]
fn the_first_completion_stays() {
    let (promise, mut reply) = Promise::new();
    reply.cancel();
    assert!(promise.is_closed());
    promise.complete(ok());
    assert!(matches!(reply.wait_timeout(None), Some(Err(Failure::Cancelled { .. }))));
}

/// A desk whose handles are the bytes of the aside; it notes what it hears.
#[derive(Default)]
struct Desk {
    received: Mutex<Vec<(WorkerId, Vec<u8>, &'static str)>>,
    /// Handles that were received and not dropped.
    held: Arc<AtomicUsize>,
    /// What to do while receiving.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    panics: bool,
}

struct Handle(Arc<AtomicUsize>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl HandleDesk for Desk {
    fn send(
        &self,
        _: WorkerId,
        _: Option<u32>,
        _: Vec<AnyHandle>,
    ) -> Result<(Vec<u8>, Box<dyn SentHandles>), ReferenceError> {
        Err(ReferenceError::NoRegistry)
    }

    fn receive(
        &self,
        from: WorkerId,
        aside: &[u8],
        place: &'static str,
    ) -> Result<Vec<AnyHandle>, CodecError> {
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        assert!(!self.panics, "as it was told");
        self.received.lock().push((from, aside.to_vec(), place));
        let handles = aside.iter().map(|_| {
            self.held.fetch_add(1, Ordering::SeqCst);
            Arc::new(Handle(Arc::clone(&self.held))) as AnyHandle
        });
        Ok(handles.collect())
    }

    fn confirmed(&self, _: &[AnyHandle]) -> Option<BoxFuture<'static, Result<(), ReferenceError>>> {
        None
    }
}

/// Notes why handles were lost.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Failure>>>);

impl SentHandles for Sent {
    fn lost(self: Box<Self>, why: &Failure) {
        self.0.lock().push(why.clone());
    }
}

/// A call with its desk and what left with it.
struct Call {
    promise: Option<Promise>,
    reply: Reply,
    desk: Arc<Desk>,
    sent: Sent,
}

impl Call {
    fn new() -> Self {
        let (promise, reply) = Promise::new();
        Self { promise: Some(promise), reply, desk: Arc::default(), sent: Sent::default() }
    }

    fn watch(&self) {
        let desk = Arc::clone(&self.desk) as Arc<dyn HandleDesk>;
        self.reply.watch(desk, WorkerId(3), "f", Some(Box::new(self.sent.clone())));
    }

    fn respond(&mut self, outcome: Outcome) {
        let mut payload = b"value".to_vec();
        let codec = aside::append(1, &mut payload, b"xy").unwrap();
        let response = Response { outcome, codec, body: Body::new(payload) };
        self.promise.take().unwrap().complete(Ok(response));
    }

    fn give_up(&self) {
        let failure = Failure::TimedOut { after: Duration::from_secs(1), ran: HandlerRan::Unknown };
        self.promise.as_ref().unwrap().give_up(failure);
    }

    fn take(&mut self) -> ReplyResult {
        self.reply.wait_timeout(Some(Duration::ZERO)).expect("a result")
    }

    /// The response is the value alone and brings two handles.
    #[track_caller]
    fn assert_answered(&mut self) {
        assert_eq!(self.desk.held.load(Ordering::SeqCst), 2, "held for who takes them");
        let response = self.take().unwrap();
        assert_eq!((response.codec, &response.body.payload[..]), (1, &b"value"[..]));
        assert_eq!(self.reply.take_handles().unwrap().len(), 2);
        assert!(self.reply.take_handles().unwrap().is_empty(), "taken once");
        assert_eq!(self.received(), 1);
        assert_eq!(self.lost(), 0);
    }

    /// The handles of the late response were received and given back; those of the request are lost.
    #[track_caller]
    fn assert_late(&mut self) {
        assert_eq!((self.received(), self.lost()), (1, 1));
        assert_eq!(self.desk.held.load(Ordering::SeqCst), 0);
        let failure = self.take().unwrap_err();
        assert_eq!(self.sent.0.lock()[0], failure);
        assert!(self.reply.take_handles().unwrap().is_empty());
        assert_eq!(Arc::strong_count(&self.sent.0), 1);
    }

    fn received(&self) -> usize {
        let received = self.desk.received.lock();
        assert!(received.iter().all(|got| *got == (WorkerId(3), b"xy".to_vec(), "f")), "{received:?}");
        received.len()
    }

    fn lost(&self) -> usize {
        self.sent.0.lock().len()
    }
}

#[test]
fn handles_in_a_response_are_received_whenever_the_watch_comes() {
    for outcome in [Outcome::Ok, Outcome::HandlerError] {
        let mut call = Call::new();
        call.watch();
        call.respond(outcome);
        call.assert_answered();

        let mut call = Call::new();
        call.respond(outcome);
        call.watch();
        call.assert_answered();
    }
    let mut call = Call::new();
    call.respond(Outcome::Ok);
    assert!(call.take().is_ok());
    call.watch();
    assert_eq!(call.reply.take_handles().unwrap().len(), 2, "after the response was taken");
}

#[test]
fn handles_in_a_late_response_are_received_and_given_back_whenever_the_watch_comes() {
    let ends: [fn(&Call); 2] = [|call| call.reply.cancel(), Call::give_up];
    for end in ends {
        let mut call = Call::new();
        call.watch();
        end(&call);
        assert_eq!((call.received(), call.lost()), (0, 1), "known to be lost at once");
        call.respond(Outcome::Ok);
        call.assert_late();

        let mut call = Call::new();
        end(&call);
        call.watch();
        assert_eq!((call.received(), call.lost()), (0, 1));
        call.respond(Outcome::Ok);
        call.assert_late();

        let mut call = Call::new();
        end(&call);
        call.respond(Outcome::Ok);
        call.watch();
        call.assert_late();
    }
}

#[test]
fn a_call_that_fails_loses_what_it_carried() {
    let failed: [fn(&mut Call); 4] = [
        |call| drop(call.promise.take()),
        |call| call.promise.take().unwrap().complete(Err(Failure::Departed)),
        |call| {
            let response = Response::failed(Outcome::Panicked, &["m", "l"]);
            call.promise.take().unwrap().complete(Ok(response));
        },
        |call| {
            call.promise.take().unwrap().complete(Err(Failure::Departed));
            drop(call.take());
        },
    ];
    for fail in failed {
        for watch_first in [true, false] {
            let mut call = Call::new();
            if watch_first {
                call.watch();
            }
            fail(&mut call);
            if !watch_first {
                call.watch();
            }
            assert_eq!((call.received(), call.lost()), (0, 1));
        }
    }
}

#[test]
fn a_reply_that_was_dropped_receives_and_gives_back() {
    let mut call = Call::new();
    call.watch();
    let Call { promise, desk, sent, .. } = Call { promise: call.promise.take(), ..call };
    let mut call = Call { promise, desk, sent, reply: Reply::ready(ok()) };
    call.respond(Outcome::Ok);
    assert_eq!((call.received(), call.lost()), (1, 0));
    assert_eq!(call.desk.held.load(Ordering::SeqCst), 0);
}

#[test]
fn a_call_cancelled_while_its_response_is_received_gives_the_handles_back() {
    let mut call = Call::new();
    call.watch();
    let cell = Arc::clone(call.reply.cell());
    *call.desk.meanwhile.lock() = Some(Box::new(move || cell.cancel()));
    call.respond(Outcome::Ok);
    call.assert_late();
}

#[test]
fn a_response_without_a_watch_comes_without_its_aside() {
    let mut call = Call::new();
    call.respond(Outcome::Ok);
    let response = call.take().unwrap();
    assert_eq!((response.codec, &response.body.payload[..]), (1, &b"value"[..]));
    assert!(call.reply.take_handles().unwrap().is_empty());
}

#[test]
fn an_aside_that_is_none_is_an_error_for_who_takes_the_handles() {
    let mut call = Call::new();
    call.watch();
    let response = Response { outcome: Outcome::Ok, codec: 1 | aside::FLAG, body: Body::new(&b"ab"[..]) };
    call.promise.take().unwrap().complete(Ok(response));
    assert_eq!(call.take().unwrap().codec, 1);
    assert!(call.reply.take_handles().is_err());
    assert_eq!((call.received(), call.lost()), (0, 0));
}

#[test]
fn a_desk_that_panics_fails_the_call_instead_of_leaving_it() {
    let mut call = Call { desk: Arc::new(Desk { panics: true, ..Desk::default() }), ..Call::new() };
    call.watch();
    let receive = std::panic::AssertUnwindSafe(|| call.respond(Outcome::Ok));
    assert!(std::panic::catch_unwind(receive).is_err());
    assert!(matches!(call.take(), Err(Failure::LinkLost { .. })));
    assert_eq!(call.lost(), 1);
}
