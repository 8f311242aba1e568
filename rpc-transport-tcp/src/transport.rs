//! [`TcpTransport`]: listening, accepting and dialling.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rpc_core::{BindOptions, BoxFuture, Group, Link, Transport, TransportBackend};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::bounds::{BACKLOG, DIAL_ADDRESS_TIMEOUT};
use crate::channel::Source;
use crate::door::{self, Door, Passed};
use crate::flusher;
use crate::link::Shared;
use crate::receiver::TcpReceiver;
use crate::reception::Reception;
use crate::sender::TcpSender;
use crate::socket;

/// The backend called `tcp`, for a [`BackendRegistry`](rpc_core::BackendRegistry).
pub fn backend() -> TransportBackend {
    TransportBackend::new("tcp", TcpTransport::bind).protecting(door::missing)
}

/// Makes and accepts TCP links.
///
/// Links belong to the tokio runtime in which they were accepted or dialled; frames may be sent from any
/// thread.
pub struct TcpTransport {
    incoming: Incoming,
    door: Arc<Door>,
    address: String,
}

/// Where accepted links come from.
enum Incoming {
    /// Straight from the listener: nothing has to be waited for.
    Direct(TcpListener),
    Received(Reception),
}

impl TcpTransport {
    /// Listens on `options.bind`, `host:port`; port 0 is any free one. Of a name with several addresses
    /// the first that can be bound is taken.
    ///
    /// # Errors
    /// The system's, for the last address that was tried. [`io::ErrorKind::InvalidInput`] if all addresses
    /// of the host are listened on and `options.advertise_host` does not say which one peers can reach.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn bind(options: BindOptions) -> io::Result<Self> {
        let door = Arc::new(Door::new(&options.security)?);
        let listener = listen(&options.bind).await?;
        let bound = listener.local_addr()?;
        let address = match options.advertise_host {
            Some(host) => advertised(&host, bound.port()),
            None if bound.ip().is_unspecified() => {
                let text = format!(
                    "{} means every address of this host, so peers cannot be told where to connect; \
                     set advertise_host to the name or address under which they reach it",
                    bound.ip()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            None => bound.to_string(),
        };
        let incoming = if door.is_open() {
            Incoming::Direct(listener)
        } else {
            Incoming::Received(Reception::open(listener, Arc::clone(&door)))
        };
        Ok(Self { incoming, door, address })
    }
}

impl Transport for TcpTransport {
    fn local_address(&self) -> String {
        self.address.clone()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async {
            let listener = match &self.incoming {
                Incoming::Direct(listener) => listener,
                Incoming::Received(reception) => return reception.next().await,
            };
            loop {
                let (stream, peer) = accept_one(listener).await?;
                // Nothing is awaited from here on, so a link that was accepted is never lost.
                match link(Passed::plain(stream), peer) {
                    Ok(link) => return Ok(link),
                    Err(error) => {
                        tracing::debug!(%peer, %error, "the peer has gone before its link was set up")
                    }
                }
            }
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let (stream, peer) = dial(address).await?;
            link(self.door.connect(stream).await?, peer)
        })
    }

    fn trust(&self, group: &Group) {
        self.door.trust(group);
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpTransport({})", self.address)
    }
}

/// The next connection that is there.
pub(crate) async fn accept_one(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Err(error) if concerns_one_peer(&error) => {}
            accepted => return accepted,
        }
    }
}

/// Makes a link of what has passed the door.
pub(crate) fn link(passed: Passed, peer: SocketAddr) -> io::Result<Link> {
    let Passed { stream, channel, fingerprint } = passed;
    socket::configure(&stream)?;
    let (read, write) = stream.into_split();
    let source = Source::new(&channel);
    let shared = Arc::new(Shared::new(write, channel));
    tokio::spawn(flusher::run(Arc::clone(&shared)));
    Ok(Link {
        receiver: Box::new(TcpReceiver::new(read, source, Arc::clone(&shared))),
        sender: Arc::new(TcpSender::new(shared)),
        remote: peer.to_string(),
        fingerprint,
    })
}

async fn listen(bind: &str) -> io::Result<TcpListener> {
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
    Err(last.unwrap_or_else(|| no_address(bind)))
}

/// Tries the addresses of a name in turn, each for a bounded time but the last.
async fn dial(address: &str) -> io::Result<(TcpStream, SocketAddr)> {
    let mut candidates = lookup_host(address).await?.peekable();
    let mut last = None;
    while let Some(candidate) = candidates.next() {
        let connecting = TcpStream::connect(candidate);
        let connected = if candidates.peek().is_none() {
            connecting.await
        } else {
            timeout(DIAL_ADDRESS_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected.and_then(refuse_own_end) {
            Ok(stream) => return Ok((stream, candidate)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| no_address(address)))
}

/// Dialling a port of this host that nobody listens on can pick that same port as its own, and TCP then
/// connects the socket with itself.
fn refuse_own_end(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn no_address(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))
}

fn advertised(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

/// Errors of `accept` that are about a connection that ended before it was accepted.
fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
