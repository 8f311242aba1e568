//! [`Access`]: a client's side of [`StoreSecurity`], from a socket to a stream on which the store is believed.

use std::net::SocketAddr;

use rpc_core::{Denial, JoinToken};
use rpc_security::{Binding, EXCHANGE_TIME, ExchangeError, TokenExchange, prove};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SERVICE;
use super::codec::{MAGIC, Malformed, SERVER_HELLO_BYTES, ServerHello};
use super::frame::Lost;
use super::stream::Stream;
use super::tls::{self, Connector};
use crate::security::{StoreSecurity, is_local_host};

/// How a client enters the stores at one host.
///
/// It is decided by the host alone, never by what the other side says: whoever sits in between cannot talk a
/// client out of TLS.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    Open,
    /// The connection does not leave the machine.
    Token(JoinToken),
    TlsAndToken(Connector, JoinToken),
    Certificate(Connector),
}

impl Access {
    pub(crate) fn to(host: &str, security: &StoreSecurity) -> Result<Self, Denial> {
        Ok(match security {
            StoreSecurity::Open => Self::Open,
            StoreSecurity::Token { token } if is_local_host(host) => Self::Token(token.clone()),
            StoreSecurity::Token { token } => Self::TlsAndToken(Connector::with_token(host)?, token.clone()),
            StoreSecurity::Ca { identity } => Self::Certificate(Connector::with_certificate(identity, host)?),
        })
    }

    /// Makes `socket` a stream on which the store has shown that it is the right one, as far as it has to.
    pub(crate) async fn enter(&self, socket: TcpStream) -> Result<Stream, Lost> {
        match self {
            Self::Open => Ok(Stream::Plain(socket)),
            Self::Token(token) => {
                let server: SocketAddr = socket.peer_addr()?;
                exchange(Stream::Plain(socket), token, Binding::socket(SERVICE, server)).await
            }
            Self::TlsAndToken(connector, token) => {
                let session = connector.connect(socket).await?;
                let binding = session.binding()?;
                exchange(Stream::Tls(session), token, binding).await
            }
            Self::Certificate(connector) => Ok(Stream::Tls(connector.connect(socket).await?)),
        }
    }
}

/// The token exchange, with a server that may answer as a store that wants none.
async fn exchange(mut stream: Stream, token: &JoinToken, binding: Binding) -> Result<Stream, Lost> {
    let mut exchange = TokenExchange::client(token, binding)?;
    if let Some(hello) = exchange.poll_transmit() {
        stream.write_all(&hello).await?;
        stream.flush().await?;
    }
    let mut first = [0; MAGIC.len()];
    stream.read_exact(&mut first).await?;
    if first == *MAGIC {
        let mut hello = [0; SERVER_HELLO_BYTES];
        let (start, rest) = hello.split_at_mut(MAGIC.len());
        start.copy_from_slice(&first);
        stream.read_exact(rest).await?;
        let denial = ServerHello::decode(&hello)?.status.denial();
        return Err(denial.map_or(Malformed::OutOfTurn.into(), Lost::Denied));
    }
    exchange.handle(&first).map_err(told)?;
    prove(&mut stream, exchange, EXCHANGE_TIME).await.map_err(told)?;
    Ok(stream)
}

fn told(error: ExchangeError) -> Lost {
    match error {
        ExchangeError::Refused | ExchangeError::WrongProof => Lost::Denied(Denial::TokenDiffers),
        ExchangeError::TooSlow => Lost::Slow,
        ExchangeError::Closed => Lost::Closed,
        ExchangeError::Io(error) => match tls::denial(&error) {
            Some(denial) => Lost::Denied(denial),
            None => Lost::Io(std::io::Error::new(error.kind(), error)),
        },
        other => Lost::Exchange(other),
    }
}
