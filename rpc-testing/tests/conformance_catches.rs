//! The conformance suite fails transports that break a promise, each by the case that is about it.
//!
//! On a paused clock, so that a case that waits in vain fails at once.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rpc_core::framing::has_bulk;
use rpc_core::{
    BoxFuture, Close, Flush, Frame, FrameLimits, Link, LinkClosed, LinkError, LinkReceiver, LinkSender,
    Transport, wire,
};
use rpc_testing::conformance::{self, Rig};
use rpc_testing::{MemoryNetwork, MemoryTransport, Rule};

/// How a transport is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Every tenth frame is lost.
    Loses,
    /// Pairs of frames change places.
    Reorders,
    /// The last part is cut off.
    CutsParts,
    /// Limits are not looked at.
    IgnoresLimits,
    /// A frame for later stays where it is, flush or not.
    ForgetsFlush,
    /// Urgent frames wait like all others.
    HasOneLane,
    /// Reading goes on for ever after the end.
    NeverEnds,
    /// Frames with bulk are lost, and nobody is told.
    LosesBulk,
    /// A read that was begun must be seen through.
    LosesCancelledReads,
}

#[derive(Debug)]
struct BrokenRig(MemoryNetwork, Fault);

impl Rig for BrokenRig {
    fn bind(&self) -> BoxFuture<'_, io::Result<Arc<dyn Transport>>> {
        Box::pin(async { Ok(Arc::new(Broken(self.0.transport(), self.1)) as Arc<dyn Transport>) })
    }
}

#[derive(Debug)]
struct Broken(MemoryTransport, Fault);

impl Broken {
    fn spoil(&self, link: Link) -> Link {
        let fault = self.1;
        let mut receiver = BrokenReceiver { inner: link.receiver, fault, passed: None, waiting: None };
        receiver.set_limits(FrameLimits::HANDSHAKE);
        Link {
            sender: Arc::new(BrokenSender(link.sender, fault)),
            receiver: Box::new(receiver),
            remote: link.remote,
            fingerprint: link.fingerprint,
        }
    }
}

impl Transport for Broken {
    fn local_address(&self) -> String {
        self.0.local_address()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async { Ok(self.spoil(self.0.accept().await?)) })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move { Ok(self.spoil(self.0.connect(address).await?)) })
    }
}

/// What replies are disguised as, to get into the lane of requests.
const IN_THE_WRONG_LANE: u8 = 0xff;

#[derive(Debug)]
struct BrokenSender(Arc<dyn LinkSender>, Fault);

impl LinkSender for BrokenSender {
    fn send(&self, mut frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        if self.1 == Fault::HasOneLane && frame.header.is_urgent() {
            frame.header.kind = IN_THE_WRONG_LANE;
        }
        self.0.send(frame, flush)
    }

    fn flush(&self) {
        if self.1 != Fault::ForgetsFlush {
            self.0.flush();
        }
    }

    fn queued_bytes(&self) -> u64 {
        self.0.queued_bytes()
    }

    fn close(&self, when: Close) {
        self.0.close(when);
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        self.0.closed()
    }
}

#[derive(Debug)]
struct BrokenReceiver {
    inner: Box<dyn LinkReceiver>,
    fault: Fault,
    /// The frame whose place another has taken.
    passed: Option<Frame>,
    /// Whose read is under way.
    waiting: Option<Waker>,
}

impl LinkReceiver for BrokenReceiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>> {
        if let Some(frame) = self.passed.take() {
            return Poll::Ready(Ok(Some(frame)));
        }
        let mut frame = match (self.inner.poll_recv(cx), self.fault) {
            (Poll::Ready(Ok(Some(frame))), Fault::LosesBulk) if has_bulk(&frame) => {
                return self.poll_recv(cx);
            }
            (Poll::Ready(Ok(Some(frame))), _) => frame,
            (Poll::Pending, _) => {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            (Poll::Ready(Ok(None) | Err(_)), Fault::NeverEnds) => return Poll::Pending,
            (end, _) => return end,
        };
        let begun_by_another = self.waiting.take().is_some_and(|waker| !waker.will_wake(cx.waker()));
        match self.fault {
            Fault::Reorders if frame.header.call > 0 => {
                if let Poll::Ready(Ok(Some(next))) = self.inner.poll_recv(cx) {
                    self.passed = Some(std::mem::replace(&mut frame, next));
                }
            }
            Fault::CutsParts => drop(frame.body.parts.pop()),
            Fault::HasOneLane if frame.header.kind == IN_THE_WRONG_LANE => {
                frame.header.kind = wire::frame::REPLY;
            }
            Fault::LosesCancelledReads if begun_by_another => return Poll::Pending,
            _ => {}
        }
        Poll::Ready(Ok(Some(frame)))
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        let everything = FrameLimits { message_bytes_max: u64::MAX, parts_max: u32::MAX };
        self.inner.set_limits(if self.fault == Fault::IgnoresLimits { everything } else { limits });
    }
}

fn broken(fault: Fault) -> Arc<dyn Rig> {
    let network = MemoryNetwork::new();
    if fault == Fault::Loses {
        network.add(Rule::drop().requests().probability(0.1));
    }
    Arc::new(BrokenRig(network, fault))
}

macro_rules! catches {
    ($($name:ident: $case:ident catches $fault:ident as $text:literal;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            #[should_panic(expected = $text)]
            async fn $name() {
                conformance::$case(broken(Fault::$fault)).await;
            }
        )*
    };
}

catches! {
    a_lost_frame: frames_of_a_lane_arrive_in_order catches Loses as "in vain for the next frame";
    a_frame_out_of_order: frames_of_a_lane_arrive_in_order catches Reorders as "in one lane";
    a_lost_part: parts_arrive_apart_and_aligned catches CutsParts as "parts of call";
    a_wide_handshake: a_new_link_takes_no_more_than_a_handshake catches IgnoresLimits as "expected a violation";
    a_wide_limit: limits_are_for_payload_and_parts_together catches IgnoresLimits as "expected a violation";
    a_forgotten_flush: every_kind_of_flush_delivers catches ForgetsFlush as "in vain for the next frame";
    a_single_lane: an_urgent_frame_passes_those_that_wait catches HasOneLane as "before the urgent one";
    a_large_frame_in_the_way: a_small_frame_passes_a_large_one catches Reorders as "before the small one";
    a_call_out_of_order: frames_of_a_call_keep_their_order catches Reorders as "overtook another";
    a_hasty_goodbye: a_goodbye_overtakes_nothing catches Reorders as "the goodbye overtook";
    a_reader_without_end: closing_delivers_what_was_queued catches NeverEnds as "in vain for the end";
    a_dead_peer_unnoticed: dropping_both_halves_ends_the_link catches NeverEnds as "in vain for the end";
    frames_lost_at_the_close: closing_delivers_what_was_queued catches LosesBulk as "not at its end";
    a_read_lost_when_cancelled: cancelled_reads_lose_nothing catches LosesCancelledReads as "in vain for a frame";
}

/// On the clock of the system, because the case waits for a thread of its own.
#[tokio::test]
#[should_panic(expected = "as if in order")]
async fn a_loss_that_is_hushed_up() {
    conformance::a_sender_that_dies_cuts_no_frame_short(broken(Fault::LosesBulk)).await;
}
