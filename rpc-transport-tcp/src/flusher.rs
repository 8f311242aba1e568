//! The task of a link that writes what callers leave, and ends the link in order.

use std::io;
use std::sync::Arc;

use rpc_core::LinkError;
use tokio::time::timeout;

use crate::bounds::{CLOSE_STALL_TIMEOUT, FLUSHER_WRITE_BYTES, LINGER_TIMEOUT, VIGIL_INTERVAL};
use crate::link::{Reading, Shared, Turn};
use crate::stream::WriteHalf;

/// Bytes taken off the socket at a time when nobody wants them any more.
const DISCARD_BYTES: usize = 16 << 10;

/// Runs until the link has ended.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    // Made here and not in the task, which a runtime that shuts down may drop before its first poll.
    let shared = EndOnDrop(shared);
    async move {
        let shared = &*shared.0;
        tokio::select! {
            () = drive(shared) => {}
            error = shared.socket().host_lost(VIGIL_INTERVAL) => shared.fail(error.into()),
        }
    }
}

async fn drive(shared: &Shared) {
    loop {
        match shared.write_as_flusher(FLUSHER_WRITE_BYTES) {
            Turn::Idle => shared.wake.notified().await,
            Turn::Unfinished => tokio::task::yield_now().await,
            Turn::Blocked => {
                if let Err(error) = wait_for_room(shared).await {
                    shared.fail(error.into());
                }
            }
            Turn::Drained => {
                shared.finish_writing();
                shared.write_ended.send_replace(true);
                return linger(shared).await;
            }
            Turn::Closed => return,
        }
    }
}

/// Waits until the socket takes more, or until something else has changed.
async fn wait_for_room(shared: &Shared) -> io::Result<()> {
    if shared.is_draining() {
        let stalled =
            |_| io::Error::new(io::ErrorKind::TimedOut, "the peer took nothing while the link was closing");
        return timeout(CLOSE_STALL_TIMEOUT, shared.socket().writable()).await.map_err(stalled)?;
    }
    tokio::select! {
        ready = shared.socket().writable() => ready,
        () = shared.wake.notified() => Ok(()),
    }
}

/// After our end: waits for the peer's, which the receiver sees.
///
/// A socket that is closed with unread bytes in it resets the connection, and a reset destroys what is
/// still on its way to the peer. So what nobody reads is read and dropped here.
async fn linger(shared: &Shared) {
    let peers_end = async {
        let mut reading = shared.reading.subscribe();
        let state = reading.wait_for(|state| *state != Reading::Open).await.map(|state| *state);
        if matches!(state, Ok(Reading::Abandoned)) {
            discard(shared.socket()).await;
        }
    };
    let _ = timeout(LINGER_TIMEOUT, peers_end).await;
    shared.cut();
}

/// Reads until the peer's end or an error.
async fn discard(socket: &WriteHalf) {
    let mut scratch = vec![0; DISCARD_BYTES];
    while socket.readable().await.is_ok() {
        match socket.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(_) => tokio::task::consume_budget().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Ends the link also when the runtime shuts down and drops the task.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if !self.0.write_ended.send_replace(true) {
            let gone = io::Error::new(io::ErrorKind::ConnectionAborted, "the link's task has ended");
            self.0.fail(LinkError::from(gone));
        }
    }
}
