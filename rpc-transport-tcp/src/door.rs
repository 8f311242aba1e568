//! [`Door`]: what happens between a connected socket and its link: nothing, the token exchange, or TLS.
//!
//! Both ends have the same door. What comes to it and does not prove itself never becomes a link, so nothing of
//! it is decoded as a frame. There is no choice of doors on the wire, so nobody in between can talk two workers
//! into a weaker one.

#[cfg(feature = "tls")]
mod tls;

use std::io;

use rpc_core::{Fingerprint, Group, JoinToken, LinkSecurity, Protection};
use rpc_security::{Binding, EXCHANGE_TIME, ExchangeError, TokenExchange, prove};

#[cfg(feature = "tls")]
use self::tls::TlsDoor;
use crate::channel::Channel;
use crate::stream::Stream;

/// Names the protocol in proofs of the token.
const SERVICE: &str = "rpc-tcp/1";

/// What a socket has to pass before it is a link.
#[derive(Debug)]
pub(crate) enum Door {
    /// Everything does.
    Open,
    /// Both ends prove that they know the token. The bytes that follow are plain.
    Token(JoinToken),
    /// Both ends show certificates of the group, and all bytes are encrypted.
    #[cfg(feature = "tls")]
    Tls(Box<TlsDoor>),
}

/// A socket that has passed.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) stream: Stream,
    pub(crate) channel: Channel,
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// What is missing to protect links as `security` asks.
pub(crate) fn missing(security: &LinkSecurity) -> Result<(), String> {
    match security.protection {
        Protection::None => Ok(()),
        Protection::Token if security.token.is_some() => Ok(()),
        Protection::Token => Err("there is no token".into()),
        Protection::Encryption if cfg!(not(feature = "tls")) => {
            Err("this program was built without TLS; enable the feature `tls`".into())
        }
        Protection::Encryption if security.identity.is_some() => Ok(()),
        Protection::Encryption => Err("there is no certificate".into()),
        _ => Err("it does not know that protection".into()),
    }
}

impl Door {
    /// The door that `security` asks for.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] with what is [`missing`]; [`io::ErrorKind::InvalidInput`] for a certificate
    /// that is of no use.
    pub(crate) fn new(security: &LinkSecurity) -> io::Result<Self> {
        missing(security).map_err(|missing| io::Error::new(io::ErrorKind::Unsupported, missing))?;
        match (security.protection, &security.token, &security.identity) {
            (Protection::Token, Some(token), _) => Ok(Self::Token(token.clone())),
            #[cfg(feature = "tls")]
            (Protection::Encryption, _, Some(identity)) => Ok(Self::Tls(Box::new(TlsDoor::new(identity)?))),
            _ => Ok(Self::Open),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether processes of this machine may come by the [local way](crate::local). Encryption is asked for by name,
    /// and is what that does not have.
    pub(crate) fn admits_local(&self) -> bool {
        matches!(self, Self::Open | Self::Token(_))
    }

    /// Lets in who belongs to `group`.
    pub(crate) fn trust(&self, group: &Group) {
        #[cfg(feature = "tls")]
        if let Self::Tls(door) = self {
            door.roster.trust(group);
        }
        let _ = group;
    }

    /// As the end that has been dialled.
    pub(crate) async fn accept(&self, mut stream: Stream) -> io::Result<Passed> {
        match self {
            Self::Open => Ok(Passed::plain(stream)),
            Self::Token(token) => {
                let binding = binding(&stream, End::Dialled)?;
                let exchange = TokenExchange::server(token, binding)?;
                prove(&mut stream, exchange, EXCHANGE_TIME).await.map_err(unproven)?;
                Ok(Passed::plain(stream))
            }
            #[cfg(feature = "tls")]
            Self::Tls(door) => door.accept(tcp_alone(stream)?).await,
        }
    }

    /// As the end that has dialled.
    pub(crate) async fn connect(&self, mut stream: Stream) -> io::Result<Passed> {
        match self {
            Self::Open => Ok(Passed::plain(stream)),
            Self::Token(token) => {
                let binding = binding(&stream, End::Dialling)?;
                let exchange = TokenExchange::client(token, binding)?;
                prove(&mut stream, exchange, EXCHANGE_TIME).await.map_err(unproven)?;
                Ok(Passed::plain(stream))
            }
            #[cfg(feature = "tls")]
            Self::Tls(door) => door.connect(tcp_alone(stream)?).await,
        }
    }
}

impl Passed {
    pub(crate) fn plain(stream: Stream) -> Self {
        Self { stream, channel: Channel::Plain, fingerprint: None }
    }
}

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Dialling,
    Dialled,
}

/// What both ends know of the socket between them: where it was dialled, as the system has it.
fn binding(stream: &Stream, end: End) -> io::Result<Binding> {
    Ok(match (stream, end) {
        (Stream::Tcp(stream), End::Dialling) => Binding::socket(SERVICE, stream.peer_addr()?),
        (Stream::Tcp(stream), End::Dialled) => Binding::socket(SERVICE, stream.local_addr()?),
        #[cfg(target_os = "linux")]
        (Stream::Local(stream), end) => {
            Binding::local(SERVICE, &crate::local::name_of(stream, end == End::Dialling)?)
        }
    })
}

/// TLS is for TCP: see [`Door::admits_local`].
#[cfg(feature = "tls")]
fn tcp_alone(stream: Stream) -> io::Result<tokio::net::TcpStream> {
    match stream {
        Stream::Tcp(stream) => Ok(stream),
        #[cfg(target_os = "linux")]
        Stream::Local(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn unproven(error: ExchangeError) -> io::Error {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("{error}{cause}; do all workers of the job have the same RPC_JOIN_TOKEN?");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}
