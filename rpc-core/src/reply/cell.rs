//! What the two ends of a reply share: the result, who waits for it, and the handles that travel with the
//! call.
//!
//! A call ends once for its caller, by a response or by a failure. A response may come after that, and still
//! brings handles that somebody counts; so an aside is kept until the watch is there to take it, or the
//! cell is gone. Nothing of others runs under the lock: no desk, no waker, no destructor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::{CallControl, ReplyResult};
use crate::aside;
use crate::codec::CodecError;
use crate::error::{Failure, HandlerRan};
use crate::handles::{AnyHandle, HandleDesk, SentHandles};
use crate::message::{Outcome, Response};
use crate::observe::Observed;
use crate::observe::note::{self, Note};
use crate::worker::WorkerId;

#[derive(Default)]
pub(crate) struct ReplyCell {
    inner: Mutex<Inner>,
    /// As it was made.
    own_control: Option<Arc<dyn CallControl>>,
    /// Told later, where there was none.
    late_control: OnceLock<Arc<dyn CallControl>>,
    pub(super) key: AtomicU64,
}

#[derive(Default)]
struct Inner {
    state: State,
    /// Waits for a response with handles.
    watch: Option<Watch>,
    /// Waits for the call to end.
    sent: Option<Box<dyn SentHandles>>,
    handles: Handles,
    following: Following,
}

/// Who hears of the call, for people.
#[derive(Default)]
enum Following {
    #[default]
    Nobody,
    /// The response has brought this note before it was known who follows the call.
    Unclaimed(Box<Note>),
    /// Waits for the call to end, or, if it has, for its result to be taken.
    Observed(Box<Observed>),
}

impl Following {
    /// As [`Option::take`].
    fn take(&mut self) -> Option<Box<Observed>> {
        match self {
            Self::Nobody | Self::Unclaimed(_) => None,
            Self::Observed(_) => match std::mem::take(self) {
                Self::Observed(observed) => Some(observed),
                Self::Nobody | Self::Unclaimed(_) => None,
            },
        }
    }
}

/// What becomes of a call beside its result.
pub(crate) struct Beside {
    /// The handles in the response.
    pub(crate) handles: Option<Received>,
    /// Who wants to hear that the result is decoded.
    pub(crate) observed: Option<Box<Observed>>,
}

enum State {
    Pending(Option<Waker>),
    Done(ReplyResult),
    /// With what the call failed, for a watch that comes later.
    Taken(Option<Box<Failure>>),
}

impl Default for State {
    fn default() -> Self {
        Self::Pending(None)
    }
}

/// The handles in the response. Most responses have none, so this is small.
#[derive(Default)]
enum Handles {
    /// There are none, or not yet.
    #[default]
    None,
    /// Nobody has been there to receive them.
    Unreceived(Box<Bytes>),
    Received(Received),
}

/// What [`HandleDesk::receive`] returned.
pub(crate) type Received = Box<Result<Vec<AnyHandle>, CodecError>>;

impl Handles {
    fn take_received(&mut self) -> Option<Received> {
        match self {
            Self::None | Self::Unreceived(_) => None,
            Self::Received(_) => match std::mem::take(self) {
                Self::Received(received) => Some(received),
                Self::None | Self::Unreceived(_) => None,
            },
        }
    }
}

/// Who receives the handles in the response.
pub(super) struct Watch {
    pub(super) desk: Weak<dyn HandleDesk>,
    pub(super) from: WorkerId,
    pub(super) function: &'static str,
}

impl Watch {
    fn receive(self, aside: &Bytes) -> Received {
        Box::new(match self.desk.upgrade() {
            Some(desk) => desk.receive(self.from, aside, self.function),
            None => Err(CodecError::new("aside", "this worker counts references no more")),
        })
    }
}

impl ReplyCell {
    /// A cell whose call `control` controls, by a key that is told later.
    pub(super) fn controlled(control: Arc<dyn CallControl>) -> Self {
        Self { own_control: Some(control), ..Self::default() }
    }

