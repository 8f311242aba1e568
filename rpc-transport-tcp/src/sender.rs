//! [`TcpSender`]: the writing end as the engine sees it.

use std::sync::Arc;

use rpc_core::{BoxFuture, Close, Flush, Frame, LinkClosed, LinkSender, WriteMark};

use crate::link::Shared;

/// The writing end of a link. Dropping it closes the link after what is queued.
#[derive(Debug)]
pub(crate) struct TcpSender(Arc<Shared>);

impl TcpSender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl LinkSender for TcpSender {
    fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        self.0.send(frame, flush)
    }

    fn send_marked(&self, frame: Frame, flush: Flush, mark: WriteMark) -> Result<(), LinkClosed> {
        self.0.send_marked(frame, flush, mark)
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn queued_bytes(&self) -> u64 {
        self.0.queued_bytes()
    }

    fn carrier(&self) -> &str {
        self.0.carrier()
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

impl Drop for TcpSender {
    fn drop(&mut self) {
        self.0.close(Close::AfterQueued);
    }
}
