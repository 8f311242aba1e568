//! [`Reception`]: accepts connections, and has them pass the door before they are links.
//!
//! The door takes round trips of a peer that nobody knows yet, so each connection does that on its own, in an
//! [`Anteroom`]. A link that is ready and not asked for waits within the time of its handshake.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Anteroom, Link, PartPool};
use rpc_security::EXCHANGE_TIME;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::bounds::{HANDSHAKES_MAX, READY_MAX};
use crate::door::Door;
use crate::listeners::Listeners;
use crate::transport::link;

/// Pause after an error of the listener, so that a lasting one does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where links come from that have passed the door.
#[derive(Debug)]
pub(crate) struct Reception {
    ready: Mutex<mpsc::Receiver<io::Result<Link>>>,
    receiving: AbortHandle,
}

impl Reception {
    /// Accepts connections until dropped.
    pub(crate) fn open(listeners: Listeners, door: Arc<Door>, pool: PartPool) -> Self {
        let (to_ready, ready) = mpsc::channel(READY_MAX);
        let receiving = tokio::spawn(receive(listeners, door, pool, to_ready)).abort_handle();
        Self { ready: Mutex::new(ready), receiving }
    }

    /// The next link. Cancel-safe.
    pub(crate) async fn next(&self) -> io::Result<Link> {
        let ended = || io::Error::new(io::ErrorKind::ConnectionAborted, "the runtime that accepts has ended");
        self.ready.lock().await.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

async fn receive(
    listeners: Listeners,
    door: Arc<Door>,
    pool: PartPool,
    ready: mpsc::Sender<io::Result<Link>>,
) {
    let anteroom = Anteroom::new("connections", HANDSHAKES_MAX, EXCHANGE_TIME);
    // Bounded by the anteroom; all of them end with this task.
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let (stream, peer) = match listeners.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if ready.send(Err(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, pool, ready, name) = (Arc::clone(&door), pool.clone(), ready.clone(), peer.clone());
        let handshake = anteroom.admit(async move {
            let link = door.accept(stream).await.and_then(|passed| link(passed, &name, &pool))?;
            // Whoever asked for links has gone if this fails, and the link with it.
            let _ = ready.send(Ok(link)).await;
            Ok::<_, io::Error>(())
        });
        handshakes.spawn(async move {
            match handshake.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(peer, %error, "refused a connection"),
                Err(dismissed) => {
                    tracing::debug!(peer, "closed a connection before it was a link: {dismissed}")
                }
            }
        });
    }
}
