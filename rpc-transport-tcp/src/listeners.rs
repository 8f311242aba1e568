//! [`Listeners`]: where connections come from.

use std::io;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::bounds::BACKLOG;
use crate::local::Local;
use crate::stream::Stream;

/// A port, and the way for processes of this machine where there is one.
#[derive(Debug)]
pub(crate) struct Listeners {
    port: TcpListener,
    local: Option<Local>,
}

impl Listeners {
    pub(crate) fn new(port: TcpListener, local: Option<Local>) -> Self {
        Self { port, local }
    }

    /// The next connection that is there, and what to call its other end. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, String)> {
        match &self.local {
            None => accept_at(&self.port).await,
            // Whichever has one; if both do, chance decides, so that neither keeps the other waiting.
            Some(local) => tokio::select! {
                accepted = accept_at(&self.port) => accepted,
                accepted = local.accept() => accepted,
            },
        }
    }
}

async fn accept_at(port: &TcpListener) -> io::Result<(Stream, String)> {
    loop {
        match port.accept().await {
            Err(error) if concerns_one_peer(&error) => {}
            Err(error) => return Err(error),
            Ok((stream, peer)) => return Ok((Stream::Tcp(stream), format!("tcp {peer}"))),
        }
    }
}

/// Listens on `host:port`. Of a name with several addresses the first that can be bound is taken.
pub(crate) async fn listen(bind: &str) -> io::Result<TcpListener> {
    let mut last = None;
    for address in lookup_host(bind).await? {
        let listening = (|| {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A worker that starts again must not wait for the links of its former life to time out. On
            // Windows this option would let two programs share the port.
            #[cfg(not(windows))]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })();
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| crate::dial::no_address(bind)))
}

/// Errors of `accept` that are about a connection that ended before it was accepted.
fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
