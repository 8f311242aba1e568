//! Both ends of one link, as a state machine without clock or tasks.
//!
//! Whatever is done to a link first catches up with the time ([`LinkState::advance`]), so nothing needs to
//! run between two operations; a reader that waits sets a timer for [`LinkState::next_event`].
//!
//! # How a link ends
//! - **Close.** A side closes: what is queued leaves, then a mark. The peer reads up to the mark and gets
//!   `None`, or an error if frames were given up. Both sides are then closed.
//! - **Death.** A cut, a kill, a failing rule or a partition that lasts: both sides get an error at once,
//!   and everything under way is lost.

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rpc_core::{Close, Flush, Frame, LinkClosed, LinkError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::conditions::Conditions;
use super::flight::{Flight, Outbox};
use super::rule::{Fate, RuleId};

/// The side that dialled is 0, the one that accepted is 1.
pub(super) type SideIndex = usize;

#[derive(Debug)]
pub(super) struct LinkState {
    addresses: [Arc<str>; 2],
    sides: [Side; 2],
    death: Option<Arc<io::Error>>,
    /// Since when a partition has kept the two apart.
    apart_since: Option<Instant>,
}

#[derive(Debug)]
struct Side {
    phase: watch::Sender<Phase>,
    outbox: Outbox,
    flight: Flight,
    mark: Option<Mark>,
    /// Of the task that waits in `poll_recv` on this side.
    waker: Option<Waker>,
    /// Whether the user has dropped both halves of this side.
    dropped: bool,
}

/// How far one side is with closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Takes no more, and writes what it has until then.
    Closing {
        until: Instant,
    },
    /// Everything that will be written has been.
    Closed,
}

/// The end of what one side has to say, behind its last frame.
#[derive(Clone, Copy, Debug)]
struct Mark {
    arrival: Instant,
    /// Whether frames were given up.
    broken: bool,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame),
    End(Result<(), LinkError>),
    /// Nothing yet; look again at that time, or when woken.
    Wait(Option<Instant>),
}

impl Side {
    fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Open),
            outbox: Outbox::default(),
            flight: Flight::default(),
            mark: None,
            waker: None,
            dropped: false,
        }
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Ends the writing of this side for good.
    fn finish(&mut self, mark: Option<Mark>) {
        self.outbox.clear();
        self.mark = mark;
        self.phase.send_replace(Phase::Closed);
    }
}

impl LinkState {
    pub(super) fn new(dialler: Arc<str>, acceptor: Arc<str>) -> Self {
        Self {
            addresses: [dialler, acceptor],
            sides: [Side::new(), Side::new()],
            death: None,
            apart_since: None,
        }
    }

    pub(super) fn addresses(&self) -> (&str, &str) {
        (&self.addresses[0], &self.addresses[1])
    }

    pub(super) fn is_alive(&self) -> bool {
        self.death.is_none() && self.sides.iter().any(|side| side.phase() != Phase::Closed)
    }

    pub(super) fn joins(&self, a: &str, b: &str) -> bool {
        let (x, y) = self.addresses();
        (x == a && y == b) || (x == b && y == a)
    }

