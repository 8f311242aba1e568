//! The two halves of a link under faults: they bring time and tasks to its [`Gate`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rpc_core::wire::{Hello, frame};
use rpc_core::{
    BoxFuture, Close, Flush, Frame, FrameLimits, Link, LinkClosed, LinkError, LinkReceiver, LinkSender,
    WriteMark,
};
use tokio::time::{Instant, Sleep};

use super::Faults;
use super::board::Condition;
use super::fault::Victim;
use super::gate::{Arrival, Gate, abort};

/// `link` between `me` and `peer`, under `faults`.
pub(super) fn under(faults: &Faults, link: Link, me: Arc<str>, peer: Arc<str>) -> Link {
    let id = faults.open(Arc::clone(&me), Arc::clone(&peer));
    let gate = Mutex::new(Gate::new(me, peer));
    let end = Arc::new(End { faults: faults.clone(), id, gate, closed: AtomicBool::new(false) });
    let receiver = Receiver {
        inner: link.receiver,
        sender: Arc::clone(&link.sender),
        end: Arc::clone(&end),
        ended: false,
        timer: None,
    };
    Link { sender: Arc::new(Sender { inner: link.sender, end }), receiver: Box::new(receiver), ..link }
}

/// What the two halves share.
struct End {
    faults: Faults,
    id: u64,
    gate: Mutex<Gate>,
    /// This side has closed the link.
    closed: AtomicBool,
}

impl Drop for End {
    fn drop(&mut self) {
        self.faults.close(self.id);
    }
}

struct Sender {
    inner: Arc<dyn LinkSender>,
    end: Arc<End>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&self.inner).finish()
    }
}

impl Sender {
    /// Has `send` send what leaves.
    fn leave(
        &self,
        frame: Frame,
        send: impl FnOnce(Frame) -> Result<(), LinkClosed>,
    ) -> Result<(), LinkClosed> {
        let kind = frame.header.kind;
        let leaves = self.end.gate.lock().leaves(frame, Instant::now());
        // A reply that stays and a cancel may have put something back for the receiver.
        if leaves.is_none() || kind == frame::CANCEL {
            self.end.faults.wake(self.end.id);
        }
        leaves.map_or(Ok(()), send)
    }
}

impl LinkSender for Sender {
    fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        self.leave(frame, |frame| self.inner.send(frame, flush))
    }

    fn send_marked(&self, frame: Frame, flush: Flush, mark: WriteMark) -> Result<(), LinkClosed> {
        self.leave(frame, |frame| self.inner.send_marked(frame, flush, mark))
    }

    fn flush(&self) {
        self.inner.flush();
    }

    fn queued_bytes(&self) -> u64 {
        self.inner.queued_bytes()
    }

    fn carrier(&self) -> &str {
        self.inner.carrier()
    }

    fn close(&self, when: Close) {
        self.end.closed.store(true, Ordering::Relaxed);
        self.inner.close(when);
        self.end.faults.wake(self.end.id);
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        self.inner.closed()
    }
}

struct Receiver {
    inner: Box<dyn LinkReceiver>,
    /// For answers in place of the engine's.
    sender: Arc<dyn LinkSender>,
    end: Arc<End>,
    /// The peer has closed the link, and what is held is yet to be delivered.
    ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&self.inner).finish()
    }
}

impl Receiver {
    /// Takes a frame off the link; returns what the engine gets.
    fn arrives(&self, frame: Frame, now: Instant) -> Option<Frame> {
        let End { faults, id, gate, .. } = &*self.end;
        let mut gate = gate.lock();
        if frame.header.kind == frame::HELLO
            && let Ok(hello) = Hello::decode(&frame.body.payload)
        {
            gate.peer = hello.name.as_str().into();
            faults.learn(*id, Arc::clone(&gate.peer));
        }
        let arrival = gate.arrives(frame, now, |passing| faults.judge(passing));
        let (me, peer) = (Arc::clone(&gate.me), Arc::clone(&gate.peer));
        drop(gate);
        match arrival {
            Arrival::Deliver(frame) => return Some(frame),
            Arrival::Nothing => {}
            // If the link is down, so is the call.
            Arrival::Answer(frame) => drop(self.sender.send(frame, Flush::Now)),
            Arrival::Cut => faults.cut_pair(&me, &peer),
            Arrival::Partition => faults.part_pair(&me, &peer),
            Arrival::Kill(Victim::Sender) => faults.kill_one(&peer),
            Arrival::Kill(Victim::Receiver) => faults.kill_one(&me),
            Arrival::Abort => abort(&me),
        }
        None
    }

    /// Ready when it is `at`.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

impl LinkReceiver for Receiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>> {
        loop {
            let now = Instant::now();
            match self.end.faults.condition(self.end.id, now, cx.waker()) {
                Condition::Broken(why) => {
                    self.sender.close(Close::Now);
                    return Poll::Ready(Err(why.error().into()));
                }
                Condition::Parted(until) if !self.end.closed.load(Ordering::Relaxed) => {
                    ready!(self.poll_timer(cx, until));
                    continue;
                }
                Condition::Parted(_) | Condition::Open => {}
            }
            let (held, due, full) = {
                let mut gate = self.end.gate.lock();
                (gate.next(now), gate.next_due(), gate.is_full())
            };
            if let Some(frame) = held {
                return Poll::Ready(Ok(Some(frame)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            let received = if full { Poll::Pending } else { self.inner.poll_recv(cx) };
            match received {
                Poll::Ready(Ok(Some(frame))) => match self.arrives(frame, now) {
                    Some(frame) => return Poll::Ready(Ok(Some(frame))),
                    None => continue,
                },
                Poll::Ready(Ok(None)) => {
                    self.end.gate.lock().ends(now);
                    self.ended = true;
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            match due {
                None => {
                    self.timer = None;
                    return Poll::Pending;
                }
                Some(at) => ready!(self.poll_timer(cx, at)),
            }
        }
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.inner.set_limits(limits);
    }
}
