//! [`TcpTransport`]: listening, accepting and dialling.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rpc_core::{BindOptions, BoxFuture, Group, Link, PartPool, Transport, TransportBackend};

use crate::address::Address;
use crate::bounds::{POOL_BYTES_MAX, POOL_TRIM_INTERVAL};
use crate::channel::Source;
use crate::dial::dial;
use crate::door::{self, Door, Passed};
use crate::flusher;
use crate::link::Shared;
use crate::listeners::{Listeners, listen};
use crate::local::Local;
use crate::receiver::TcpReceiver;
use crate::reception::Reception;
use crate::sender::TcpSender;

/// The backend called `tcp`, for a [`BackendRegistry`](rpc_core::BackendRegistry).
pub fn backend() -> TransportBackend {
    TransportBackend::new("tcp", TcpTransport::bind).protecting(door::missing)
}

/// Makes and accepts TCP links, and local ones between processes of one machine (see the crate's documentation).
///
/// Links belong to the tokio runtime in which they were accepted or dialled; frames may be sent from any
/// thread.
pub struct TcpTransport {
    incoming: Incoming,
    door: Arc<Door>,
    address: String,
    /// This machine, if links to processes of it are to be local.
    machine: Option<String>,
    /// Where large messages arrive, of all links.
    pool: PartPool,
}

/// Where accepted links come from.
enum Incoming {
    /// Straight from the listeners: nothing has to be waited for.
    Direct(Listeners),
    Received(Reception),
}

impl TcpTransport {
    /// Listens on `options.bind`, `host:port`; port 0 is any free one. Of a name with several addresses
    /// the first that can be bound is taken. Unless links are encrypted or `options.local_links` is false, it
    /// listens for processes of this machine as well, where the system has a way for them.
    ///
    /// # Errors
    /// The system's, for the last address that was tried. [`io::ErrorKind::InvalidInput`] if all addresses
    /// of the host are listened on and `options.advertise_host` does not say which one peers can reach.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn bind(options: BindOptions) -> io::Result<Self> {
        let door = Arc::new(Door::new(&options.security)?);
        let port = listen(&options.bind).await?;
        let bound = port.local_addr()?;
        let host_and_port = match options.advertise_host {
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
        let local = (options.local_links && door.admits_local()).then(local_way).flatten();
        let place = local.as_ref().map(Local::place);
        let address = Address { host_and_port: &host_and_port, local: place }.to_string();
        let machine = place.map(|place| place.machine.to_owned());
        let listeners = Listeners::new(port, local);
        let pool = PartPool::new(POOL_BYTES_MAX);
        tokio::spawn(pool.tend(POOL_TRIM_INTERVAL));
        let incoming = if door.is_open() {
            Incoming::Direct(listeners)
        } else {
            Incoming::Received(Reception::open(listeners, Arc::clone(&door), pool.clone()))
        };
        Ok(Self { incoming, door, address, machine, pool })
    }
}

/// `None` where there is none: TCP is for everybody then.
fn local_way() -> Option<Local> {
    Local::bind()
        .inspect_err(|error| tracing::debug!(%error, "no local links on this system; all are TCP"))
        .ok()
}

impl Transport for TcpTransport {
    fn local_address(&self) -> String {
        self.address.clone()
    }

    fn shown_address<'a>(&self, address: &'a str) -> &'a str {
        Address::parse(address).host_and_port
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async {
            let listeners = match &self.incoming {
                Incoming::Direct(listeners) => listeners,
                Incoming::Received(reception) => return reception.next().await,
            };
            loop {
                let (stream, peer) = listeners.accept().await?;
                // Nothing is awaited from here on, so a link that was accepted is never lost.
                match link(Passed::plain(stream), &peer, &self.pool) {
                    Ok(link) => return Ok(link),
                    Err(error) => {
                        tracing::debug!(peer, %error, "the peer has gone before its link was set up")
                    }
                }
            }
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let (stream, peer) = dial(address, self.machine.as_deref()).await?;
            link(self.door.connect(stream).await?, &peer, &self.pool)
        })
    }

    fn trust(&self, group: &Group) {
        self.door.trust(group);
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = if self.machine.is_some() { ", local links on" } else { "" };
        write!(f, "TcpTransport({}{local})", self.shown_address(&self.address))
    }
}

/// Makes a link, to what is called `peer`, of what has passed the door. What is large arrives in memory of `pool`.
pub(crate) fn link(passed: Passed, peer: &str, pool: &PartPool) -> io::Result<Link> {
    let Passed { stream, channel, fingerprint } = passed;
    stream.configure()?;
    let (read, write) = stream.into_split();
    let source = Source::new(&channel);
    let shared = Arc::new(Shared::new(write, channel));
    tokio::spawn(flusher::run(Arc::clone(&shared)));
    tracing::debug!("a link to {peer}");
    Ok(Link {
        receiver: Box::new(TcpReceiver::new(read, source, Arc::clone(&shared), pool.clone())),
        sender: Arc::new(TcpSender::new(shared)),
        remote: peer.to_owned(),
        fingerprint,
    })
}

fn advertised(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}
