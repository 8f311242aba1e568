//! The two ordered streams of a link that carry the heads of its frames: the sending side.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quinn::{Connection, ConnectionError, SendStream, WriteError};
use rpc_core::framing::{Batch, Lane, Outbox};

use crate::wire;

/// Priorities among the streams of a connection: what has a higher one leaves first. Items have 0.
const PRIORITY_URGENT: i32 = 2;
const PRIORITY_NORMAL: i32 = 1;

/// The sending side of a lane.
pub(crate) struct LaneOut {
    stream: SendStream,
    /// Heads that the stream has not taken yet.
    batch: Batch,
    /// The stream is full, and the link's task waits for room in it.
    blocked: bool,
}

/// Opens both lanes. Each begins with the byte that says which one it is.
///
/// # Errors
/// Of the connection.
pub(crate) async fn open(connection: &Connection) -> Result<[LaneOut; 2], ConnectionError> {
    let open = async |lane, priority| {
        let mut stream = connection.open_uni().await?;
        // Fails for streams that are closed, which is seen anyway.
        let _ = stream.set_priority(priority);
        match stream.write_all(&[wire::lane_kind(lane)]).await {
            Ok(()) => Ok(LaneOut { stream, batch: Batch::default(), blocked: false }),
            Err(WriteError::ConnectionLost(lost)) => Err(lost),
            Err(_) => Err(ConnectionError::Reset),
        }
    };
    Ok([open(Lane::Urgent, PRIORITY_URGENT).await?, open(Lane::Normal, PRIORITY_NORMAL).await?])
}

impl LaneOut {
    /// Whether only the link's task may write.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Writes heads until none is left or the stream is full. Adds to `written` what it took of what was queued.
    pub(crate) fn poll_write(
        &mut self,
        lane: Lane,
        outbox: &mut Outbox,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            if self.batch.is_empty() {
                outbox.take_heads(lane, &mut self.batch);
            }
            let mut slice = [IoSlice::new(&[])];
            if self.batch.slices(&mut slice, usize::MAX) == 0 {
                self.blocked = false;
                return Poll::Ready(Ok(()));
            }
            self.blocked = true;
            let len = ready!(Pin::new(&mut self.stream).poll_write(cx, &slice[0]))?;
            self.batch.advance(len);
            *written += len as u64;
        }
    }

    /// Ends the stream. What is returned resolves when all of it has arrived, or never will.
    pub(crate) fn finish(&mut self) -> impl Future<Output = ()> + use<> {
        let _ = self.stream.finish();
        let stopped = self.stream.stopped();
        async move {
            let _ = stopped.await;
        }
    }

    /// Forgets what has not been written.
    pub(crate) fn clear(&mut self) {
        self.batch = Batch::default();
    }
}
