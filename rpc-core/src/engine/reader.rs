//! Reads one link: completes replies, hands requests to the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::handlers::AtHand;
use super::pace::Pace;
use super::peer::{Peer, timeout_of};
use super::service::{self, AnswerTo, Origin};
use super::shared::Shared;
use crate::error::Violation;
use crate::message::{Kind, Outcome, Response};
use crate::transport::{Frame, Link, LinkError, LinkReceiver, LinkSender};
use crate::wire::frame;

/// Frames handled before other tasks of the runtime get their turn.
const BATCH: usize = 256;

/// Reads `link` in a task of its own until it ends.
pub(super) fn start(shared: &Arc<Shared>, peer: &Arc<Peer>, link: Link, number: u32) {
    let to = AnswerTo::Link { sender: Arc::clone(&link.sender), number };
    let reader = Reader {
        shared: Arc::clone(shared),
        peer: Arc::clone(peer),
        origin: Arc::new(Origin { shared: Arc::clone(shared), peer: Arc::clone(peer), to }),
        sender: link.sender,
        receiver: link.receiver,
        number,
        handlers: AtHand::default(),
        pace: Pace::new(),
        cause: "the engine stopped reading it".into(),
    };
    shared.spawn(reader.run());
}

pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    pub(super) sender: Arc<dyn LinkSender>,
    receiver: Box<dyn LinkReceiver>,
    pub(super) number: u32,
    /// Of the requests on this link.
    pub(super) origin: Arc<Origin>,
    pub(super) handlers: AtHand,
    pace: Pace,
    cause: String,
}

/// However the reading ends, by a panic or with the runtime too, the link ends with it.
impl Drop for Reader {
    fn drop(&mut self) {
        self.peer.link_down(&self.shared, self.number, &self.cause);
    }
}

/// Why a link is read no more.
enum End {
    /// The peer has closed it.
    Closed,
    Failed(LinkError),
}

impl Reader {
    async fn run(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.cause = match end {
            End::Closed => "the peer closed it".to_owned(),
            End::Failed(error) => error.to_string(),
        };
        match &self.shared {
            shared if shared.is_closed() => {}
            _ => {
                tracing::debug!(peer = %self.peer.member.info, link = self.number, cause = self.cause, "link down")
            }
        }
    }

    /// Handles what has come. Its answers leave in shares (see [`Pace`]), and the last ones when there is no more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.mark_driver_thread();
        let mut now = Instant::now();
        self.pace.begin(now);
        for _ in 0..BATCH {
            let (call, handled) = match self.receiver.poll_recv(cx) {
                Poll::Pending => {
                    self.sender.flush();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Some(frame))) => (frame.header.call, self.handle(frame, now)),
                Poll::Ready(Ok(None)) => return Poll::Ready(End::Closed),
                Poll::Ready(Err(LinkError::Violation(violation))) => {
                    return Poll::Ready(self.violated(violation));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(End::Failed(error)),
            };
            if let Err(violation) = handled {
                return Poll::Ready(self.violated(violation));
            }
            if self.pace.count(call) {
                now = Instant::now();
                self.pace.pause(now);
                self.sender.flush();
                if self.sender.writes_in_task() {
                    break;
                }
            }
        }
        self.sender.flush();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn violated(&self, violation: Violation) -> End {
        tracing::warn!(peer = %self.peer.member.info, "closing the link: the peer {violation}");
        End::Failed(violation.into())
    }

    fn handle(&mut self, frame: Frame, now: Instant) -> Result<(), Violation> {
        let header = frame.header;
        match header.kind {
            frame::REPLY => {
                let code = u8::try_from(header.method).unwrap_or(u8::MAX);
                let outcome = Outcome::from_wire(code).ok_or(Violation::UnknownOutcome(code))?;
                let response = Response { outcome, codec: header.codec, body: frame.body };
                self.peer.complete(&self.shared, header.call, response);
                Ok(())
            }
            frame::CANCEL => {
                let context = self.peer.running.lock().context(header.call);
                if let Some(context) = context {
                    context.cancel();
                }
                Ok(())
            }
            frame::DEADLINE => {
                self.peer.running.lock().set_timeout(header.call, timeout_of(header.budget_us));
                Ok(())
            }
            frame::GOODBYE => {
                self.peer.departed(&self.shared);
                Ok(())
            }
            frame::HELLO | frame::WELCOME | frame::REJECT => Err(Violation::HandshakeTwice),
            request if request >= Kind::REQUEST_FIRST => service::serve(self, frame, now),
            unknown => Err(Violation::UnknownFrame(unknown)),
        }
    }
}