    pub(super) fn send(
        &mut self,
        from: SideIndex,
        frame: Frame,
        flush: Flush,
        at: &mut At<'_>,
    ) -> Result<(), LinkClosed> {
        self.advance(at);
        let sent_to_nobody = self.mark_has_arrived(1 - from, at);
        if self.death.is_some() || self.sides[from].phase() != Phase::Open || sent_to_nobody {
            return Err(LinkClosed);
        }
        self.sides[from].outbox.push(frame);
        if flush != Flush::Later {
            self.flush(from, at);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, from: SideIndex, at: &mut At<'_>) {
        self.sides[from].outbox.flush();
        self.advance(at);
    }

    pub(super) fn queued_bytes(&self, side: SideIndex) -> u64 {
        self.sides[side].outbox.bytes()
    }

    pub(super) fn close(&mut self, side: SideIndex, when: Close, at: &mut At<'_>) {
        if self.sides[side].phase() == Phase::Open {
            let until = at.now + at.conditions.silence_max;
            self.sides[side].phase.send_replace(Phase::Closing { until });
        }
        match when {
            Close::AfterQueued => self.flush(side, at),
            Close::Now => self.give_up(side, at),
        }
    }

    /// The user let go of both halves of `side`. Returns whether nobody holds the link any more.
    pub(super) fn dropped(&mut self, side: SideIndex, at: &mut At<'_>) -> bool {
        self.sides[side].dropped = true;
        self.close(side, Close::AfterQueued, at);
        self.sides.iter().all(|side| side.dropped)
    }

    pub(super) fn phase(&self, side: SideIndex) -> watch::Receiver<Phase> {
        self.sides[side].phase.subscribe()
    }

    pub(super) fn recv(&mut self, side: SideIndex, waker: &Waker, at: &mut At<'_>) -> Next {
        self.advance(at);
        if let Some(error) = &self.death {
            return Next::End(Err(LinkError::Io(Arc::clone(error))));
        }
        let peer = 1 - side;
        if !self.is_blocked(peer, at)
            && let Some(frame) = self.sides[peer].flight.pop(at.now)
        {
            self.advance(at); // The window has room again.
            return Next::Frame(frame);
        }
        if self.mark_has_arrived(peer, at) {
            let broken = self.sides[peer].mark.is_some_and(|mark| mark.broken);
            if self.sides[side].phase() != Phase::Closed {
                self.sides[side].finish(None);
            }
            return Next::End(if broken { Err(given_up().into()) } else { Ok(()) });
        }
        if self.sides[side].phase() == Phase::Closed {
            return Next::End(Ok(()));
        }
        self.sides[side].waker = Some(waker.clone());
        Next::Wait(self.next_event(side, at))
    }

    /// Ends the link on both sides at once.
    pub(super) fn die(&mut self, kind: io::ErrorKind, why: &'static str, at: &mut At<'_>) {
        if self.death.is_none() {
            self.death = Some(Arc::new(io::Error::new(kind, why)));
            for side in &mut self.sides {
                side.flight.clear();
                side.finish(None);
            }
            self.wake_both(at);
        }
    }

    /// Notes which partitions there are now.
    pub(super) fn conditions_changed(&mut self, at: &mut At<'_>) {
        let apart = self.is_blocked(0, at) || self.is_blocked(1, at);
        self.apart_since = apart.then(|| self.apart_since.unwrap_or(at.now));
        self.wake_both(at);
    }

    pub(super) fn release(&mut self, rule: RuleId, at: &mut At<'_>) {
        for from in 0..2 {
            let delay = self.delay(from, at);
            self.sides[from].flight.release(rule, at.now, delay);
        }
        self.wake_both(at);
    }

    /// Outbox and flight of `from`, for inspection.
    pub(super) fn under_way(&self, from: SideIndex) -> (&Outbox, &Flight) {
        (&self.sides[from].outbox, &self.sides[from].flight)
    }

    pub(super) fn is_blocked(&self, from: SideIndex, at: &At<'_>) -> bool {
        at.conditions.is_blocked(&self.addresses[from], &self.addresses[1 - from])
    }

    fn delay(&self, from: SideIndex, at: &At<'_>) -> Duration {
        at.conditions.delay(&self.addresses[from], &self.addresses[1 - from])
    }

    /// Does all that is due by now.
    pub(super) fn advance(&mut self, at: &mut At<'_>) {
        if self.apart_since.is_some_and(|since| since + at.conditions.silence_max <= at.now) {
            self.die(io::ErrorKind::TimedOut, "the peer was silent for too long", at);
        }
        for from in 0..2 {
            self.transmit(from, at);
            match self.sides[from].phase() {
                Phase::Closing { until } if until <= at.now => self.give_up(from, at),
                Phase::Closing { .. } if self.sides[from].outbox.is_empty() => self.finish(from, false, at),
                Phase::Open | Phase::Closing { .. } | Phase::Closed => {}
            }
        }
    }

    /// Moves frames from the outbox to the wire while the window has room.
    fn transmit(&mut self, from: SideIndex, at: &mut At<'_>) {
        loop {
            let nobody_reads = self.sides[1 - from].phase() == Phase::Closed;
            let window_bytes = at.conditions.window_bytes;
            let Side { outbox, flight, .. } = &mut self.sides[from];
            let next = outbox.pop(|frame| nobody_reads || flight.has_room(frame, window_bytes));
            let Some(frame) = next else { return };
            if nobody_reads {
                continue;
            }
            let arrival = at.now + self.delay(from, at);
            let (a, b) = (&self.addresses[from], &self.addresses[1 - from]);
            let flight = &mut self.sides[from].flight;
            match at.conditions.fate(a, b, &frame.header) {
                Fate::Pass => flight.push(frame, arrival, None),
                Fate::Delay(more) => flight.push(frame, arrival + more, None),
                Fate::Hold(rule) => flight.push(frame, arrival, Some(rule)),
                Fate::Drop => {}
                Fate::Fail => return self.die(io::ErrorKind::ConnectionReset, "a rule failed the link", at),
            }
            self.wake(1 - from, at);
        }
    }

    /// Closes `side` without writing what is left.
    fn give_up(&mut self, side: SideIndex, at: &mut At<'_>) {
        if self.sides[side].phase() != Phase::Closed {
            let broken = !self.sides[side].outbox.is_empty();
            self.finish(side, broken, at);
        }
    }

    fn finish(&mut self, side: SideIndex, broken: bool, at: &mut At<'_>) {
        let arrival = at.now + self.delay(side, at);
        self.sides[side].finish(Some(Mark { arrival, broken }));
        self.wake_both(at);
    }

    fn mark_has_arrived(&self, from: SideIndex, at: &At<'_>) -> bool {
        let side = &self.sides[from];
        let arrived = side.mark.is_some_and(|mark| mark.arrival <= at.now);
        arrived && side.flight.is_empty() && !self.is_blocked(from, at)
    }

    /// When a reader of `side` has to look again if nothing else happens.
    fn next_event(&self, side: SideIndex, at: &At<'_>) -> Option<Instant> {
        let peer = &self.sides[1 - side];
        let frame = peer.flight.next_arrival();
        let mark = peer.mark.map(|mark| mark.arrival).filter(|_| peer.flight.is_empty());
        let arrival = frame.or(mark).filter(|_| !self.is_blocked(1 - side, at));
        let silence = self.apart_since.map(|since| since + at.conditions.silence_max);
        let lingering = self.sides.iter().filter_map(|side| match side.phase() {
            Phase::Closing { until } => Some(until),
            Phase::Open | Phase::Closed => None,
        });
        arrival.into_iter().chain(silence).chain(lingering).min()
    }

    fn wake(&mut self, side: SideIndex, at: &mut At<'_>) {
        at.wakes.extend(self.sides[side].waker.take());
    }

    fn wake_both(&mut self, at: &mut At<'_>) {
        self.wake(0, at);
        self.wake(1, at);
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the peer closed the link and gave up queued frames")
}

/// What an operation on a link needs from outside.
#[derive(Debug)]
pub(super) struct At<'a> {
    pub(super) now: Instant,
    pub(super) conditions: &'a mut Conditions,
    /// Whom to wake after the network has been unlocked.
    pub(super) wakes: &'a mut Vec<Waker>,
}