    pub(super) fn control(&self) -> Option<&Arc<dyn CallControl>> {
        self.own_control.as_ref().or_else(|| self.late_control.get())
    }

    /// The first one stays.
    pub(super) fn set_control(&self, control: Arc<dyn CallControl>) {
        if self.own_control.is_none() {
            // A second one would be a bug of the agent, which asks once per call.
            let _ = self.late_control.set(control);
        }
    }

    /// Ends the call, or brings the response of one that has ended; returns whether it ends it.
    pub(crate) fn complete(&self, mut result: ReplyResult) -> bool {
        let Trailers { note, aside } = split_trailers(&mut result);
        let mut inner = self.inner.lock();
        // Received before the result shows, so that who sees the one finds the other.
        let handles = match aside {
            None => Handles::None,
            Some(Err(error)) => Handles::Received(Box::new(Err(error))),
            Some(Ok(aside)) => match inner.watch.take() {
                None => Handles::Unreceived(Box::new(aside)),
                Some(watch) => Handles::Received(MutexGuard::unlocked(&mut inner, || watch.receive(&aside))),
            },
        };
        if matches!(inner.state, State::Pending(_))
            && let Some(mut observed) = inner.following.take()
        {
            // Heard before the result shows, so that who takes it finds who wants to hear of that.
            let note = note.as_ref().map(Note::bytes);
            let waits = MutexGuard::unlocked(&mut inner, || observed.has_ended(&result, note));
            if waits {
                inner.following = Following::Observed(observed);
            } else {
                MutexGuard::unlocked(&mut inner, || drop(observed));
            }
        } else if let Some(note) = note {
            inner.following = Following::Unclaimed(Box::new(note));
        }
        let State::Pending(waker) = &mut inner.state else {
            if let Handles::Unreceived(_) = &handles {
                inner.handles = handles;
            } else {
                drop(inner);
                drop(handles);
            }
            return false;
        };
        let waker = waker.take();
        let sent = inner.sent.take().map(|sent| (sent, failure_of(&result)));
        inner.state = State::Done(result);
        if !matches!(handles, Handles::None) {
            inner.handles = handles;
        }
        drop(inner);
        // What a lost message sets going comes before what its caller does next.
        if let Some((sent, failure)) = sent {
            end(sent, failure.as_ref());
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ends the call for the caller and tells the agent.
    pub(crate) fn cancel(&self) {
        let ended = self.complete(Err(Failure::Cancelled { ran: HandlerRan::Unknown }));
        if let (true, Some(control)) = (ended, self.control()) {
            control.cancel(self.key.load(Ordering::Relaxed));
        }
    }

    pub(super) fn is_done(&self) -> bool {
        !matches!(self.inner.lock().state, State::Pending(_))
    }

    /// See [`Reply::watch`](super::Reply::watch).
    pub(super) fn watch(&self, watch: Watch, sent: Option<Box<dyn SentHandles>>) {
        let mut inner = self.inner.lock();
        let failure = match &inner.state {
            State::Pending(_) => {
                let before = (inner.watch.replace(watch), std::mem::replace(&mut inner.sent, sent));
                drop(inner);
                drop(before);
                return;
            }
            State::Done(result) => failure_of(result),
            State::Taken(failure) => failure.as_deref().cloned(),
        };
        let (mut unused, mut late) = (None, None);
        match std::mem::take(&mut inner.handles) {
            Handles::Unreceived(aside) => {
                let handles = MutexGuard::unlocked(&mut inner, || watch.receive(&aside));
                match failure {
                    None => inner.handles = Handles::Received(handles),
                    Some(_) => late = Some(handles),
                }
            }
            // A response may still come.
            Handles::None if failure.is_some() => unused = inner.watch.replace(watch),
            other => {
                inner.handles = other;
                unused = Some(watch);
            }
        }
        drop(inner);
        drop((unused, late));
        if let (Some(sent), Some(failure)) = (sent, failure) {
            sent.lost(&failure);
        }
    }

    /// See [`Reply::observe`](super::Reply::observe).
    pub(super) fn observe(&self, mut observed: Box<Observed>) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let waits = match &inner.state {
            State::Pending(_) => true,
            State::Done(result) => {
                let note = match std::mem::take(&mut inner.following) {
                    Following::Unclaimed(note) => Some(note),
                    Following::Nobody | Following::Observed(_) => None,
                };
                observed.has_ended(result, note.as_deref().map(Note::bytes))
            }
            // Nobody has the reply but who calls this, before it is given away.
            State::Taken(_) => false,
        };
        if waits {
            inner.following = Following::Observed(observed);
        } else {
            drop(guard);
            drop(observed);
        }
    }

    /// Nobody will take the result: who follows the call need not wait for that, if it has ended.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner.lock();
        let observed = match inner.state {
            State::Pending(_) => None,
            State::Done(_) | State::Taken(_) => inner.following.take(),
        };
        drop(inner);
        drop(observed);
    }

