//! One peer: the link to it, and the calls in flight.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::calls::{CONTROL_IN_FLIGHT_MAX, Call, CallTable, GivenUp};
use super::running::Running;
use super::shared::Shared;
use crate::agent::PeerEvent;
use crate::error::{Failure, HandlerRan};
use crate::message::{Kind, Outcome, Request, Response};
use crate::observe::WriteMark;
use crate::proto::links::Links;
use crate::reply::{CallControl, Promise, Reply};
use crate::transport::{Close, Flush, Frame, LinkClosed, LinkSender};
use crate::wire::{Header, frame};
use crate::worker::{Member, WorkerId};

/// One worker of the group as this worker sees it.
pub(super) struct Peer {
    pub(super) member: Member,
    pub(super) shared: Weak<Shared>,
    pub(super) state: Mutex<State>,
    /// Taken after `state` where both are held.
    pub(super) calls: Mutex<CallTable>,
    pub(super) running: Mutex<Running>,
    /// The state of the link has changed.
    pub(super) changed: Notify,
}

/// What is known of the link.
pub(super) struct State {
    pub(super) links: Links,
    pub(super) phase: Phase,
    /// Links up to this number were reported as down.
    down: u32,
}

pub(super) enum Phase {
    /// No link; the next request dials.
    Idle,
    /// A link is being made; these frames wait for it, those of calls that were given up included. At most
    /// `in_flight_max` frames and `outbox_bytes_max` bytes, and beside them `CONTROL_IN_FLIGHT_MAX` frames of
    /// control kinds.
    Dialing(Waiting),
    /// The link in use.
    Up { link: Arc<dyn LinkSender>, number: u32 },
    /// The peer has said goodbye.
    Departed,
}

/// Requests that wait for a link.
#[derive(Default)]
pub(super) struct Waiting {
    frames: VecDeque<(Frame, Option<WriteMark>)>,
    bytes: u64,
    /// How many of the frames are of control kinds.
    control: usize,
}

