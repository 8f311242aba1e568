//! [`QuicTransport`]: one UDP socket for all links of a worker, dialled and accepted.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{ConnectError, Connection, Endpoint, TokioRuntime};
use rpc_core::{BindOptions, BoxFuture, Group, Link, LinkSecurity, Transport, TransportBackend};
use rpc_security::Roster;
use tokio::net::lookup_host;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};

use crate::bounds::{ACCEPTED_MAX, DIAL_ADDRESS_TIMEOUT, DIAL_KNOCK_INTERVAL};
use crate::config::{self, Configs};
use crate::door;
use crate::end;
use crate::socket::{self, Socket};
use crate::vigil::{self, Watched};

/// The name in the TLS handshake. Certificates are compared by their fingerprints, so it means nothing, and it
/// is not sent.
const SERVER_NAME: &str = "0.0.0.0";

/// What a transport without an identity says.
const NO_IDENTITY: &str = "QUIC links need a certificate; give the worker's identity in \
                           BindOptions::security.identity (rpc_security::generate() makes one)";

/// The backend called `quic`, for a [`BackendRegistry`](rpc_core::BackendRegistry).
///
/// Its links are encrypted and held to the group's certificates whatever
/// [`Protection`](rpc_core::Protection) is asked for; it needs an identity for that.
pub fn backend() -> TransportBackend {
    TransportBackend::new("quic", QuicTransport::bind).protecting(|security: &LinkSecurity| {
        security.identity.as_ref().map(drop).ok_or_else(|| NO_IDENTITY.to_owned())
    })
}

/// Makes and accepts QUIC links.
///
/// Links belong to the tokio runtime in which the transport was bound; frames may be sent from any thread.
/// Nobody is let in, and nobody dialled, before [`trust`](Transport::trust) has said who the group is.
pub struct QuicTransport {
    endpoint: Endpoint,
    configs: Configs,
    roster: Roster,
    watched: Arc<Watched>,
    accepted: Mutex<mpsc::Receiver<Link>>,
    address: String,
}

impl QuicTransport {
    /// Listens on the UDP address `options.bind`, `host:port`; port 0 is any free one. Of a name with several
    /// addresses the first that can be bound is taken.
    ///
    /// # Errors
    /// The system's, for the last address that was tried. [`io::ErrorKind::InvalidInput`] if all addresses of
    /// the host are listened on and `options.advertise_host` does not say which one peers can reach, or if
    /// `options.security` has no identity.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn bind(options: BindOptions) -> io::Result<Self> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let identity = options.security.identity.as_ref().ok_or_else(|| invalid(NO_IDENTITY.to_owned()))?;
        let roster = Roster::default();
        let configs = Configs::new(identity, &roster)?;
        let socket = listen(&options.bind).await?;
        let bound = socket.local_addr()?;
        let address = match options.advertise_host {
            Some(host) => advertised(&host, bound.port()),
            None if bound.ip().is_unspecified() => {
                return Err(invalid(format!(
                    "{} means every address of this host, so peers cannot be told where to connect; \
                     set advertise_host to the name or address under which they reach it",
                    bound.ip()
                )));
            }
            None => bound.to_string(),
        };
        let socket = Arc::new(Socket::new(socket)?);
        let (config, server, runtime) =
            (config::endpoint()?, Some(configs.listening()), Arc::new(TokioRuntime));
        let endpoint = Endpoint::new_with_abstract_socket(config, server, socket, runtime)?;
        let watched = Arc::default();
        tokio::spawn(vigil::run(Arc::downgrade(&watched)));
        let (accepted_to, accepted) = mpsc::channel(ACCEPTED_MAX);
        tokio::spawn(door::run(endpoint.clone(), configs.clone(), Arc::clone(&watched), accepted_to));
        Ok(Self { endpoint, configs, roster, watched, accepted: Mutex::new(accepted), address })
    }

    async fn dial(&self, peer: SocketAddr) -> io::Result<Connection> {
        let config = self.configs.client.to(peer.ip()).clone();
        let connecting = self.endpoint.connect_with(config, peer, SERVER_NAME).map_err(not_dialled)?;
        // Again and again: whoever is stopped when it is dialled has its port open, and may end afterwards.
        let refused = async {
            loop {
                match vigil::knock(peer).await {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return error,
                    _ => sleep(DIAL_KNOCK_INTERVAL).await,
                }
            }
        };
        tokio::select! {
            biased;
            connected = connecting => connected.map_err(|error| end::as_io(&error)),
            error = refused => Err(error),
        }
    }
}

impl Transport for QuicTransport {
    fn local_address(&self) -> String {
        self.address.clone()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async {
            let link = self.accepted.lock().await.recv().await;
            link.ok_or_else(|| {
                io::Error::other("the UDP socket has failed; this worker cannot be reached any more")
            })
        })
    }

    /// Tries the addresses of a name in turn, each for a bounded time but the last.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let mut candidates = lookup_host(address).await?.peekable();
            let mut last = None;
            while let Some(candidate) = candidates.next() {
                let dialling = self.dial(candidate);
                let dialled = if candidates.peek().is_none() {
                    dialling.await
                } else {
                    timeout(DIAL_ADDRESS_TIMEOUT, dialling)
                        .await
                        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                };
                match dialled {
                    Ok(connection) => {
                        let link = door::link(connection, &self.watched).await;
                        return link.ok_or_else(|| io::ErrorKind::ConnectionReset.into());
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| no_address(address)))
        })
    }

    fn trust(&self, group: &Group) {
        self.roster.trust(group);
    }
}

/// Nobody accepts any more: who dials is refused. Links live on.
impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicTransport({})", self.address)
    }
}

fn not_dialled(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::InvalidRemoteAddress(_) => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

async fn listen(bind: &str) -> io::Result<UdpSocket> {
    let mut last = None;
    for address in lookup_host(bind).await? {
        match socket::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| no_address(bind)))
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
