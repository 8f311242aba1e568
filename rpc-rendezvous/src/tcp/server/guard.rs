//! [`Guard`]: the server's side of [`StoreSecurity`], from an accepted socket to a stream of somebody who may use
//! the store.
//!
//! A client's first byte tells what it speaks: a TLS record begins with 0x16, and the other protocols with
//! letters. Who comes without what is asked for is told so in a plain hello, if that can be read at all; nothing
//! that it sends is decoded.
//!
//! A connection without TLS is taken only from this machine, by the address that it really comes from. So it does
//! not matter by which name the server was told to listen; which connections need TLS is the clients' decision
//! (`Access`), and this is the other half of it.

use std::net::SocketAddr;

use rpc_core::{Denial, JoinToken};
use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::super::SERVICE;
use super::super::codec::{MAGIC, Malformed, Status};
use super::super::frame::Lost;
use super::super::stream::Stream;
use super::super::tls::Acceptor;
use crate::security::StoreSecurity;

/// First byte of a TLS connection: a record of the handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Whom a server lets in.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    Open,
    /// Without an acceptor there are connections of this machine only.
    Token(JoinToken, Option<Acceptor>),
    Certificate(Acceptor),
}

impl Guard {
    /// For a server that listens at a loopback address if `local`.
    pub(crate) fn new(security: &StoreSecurity, local: bool) -> Result<Self, Denial> {
        Ok(match security {
            StoreSecurity::Open => Self::Open,
            StoreSecurity::Token { token } => {
                let acceptor = match Acceptor::with_token() {
                    Ok(acceptor) => Some(acceptor),
                    Err(Denial::NoTls) if local => None,
                    Err(error) => return Err(error),
                };
                Self::Token(token.clone(), acceptor)
            }
            StoreSecurity::Ca { identity } => Self::Certificate(Acceptor::with_certificate(identity)?),
        })
    }

    /// Lets in who may use the store. The next that it says is its hello.
    ///
    /// # Errors
    /// Whom [`Unwelcome::Told`] is about waits for a hello that says why.
    pub(super) async fn admit(&self, socket: TcpStream) -> Result<Stream, Unwelcome> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 0 {
            return Err(Lost::Closed.into());
        }
        let speaks_tls = first[0] == TLS_HANDSHAKE;
        match self {
            Self::Open if speaks_tls => Err(Unwelcome::Told(socket, Status::TokenUnexpected)),
            Self::Open => Ok(Stream::Plain(socket)),
            Self::Certificate(acceptor) if speaks_tls => Ok(Stream::Tls(acceptor.accept(socket).await?)),
            Self::Certificate(_) => Err(Unwelcome::Told(socket, Status::TlsExpected)),
            Self::Token(token, Some(acceptor)) if speaks_tls => {
                let session = acceptor.accept(socket).await?;
                let exchange = TokenExchange::server(token, session.binding()?)?;
                Ok(believe(Stream::Tls(session), exchange).await?)
            }
            Self::Token(token, _) => admit_locally(token, socket).await,
        }
    }
}

/// Lets in who knows the token and comes from this machine.
async fn admit_locally(token: &JoinToken, mut socket: TcpStream) -> Result<Stream, Unwelcome> {
    if !is_here(socket.peer_addr()?) {
        return Err(Unwelcome::Told(socket, Status::TlsExpected));
    }
    let mut start = [0; TokenExchange::START.len()];
    socket.read_exact(&mut start).await?;
    if start == *MAGIC {
        return Err(Unwelcome::Told(socket, Status::TokenMissing));
    }
    if start != *TokenExchange::START {
        return Err(Lost::from(Malformed::Magic).into());
    }
    let mut exchange = TokenExchange::server(token, Binding::socket(SERVICE, socket.local_addr()?))?;
    exchange.handle(&start).map_err(Lost::Exchange)?;
    Ok(believe(Stream::Plain(socket), exchange).await?)
}

/// Whether a connection from `peer` does not leave the machine.
fn is_here(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

async fn believe(mut stream: Stream, exchange: TokenExchange) -> Result<Stream, Lost> {
    prove(&mut stream, exchange, EXCHANGE_TIME).await.map_err(Lost::Exchange)?;
    Ok(stream)
}

/// Somebody who is not let in.
#[derive(Debug)]
pub(super) enum Unwelcome {
    /// And is told so.
    Told(TcpStream, Status),
    Lost(Lost),
}

impl From<Lost> for Unwelcome {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<std::io::Error> for Unwelcome {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn only_loopback_is_here() {
        let here = |peer: &str| is_here(peer.parse().unwrap());
        assert!(
            here("127.0.0.1:1") && here("127.9.9.9:1") && here("[::1]:1") && here("[::ffff:127.0.0.1]:1")
        );
        assert!(!here("192.0.2.1:1") && !here("[2001:db8::1]:1") && !here("[::ffff:192.0.2.1]:1"));
    }
}
