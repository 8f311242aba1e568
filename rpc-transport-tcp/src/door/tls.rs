//! [`TlsDoor`]: mutual TLS 1.3, between certificates of the group.

use std::io;
use std::sync::Arc;

use rpc_core::Identity;
use rpc_security::{EXCHANGE_TIME, Roster, rustls_configs};
use rustls::{AlertDescription, CertificateError, Connection, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Passed;
use crate::channel::{Channel, Tls};
use crate::stream::Stream;

/// Protocol that both ends have to speak inside of TLS.
const ALPN: &[u8] = b"rpc-tcp/1";

/// Certificates on both sides, and whose count.
pub(crate) struct TlsDoor {
    pub(super) roster: Roster,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl TlsDoor {
    pub(super) fn new(identity: &Identity) -> io::Result<Self> {
        let roster = Roster::default();
        let unusable = |error: rpc_security::SecurityError| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            io::Error::new(io::ErrorKind::InvalidInput, format!("{error}{cause}"))
        };
        let acceptor = rustls_configs::link_server(identity, &roster, ALPN).map_err(unusable)?;
        let connector = rustls_configs::link_client(identity, &roster, ALPN).map_err(unusable)?;
        Ok(Self { roster, acceptor: acceptor.into(), connector: connector.into() })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Passed> {
        let stream = self.acceptor.accept(stream).await.map_err(|error| in_words(&error))?;
        let (stream, session) = stream.into_inner();
        Ok(passed(stream, session.into()))
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<Passed> {
        let shaking_hands = self.connector.connect(rustls_configs::link_server_name(), stream);
        let stream = timeout(EXCHANGE_TIME, shaking_hands)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake within 5 s"))?
            .map_err(|error| in_words(&error))?;
        let (stream, session) = stream.into_inner();
        Ok(passed(stream, session.into()))
    }
}

fn passed(stream: TcpStream, session: Connection) -> Passed {
    let fingerprint = rustls_configs::peer_fingerprint(session.peer_certificates());
    Passed { stream: Stream::Tcp(stream), channel: Channel::Tls(Arc::new(Tls::new(session))), fingerprint }
}

/// What has gone wrong in a handshake, and what may be the reason.
fn in_words(error: &io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let hint = match tls {
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            ": its certificate is none of this group's; another process answers there"
        }
        Some(Error::AlertReceived(AlertDescription::AccessDenied | AlertDescription::CertificateUnknown)) => {
            ": it does not take this worker for one of its group"
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            ": it speaks no TLS; do all workers of the job have the same security?"
        }
        _ => "",
    };
    let kind = if tls.is_some() { io::ErrorKind::PermissionDenied } else { error.kind() };
    io::Error::new(kind, format!("the TLS handshake failed: {error}{hint}"))
}

impl std::fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsDoor").field("roster", &self.roster).finish_non_exhaustive()
    }
}
