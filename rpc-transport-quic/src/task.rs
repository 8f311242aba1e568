//! The task of a link: writes what callers leave, and ends the link in order.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use rpc_core::LinkError;
use tokio::time::{sleep, timeout};

use crate::bounds::{CLOSE_ENDED_TIMEOUT, CLOSE_GRACE, CLOSE_STALL_TIMEOUT, FAREWELL_TIME, LINGER_TIMEOUT};
use crate::link::{Reading, Shared, Turn, Until};

/// Runs until the link has ended.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    // Made here and not in the task, which a runtime that shuts down may drop before its first poll.
    let shared = EndOnDrop(shared);
    async move {
        let shared = &*shared.0;
        tokio::select! {
            () = drive(shared) => {}
            _ = shared.connection().closed() => shared.lost(),
        }
        // The connection's task sends the last datagram. Who waits for `closed` may end the runtime next.
        sleep(FAREWELL_TIME).await;
    }
}

async fn drive(shared: &Shared) {
    match poll_fn(|cx| shared.poll_write(cx, Until::Draining)).await {
        Turn::Closed => {}
        Turn::Draining => drain(shared).await,
        Turn::Drained => end(shared).await,
    }
}

/// Writes what is left, as long as there is progress.
async fn drain(shared: &Shared) {
    loop {
        let before = progress(shared);
        match timeout(CLOSE_STALL_TIMEOUT, poll_fn(|cx| shared.poll_write(cx, Until::Drained))).await {
            Ok(Turn::Closed) => return,
            Ok(Turn::Draining | Turn::Drained) => return end(shared).await,
            Err(_) if progress(shared) != before => {}
            Err(_) => return stalled(shared),
        }
    }
}

/// Changes when the peer has made room, or, once everything is on its way, when it has acknowledged something.
fn progress(shared: &Shared) -> (u64, u64) {
    match shared.queued_bytes() {
        0 => (0, shared.datagrams_received()),
        queued => (queued, 0),
    }
}

fn stalled(shared: &Shared) {
    let text = "the peer took nothing while the link was closing";
    shared.fail(io::Error::new(io::ErrorKind::TimedOut, text).into());
}

/// Ends our side, and waits until the peer has all of it. Then waits for the peer's end.
///
/// The end of the connection destroys what is still on its way, so it has to come last. `closed` resolves
/// earlier, when everything has arrived; a short wait before that lets two sides that close at the same time,
/// as those of a group do that shuts down, see each other's end, so that none of them waits for the acknowledgement of
/// a process that has ended.
async fn end(shared: &Shared) {
    let mut arrived = std::pin::pin!(shared.finish_lanes());
    loop {
        let before = shared.datagrams_received();
        // Who has ended its side may have left since.
        let ended = *shared.reading.borrow() == Reading::Ended;
        let patience = if ended { CLOSE_ENDED_TIMEOUT } else { CLOSE_STALL_TIMEOUT };
        match timeout(patience, &mut arrived).await {
            Ok(()) => break,
            // It acknowledges something, so it is there.
            Err(_) if shared.datagrams_received() != before => {}
            Err(_) => return stalled(shared),
        }
    }
    shared.finish_writing();
    let mut reading = shared.reading.subscribe();
    let mut peers_end = std::pin::pin!(reading.wait_for(|state| *state != Reading::Open));
    if timeout(CLOSE_GRACE, &mut peers_end).await.is_err() {
        shared.write_ended.send_replace(true);
        let _ = timeout(LINGER_TIMEOUT, &mut peers_end).await;
    }
    shared.cut();
}

/// Says that the link has ended, also when the runtime shuts down and drops the task.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if !self.0.is_closed() {
            let gone = io::Error::new(io::ErrorKind::ConnectionAborted, "the link's task has ended");
            self.0.fail(LinkError::from(gone));
        }
        self.0.write_ended.send_replace(true);
    }
}