    pub(super) fn take_handles(&self) -> Option<Received> {
        self.inner.lock().handles.take_received()
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<ReplyResult> {
        self.poll_and(cx, |_, _| ()).map(|(result, ())| result)
    }

    /// As [`poll`](Self::poll), with what there is beside the response.
    pub(super) fn poll_with_beside(&self, cx: &mut Context<'_>) -> Poll<(ReplyResult, Beside)> {
        self.poll_and(cx, |handles, following| Beside {
            handles: handles.take_received(),
            observed: following.take(),
        })
    }

    #[inline]
    fn poll_and<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Handles, &mut Following) -> R,
    ) -> Poll<(ReplyResult, R)> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let watched = inner.watch.is_some();
        match &mut inner.state {
            State::Pending(waker) => {
                let before = match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => None,
                    _ => waker.replace(cx.waker().clone()),
                };
                drop(guard);
                drop(before);
                Poll::Pending
            }
            State::Done(result) => {
                let failure = if watched { None } else { failure_of(result).map(Box::new) };
                let taken = take(&mut inner.handles, &mut inner.following);
                match std::mem::replace(&mut inner.state, State::Taken(failure)) {
                    State::Done(result) => Poll::Ready((result, taken)),
                    State::Pending(_) | State::Taken(_) => unreachable!("matched above, under the lock"),
                }
            }
            State::Taken(_) => panic!("a reply was polled after it was ready"),
        }
    }
}

/// The message that carried `sent` has arrived, or is lost.
fn end(sent: Box<dyn SentHandles>, failure: Option<&Failure>) {
    match failure {
        Some(failure) => sent.lost(failure),
        None => drop(sent),
    }
}

/// What stands behind the value in a response.
#[derive(Default)]
struct Trailers {
    note: Option<Note>,
    aside: Option<Result<Bytes, CodecError>>,
}

/// Takes off a response what stands behind its value.
#[inline]
fn split_trailers(result: &mut ReplyResult) -> Trailers {
    match result {
        Ok(response) if response.codec & (aside::FLAG | note::FLAG) != 0 => split(response),
        _ => Trailers::default(),
    }
}

fn split(response: &mut Response) -> Trailers {
    // One that is none is nothing that the caller need hear of.
    let note = note::split(&mut response.codec, &mut response.body.payload).unwrap_or_default();
    if response.codec & aside::FLAG == 0 {
        return Trailers { note, aside: None };
    }
    let split = aside::split(response.codec, response.body.payload.clone());
    response.codec &= !aside::FLAG;
    let aside = match split {
        Ok((_, payload, aside)) => {
            response.body.payload = payload;
            aside.map(Ok)
        }
        Err(error) => Some(Err(error)),
    };
    Trailers { note, aside }
}

/// Why the request counts as lost, if it does.
fn failure_of(result: &ReplyResult) -> Option<Failure> {
    match result {
        Ok(response) if matches!(response.outcome, Outcome::Ok | Outcome::HandlerError) => None,
        Ok(response) => Some(Failure::from_response(response)),
        Err(failure) => Some(failure.clone()),
    }
}
