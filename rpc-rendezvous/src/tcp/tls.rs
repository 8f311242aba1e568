//! Sessions of TLS around the store's connections. [`super::tls`] without the feature `tls` is
//! `without_tls.rs`, which has the same items and no session.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rpc_core::{Denial, Identity};
use rpc_security::rustls_configs::{
    EXPORTER_BYTES, EXPORTER_LABEL, store_client_with_authorities, store_client_with_token,
    store_server_with_authorities, store_server_with_token,
};
use rpc_security::{Binding, SecurityError};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::SERVICE;

/// How clients begin.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl Connector {
    /// With a token, which says more than the name in a certificate.
    pub(crate) fn with_token(host: &str) -> Result<Self, Denial> {
        let config = store_client_with_token().map_err(unusable)?;
        let any = || ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        Ok(Self { config, host: ServerName::try_from(host.to_owned()).unwrap_or_else(|_| any()) })
    }

    /// With a certificate, towards a store that has one for `host`.
    pub(crate) fn with_certificate(identity: &Identity, host: &str) -> Result<Self, Denial> {
        let config = store_client_with_authorities(identity).map_err(unusable)?;
        let no_name = |_| Denial::Certificate { detail: format!("no certificate can be good for {host:?}") };
        Ok(Self { config, host: ServerName::try_from(host.to_owned()).map_err(no_name)? })
    }

    pub(crate) async fn connect(&self, socket: TcpStream) -> io::Result<Session> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(self.host.clone(), socket).await?;
        Ok(Session(Box::new(stream.into())))
    }
}

/// How the server goes on.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    pub(crate) fn with_token() -> Result<Self, Denial> {
        store_server_with_token().map(Self).map_err(unusable)
    }

    pub(crate) fn with_certificate(identity: &Identity) -> Result<Self, Denial> {
        store_server_with_authorities(identity).map(Self).map_err(unusable)
    }

    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<Session> {
        let stream = TlsAcceptor::from(Arc::clone(&self.0)).accept(socket).await?;
        Ok(Session(Box::new(stream.into())))
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Session(Box<TlsStream<TcpStream>>);

impl Session {
    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// What a proof on this session is bound to.
    pub(crate) fn binding(&self) -> io::Result<Binding> {
        let empty = [0; EXPORTER_BYTES];
        let exported = match &*self.0 {
            TlsStream::Client(client) => {
                client.get_ref().1.export_keying_material(empty, EXPORTER_LABEL, None)
            }
            TlsStream::Server(server) => {
                server.get_ref().1.export_keying_material(empty, EXPORTER_LABEL, None)
            }
        };
        exported.map(|exported| Binding::exporter(SERVICE, &exported)).map_err(io::Error::other)
    }
}

/// What an error of a session says about trust, if anything.
pub(crate) fn denial(error: &io::Error) -> Option<Denial> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidMessage(_) => Some(Denial::TlsMissing),
        rustls::Error::InvalidCertificate(what) => {
            Some(Denial::Certificate { detail: format!("the store's certificate is not accepted: {what}") })
        }
        rustls::Error::AlertReceived(alert) if is_of_certificates(*alert) => Some(Denial::Certificate {
            detail: format!("the store does not accept the certificate of this process ({alert:?})"),
        }),
        _ => None,
    }
}

/// Whether `error` is one of TLS, rather than of the network.
pub(crate) fn is_protocol(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

fn is_of_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

fn unusable(error: SecurityError) -> Denial {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    Denial::Certificate { detail: causes.map(ToString::to_string).collect::<Vec<_>>().join(": ") }
}

impl AsyncRead for Session {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Session {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("host", &self.host).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}