impl Waiting {
    fn push(&mut self, frame: Frame, mark: Option<WriteMark>) {
        self.bytes += frame.body.len_bytes();
        self.control += usize::from(Kind(frame.header.kind).is_control());
        self.frames.push_back((frame, mark));
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}

impl Peer {
    pub(super) fn new(member: Member, shared: Weak<Shared>) -> Self {
        Self {
            member,
            shared,
            state: Mutex::new(State { links: Links::default(), phase: Phase::Idle, down: 0 }),
            calls: Mutex::default(),
            running: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> WorkerId {
        self.member.info.id
    }

    /// Sends a request, dialling first if there is no link.
    pub(super) fn send(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        request: Request,
        mark: Option<WriteMark>,
    ) -> Reply {
        let (mut call, reply) = self.new_call(&request);
        let (deadline, kind) = (call.deadline, call.kind);
        let mut state = self.state.lock();
        if let Some(failure) = self.refuses(shared, &state, request.kind) {
            drop(state);
            call.promise.complete(Err(failure));
            return reply;
        }
        if let Phase::Up { number, .. } = &state.phase {
            call.link = *number;
        }
        let (id, alone) = {
            let mut calls = self.calls.lock();
            if let Some(failure) = calls.refuses(request.kind, shared.config.in_flight_max) {
                drop((calls, state));
                call.promise.complete(Err(failure));
                return reply;
            }
            let alone = calls.is_lonely();
            calls.traffic.sent(request.body.len_bytes());
            let id = calls.insert(call);
            reply.set_key(id);
            (id, alone)
        };
        shared.count_sent(request.kind);
        let frame = request_frame(id, request);
        match &mut state.phase {
            Phase::Up { link, number } => {
                let (link, number) = (Arc::clone(link), *number);
                drop(state);
                // A lone request is written here and now; one in company leaves with the others. Nobody waits for
                // those of control kinds, and often there is company in a moment.
                let flush = if alone && !kind.is_control() { Flush::Now } else { Flush::Soon };
                if send_on(&*link, frame, flush, mark).is_err() {
                    self.link_down(shared, number, "the link closed while sending");
                }
            }
            Phase::Dialing(waiting) => waiting.push(frame, mark),
            Phase::Idle => {
                let mut waiting = Waiting::default();
                waiting.push(frame, mark);
                state.phase = Phase::Dialing(waiting);
                state.links.set_dialing(true);
                drop(state);
                shared.spawn(super::dial::run(Arc::clone(shared), Arc::clone(self)));
            }
            Phase::Departed => {} // refused above
        }
        shared.timer.watch(deadline);
        reply
    }

    /// Sends a request of this worker to itself.
    pub(super) fn send_to_self(self: &Arc<Self>, shared: &Arc<Shared>, request: Request) -> Reply {
        let (mut call, reply) = self.new_call(&request);
        // A link of its own number, so that an expired call counts until its handler has ended.
        call.link = 1;
        let deadline = call.deadline;
        // Held until the call is in the table: `close` fails what it finds there.
        let state = self.state.lock();
        if matches!(state.phase, Phase::Departed) {
            drop(state);
            call.promise.complete(Err(Failure::ShutDown));
            return reply;
        }
        let mut calls = self.calls.lock();
        if let Some(failure) = calls.refuses(request.kind, shared.config.in_flight_max) {
            drop((calls, state));
            call.promise.complete(Err(failure));
            return reply;
        }
        let id = calls.insert(call);
        drop(calls);
        reply.set_key(id);
        shared.count_sent(request.kind);
        drop(state);
        shared.spawn(super::service::serve_self(Arc::clone(shared), Arc::clone(self), id, request));
        shared.timer.watch(deadline);
        reply
    }

    fn new_call(self: &Arc<Self>, request: &Request) -> (Call, Reply) {
        let control: Arc<dyn CallControl> = Arc::clone(self) as _;
        let (promise, reply) = Promise::new_controlled(control);
        let Request { kind, method, timeout, .. } = *request;
        let began = Instant::now();
        let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
        let call = Call {
            promise,
            kind,
            method,
            began,
            link: 0,
            deadline,
            timeout,
            told: deadline,
            given_up: false,
        };
        (call, reply)
    }

    /// How long the caller of `id` still waits, if it does; `Some(None)` is for ever.
    pub(super) fn time_left(&self, id: u64) -> Option<Option<Duration>> {
        let mut calls = self.calls.lock();
        let call = calls.get_mut(id)?;
        call.told = call.deadline;
        Some(call.deadline.map(|at| at.saturating_duration_since(Instant::now())))
    }

    /// Why a new request of `kind` cannot be sent, if so (EN-3).
    fn refuses(&self, shared: &Shared, state: &State, kind: Kind) -> Option<Failure> {
        let config = &shared.config;
        let overloaded = |bound: &str, limit| Some(Failure::Overloaded { bound: bound.into(), limit });
        let queued_bytes = match &state.phase {
            Phase::Departed => return Some(Failure::Departed),
            Phase::Dialing(waiting) if kind.is_control() && waiting.control >= CONTROL_IN_FLIGHT_MAX => {
                return overloaded("control requests", CONTROL_IN_FLIGHT_MAX as u64);
            }
            _ if kind.is_control() => return None,
            Phase::Dialing(waiting) if waiting.len() - waiting.control >= config.in_flight_max => {
                return overloaded("in_flight_max", config.in_flight_max as u64);
            }
            Phase::Dialing(waiting) => waiting.bytes,
            Phase::Up { link, .. } => link.queued_bytes(),
            Phase::Idle => 0,
        };
        if queued_bytes > config.outbox_bytes_max {
            return overloaded("outbox_bytes_max", config.outbox_bytes_max);
        }
        None
    }

    /// Uses `link` from now on. What waits for a link leaves on it, in order.
    pub(super) fn link_up(&self, state: &mut State, link: Arc<dyn LinkSender>, number: u32) {
        let before = std::mem::replace(&mut state.phase, Phase::Up { link: Arc::clone(&link), number });
        state.links.set_dialing(false);
        self.running.lock().begin(number);
        if let Phase::Dialing(waiting) = before {
            let mut calls = self.calls.lock();
            for (frame, mark) in waiting.frames {
                // One that was given up meanwhile is not sent: its handler never runs.
                let Some(call) = calls.get_mut(frame.header.call) else { continue };
                (call.link, call.told) = (number, call.deadline);
                let budget_us =
                    budget_us(call.deadline.map(|at| at.saturating_duration_since(Instant::now())));
                // A link that is down already is noticed by its reader, which fails these calls.
                let frame = Frame { header: Header { budget_us, ..frame.header }, ..frame };
                let _ = send_on(&*link, frame, Flush::Later, mark);
            }
            drop(calls);
            link.flush();
        }
        self.changed.notify_waiters();
    }

    /// Link `number` is gone: the calls that were sent on it fail (EN-4), and the requests that came on
    /// it are stopped.
    pub(super) fn link_down(&self, shared: &Shared, number: u32, cause: &str) {
        let (stop, departed, news) = {
            let mut state = self.state.lock();
            let current = state.links.handle_down(number);
            if current && let Phase::Up { link, .. } = &state.phase {
                link.close(Close::Now);
                state.phase = Phase::Idle;
            }
            let departed = matches!(state.phase, Phase::Departed);
            // A link may be found dead by who sends and by who reads, and an old one last.
            let news = !departed && number > state.down;
            state.down = state.down.max(number);
            // Under the lock, so that nothing that comes on the next link is stopped.
            (current.then(|| self.running.lock().take_all()), departed, news)
        };
        // Before the calls and handlers end, so that what the watchers begin is counted while those are.
        if news {
            shared.watchers.tell(self.id(), PeerEvent::LinkDown { link: number });
        }
        if let Some(stop) = stop {
            stop.now();
        }
        let failed = self.calls.lock().take_sent_on(number);
        self.fail(shared, failed, || Failure::LinkLost {
            cause: if departed { "it has shut down".into() } else { cause.to_owned() },
            ran: HandlerRan::Unknown,
        });
        self.changed.notify_waiters();
    }

    /// The peer could not be reached: what waits for a link fails.
    pub(super) fn unreachable(&self, shared: &Shared, failure: &Failure) {
        let waiting = {
            let mut state = self.state.lock();
            state.links.set_dialing(false);
            match std::mem::replace(&mut state.phase, Phase::Idle) {
                Phase::Dialing(waiting) => waiting,
                other => {
                    state.phase = other;
                    return;
                }
            }
        };
        let mut calls = self.calls.lock();
        let failed: Vec<_> =
            waiting.frames.iter().filter_map(|(frame, _)| calls.remove(frame.header.call)).collect();
        drop(calls);
        self.fail(shared, failed, || failure.clone());
        self.changed.notify_waiters();
    }

    /// The peer has said goodbye.
    pub(super) fn departed(&self, shared: &Shared) {
        let before = {
            let mut state = self.state.lock();
            std::mem::replace(&mut state.phase, Phase::Departed)
        };
        if let Phase::Up { link, .. } = &before {
            link.close(Close::AfterQueued);
        }
        if !matches!(before, Phase::Departed) {
            shared.watchers.tell(self.id(), PeerEvent::Departed);
        }
        let failed = self.calls.lock().take_all();
        self.fail(shared, failed, || Failure::LinkLost {
            cause: "it has shut down".into(),
            ran: HandlerRan::Unknown,
        });
        let stop = self.running.lock().take_all();
        stop.now();
        self.changed.notify_waiters();
        shared.leaving.peer_departed(self.id());
    }

    /// Ends everything, because this worker has shut down. Returns the link that was in use.
    pub(super) fn close(&self, shared: &Shared) -> Option<Arc<dyn LinkSender>> {
        let before = {
            let mut state = self.state.lock();
            std::mem::replace(&mut state.phase, Phase::Departed)
        };
        let failed = self.calls.lock().take_all();
        self.fail(shared, failed, || Failure::ShutDown);
        let stop = self.running.lock().take_all();
        stop.now();
        self.changed.notify_waiters();
        match before {
            Phase::Up { link, .. } => Some(link),
            _ => None,
        }
    }

    fn fail(&self, shared: &Shared, failed: Vec<Call>, failure: impl Fn() -> Failure) {
        for call in failed {
            let _counts_until_then = shared.until_replied(call.kind);
            if !call.given_up {
                call.promise.complete(Err(failure()));
            }
        }
    }

    /// The response to call `id` has come.
    pub(super) fn complete(&self, shared: &Shared, id: u64, response: Response) {
        let mut calls = self.calls.lock();
        calls.traffic.received(response.body.len_bytes());
        let call = calls.remove(id);
        drop(calls);
        // An id that stands for nothing is one that this side has failed with an earlier link.
        let Some(call) = call else { return };
        let _counts_until_then = shared.until_replied(call.kind);
        let result = match response.outcome {
            Outcome::DeadlineExceeded => Err(timed_out(call.timeout, HandlerRan::Unknown)),
            _ => Ok(response),
        };
        call.promise.complete(result);
    }

    /// Fails the calls whose deadline has passed; returns the earliest deadline of the others.
    pub(super) fn expire(&self, shared: &Shared, now: Instant) -> Option<Instant> {
        let (expired, earliest) = self.calls.lock().expired(now);
        for id in expired {
            let given_up = self.calls.lock().give_up(id);
            match given_up {
                None => {}
                Some(GivenUp::Unsent(call)) => {
                    let _counts_until_then = shared.until_replied(call.kind);
                    call.promise.complete(Err(timed_out(call.timeout, HandlerRan::No)));
                }
                Some(GivenUp::Sent { cell, timeout }) => {
                    if let Some(cell) = cell {
                        cell.complete(Err(timed_out(timeout, HandlerRan::Unknown)));
                    }
                    self.control(Header::control(frame::CANCEL, id));
                }
            }
        }
        earliest
    }

    /// Sends a frame that is about a call, if there is a link. Not urgent, so that it stays behind its
    /// request.
    fn control(&self, header: Header) {
        if self.shared.upgrade().is_some_and(|shared| shared.id == self.id()) {
            let running = self.running.lock();
            match header.kind {
                frame::DEADLINE => running.set_timeout(header.call, timeout_of(header.budget_us)),
                _ => {
                    let context = running.context(header.call);
                    drop(running);
                    if let Some(context) = context {
                        context.cancel();
                    }
                }
            }
            return;
        }
        let link = match &self.state.lock().phase {
            Phase::Up { link, .. } => Arc::clone(link),
            _ => return,
        };
        // Without a link the call has failed, and the peer has stopped it.
        let _ = link.send(Frame { header, body: crate::message::Body::default() }, Flush::Now);
    }
}

/// What a [`Reply`] does to its call.
impl CallControl for Peer {
    fn cancel(&self, key: u64) {
        let given_up = self.calls.lock().give_up(key);
        match given_up {
            None => {}
            Some(GivenUp::Sent { .. }) => self.control(Header::control(frame::CANCEL, key)),
            Some(GivenUp::Unsent(call)) => {
                if let Some(shared) = self.shared.upgrade() {
                    drop(shared.until_replied(call.kind));
                }
            }
        }
    }

    fn set_timeout(&self, key: u64, timeout: Option<Duration>) {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let tell = {
            let mut calls = self.calls.lock();
            let Some(call) = calls.get_mut(key) else { return };
            call.timeout = timeout;
            call.deadline = deadline;
            // A shorter one needs no message: its expiry will send a cancel.
            let longer = call.told.is_some_and(|told| deadline.is_none_or(|deadline| deadline > told));
            if longer {
                call.told = deadline;
            }
            longer && call.link != 0
        };
        if tell {
            self.control(Header { budget_us: budget_us(timeout), ..Header::control(frame::DEADLINE, key) });
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.timer.watch(deadline);
        }
    }
}

#[inline]
fn send_on(
    link: &dyn LinkSender,
    frame: Frame,
    flush: Flush,
    mark: Option<WriteMark>,
) -> Result<(), LinkClosed> {
    match mark {
        None => link.send(frame, flush),
        Some(mark) => link.send_marked(frame, flush, mark),
    }
}

fn timed_out(timeout: Option<Duration>, ran: HandlerRan) -> Failure {
    Failure::TimedOut { after: timeout.unwrap_or_default(), ran }
}

/// Time left as it stands in a header: 0 is for ever, so no time at all becomes one microsecond.
pub(super) fn budget_us(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |timeout| u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX).max(1))
}

/// The reverse of [`budget_us`].
pub(super) fn timeout_of(budget_us: u64) -> Option<Duration> {
    (budget_us > 0).then(|| Duration::from_micros(budget_us))
}

fn request_frame(call: u64, request: Request) -> Frame {
    let header = Header {
        payload_bytes: request.body.payload.len() as u32, // checked against the bounds before
        part_count: request.body.parts.len() as u16,
        kind: request.kind.0,
        codec: request.codec,
        call,
        method: request.method,
        budget_us: budget_us(request.timeout),
    };
    Frame { header, body: request.body }
}
