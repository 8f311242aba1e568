//! [`MemoryTransport`] and the two halves of its links.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rpc_core::{
    BoxFuture, Close, Flush, Frame, FrameLimits, Link, LinkClosed, LinkError, LinkReceiver, LinkSender,
    Transport, WriteMark,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, Sleep};

use super::MemoryNetwork;
use super::link::{LinkState, Next, Phase, SideIndex};

/// One worker's door to a [`MemoryNetwork`]. Dropping it ends the listening; its links live on.
pub struct MemoryTransport {
    network: MemoryNetwork,
    address: Arc<str>,
    incoming: Mutex<mpsc::Receiver<Link>>,
}

impl MemoryTransport {
    pub(super) fn new(network: MemoryNetwork, address: Arc<str>, incoming: mpsc::Receiver<Link>) -> Self {
        Self { network, address, incoming: Mutex::new(incoming) }
    }

    /// The network.
    pub fn network(&self) -> &MemoryNetwork {
        &self.network
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryTransport({})", self.address)
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.network.stop_listening(&self.address);
    }
}

impl Transport for MemoryTransport {
    fn local_address(&self) -> String {
        self.address.to_string()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async {
            match self.incoming.lock().await.recv().await {
                Some(link) => Ok(link),
                // Killed. A dead process gets no answer from its listener either.
                None => std::future::pending().await,
            }
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(self.network.dial(&self.address, address))
    }
}

/// One side of a link; both halves share it, and the link closes when both are dropped.
pub(super) struct End {
    network: MemoryNetwork,
    link: u64,
    side: SideIndex,
}

impl End {
    pub(super) fn new(network: MemoryNetwork, link: u64, side: SideIndex) -> Self {
        Self { network, link, side }
    }

    /// Makes the link that users hold.
    pub(super) fn into_link(self, remote: &str) -> Link {
        let end = Arc::new(self);
        let receiver =
            Receiver { end: Arc::clone(&end), limits: FrameLimits::HANDSHAKE, broken: None, timer: None };
        Link {
            sender: Arc::new(Sender(end)),
            receiver: Box::new(receiver),
            remote: remote.to_owned(),
            fingerprint: None,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut LinkState, SideIndex, &mut super::link::At<'_>) -> T) -> T {
        self.network.with_link(self.link, |link, at| act(link, self.side, at))
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} side {}", self.link, self.side)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.network.drop_end(self.link, self.side);
    }
}

#[derive(Debug)]
struct Sender(Arc<End>);

impl LinkSender for Sender {
    fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        debug_assert_eq!(frame.header.payload_bytes as usize, frame.body.payload.len(), "header and payload");
        debug_assert_eq!(usize::from(frame.header.part_count), frame.body.parts.len(), "header and parts");
        self.0.with(|link, side, at| link.send(side, frame, flush, at))
    }

    /// The network is the system here, and takes everything at once.
    fn send_marked(&self, frame: Frame, flush: Flush, mark: WriteMark) -> Result<(), LinkClosed> {
        self.send(frame, flush)?;
        mark.written();
        Ok(())
    }

    fn flush(&self) {
        self.0.with(|link, side, at| link.flush(side, at));
    }

    fn queued_bytes(&self) -> u64 {
        self.0.with(|link, side, _| link.queued_bytes(side))
    }

    fn carrier(&self) -> &str {
        "memory"
    }

    fn close(&self, when: Close) {
        self.0.with(|link, side, at| link.close(side, when, at));
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        let mut phase = self.0.with(|link, side, _| link.phase(side));
        // Not the end itself: waiting for a link to close must not keep it open.
        let (network, link) = (self.0.network.clone(), self.0.link);
        Box::pin(async move {
            loop {
                let now = *phase.borrow_and_update();
                let changed = match now {
                    Phase::Closed => return,
                    Phase::Open => Ok(phase.changed().await),
                    Phase::Closing { until } => tokio::time::timeout_at(until, phase.changed()).await,
                };
                match changed {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return, // Nobody holds the link any more.
                    Err(_) => network.advance(link),
                }
            }
        })
    }
}

#[derive(Debug)]
struct Receiver {
    end: Arc<End>,
    limits: FrameLimits,
    /// Why it refuses to read on.
    broken: Option<LinkError>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Receiver {
    fn check(&mut self, frame: Frame) -> Result<Frame, LinkError> {
        // As off a socket: first the header alone, then with the lengths of the parts.
        let checked = self
            .limits
            .check(&frame.header, u64::from(frame.header.payload_bytes))
            .and_then(|()| self.limits.check(&frame.header, frame.body.len_bytes()));
        match checked {
            Ok(()) => Ok(frame),
            Err(violation) => {
                let error = LinkError::from(violation);
                self.broken = Some(error.clone());
                Err(error)
            }
        }
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
        if let Some(error) = &self.broken {
            return Poll::Ready(Err(error.clone()));
        }
        loop {
            match self.end.with(|link, side, at| link.recv(side, cx.waker(), at)) {
                Next::Frame(frame) => return Poll::Ready(self.check(frame).map(Some)),
                Next::End(end) => return Poll::Ready(end.map(|()| None)),
                Next::Wait(None) => {
                    self.timer = None;
                    return Poll::Pending;
                }
                Next::Wait(Some(at)) => ready!(self.poll_timer(cx, at)),
            }
        }
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }
}
