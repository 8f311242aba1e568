//! [`QuicSender`]: the writing end as the engine sees it.

use std::sync::Arc;

use rpc_core::{BoxFuture, Close, Flush, Frame, LinkClosed, LinkSender};

use crate::link::Shared;

/// The writing end of a QUIC link. Dropping it closes the link after what is queued.
#[derive(Debug)]
pub(crate) struct QuicSender(Arc<Shared>);

impl QuicSender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl LinkSender for QuicSender {
    fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        self.0.send(frame, flush)
    }

    fn flush(&self) {
        self.0.flush();
    }

    /// The connection's own task makes datagrams of it.
    fn writes_in_task(&self) -> bool {
        true
    }

    fn queued_bytes(&self) -> u64 {
        self.0.queued_bytes()
    }

    fn carrier(&self) -> &str {
        "quic"
    }

    fn close(&self, when: Close) {
        self.0.close(when);
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        let mut ended = self.0.write_ended.subscribe();
        Box::pin(async move {
            // An error means that the link is gone, and that is an end too.
            let _ = ended.wait_for(|ended| *ended).await;
        })
    }
}

impl Drop for QuicSender {
    fn drop(&mut self) {
        self.0.close(Close::AfterQueued);
    }
}
