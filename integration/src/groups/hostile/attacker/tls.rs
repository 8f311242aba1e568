//! Connections by somebody with a certificate, over TLS or QUIC.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use integration::part::variable;
use quinn::crypto::rustls::QuicClientConfig;
use rpc::Credentials;
use rpc::rpc_core::{Fingerprint, Group, Incarnation, Member, WorkerId, WorkerInfo, WorkerName};
use rpc_security::{Roster, rustls_configs};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Target;

/// First byte of the stream that carries requests over QUIC.
const NORMAL_LANE: u8 = 1;

/// A dialler with the certificate that the environment names.
pub(in super::super) struct Dialler {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    endpoint: Option<quinn::Endpoint>,
}

impl Dialler {
    pub(in super::super) fn from_env(target: &Target) -> Result<Self> {
        let (ca, certificate, key) =
            (variable("RPC_TLS_CA")?, variable("RPC_TLS_CERT")?, variable("RPC_TLS_KEY")?);
        let credentials = Credentials::from_files(ca, certificate, key)?;
        let over_quic = variable("RPC_BACKEND")? == "quic";
        let alpn: &[u8] = if over_quic { b"rrpc/1" } else { b"rpc-tcp/1" };
        let config = rustls_configs::link_client(credentials.identity(), &roster(target)?, alpn)?;
        let address = target.address.parse().context("an address")?;
        let endpoint = if over_quic {
            let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            endpoint.set_default_client_config(quic(&config)?);
            Some(endpoint)
        } else {
            None
        };
        Ok(Self { address, config, endpoint })
    }

    /// Connects, sends `bytes` as if it were let in, and waits for the end.
    pub(in super::super) async fn send(&self, bytes: &[u8]) -> Result<()> {
        let Some(endpoint) = &self.endpoint else { return self.send_over_tls(bytes).await };
        let connection = endpoint.connect(self.address, rustls_configs::LINK_SERVER_NAME)?.await?;
        let mut stream = connection.open_uni().await?;
        stream.write_all(&[NORMAL_LANE]).await?;
        stream.write_all(bytes).await?;
        connection.closed().await;
        Ok(())
    }

    async fn send_over_tls(&self, bytes: &[u8]) -> Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_zero_linger()?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        // The client is done before the server has looked at its certificate.
        let mut stream = connector.connect(rustls_configs::link_server_name(), stream).await?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    }
}

/// What quinn makes of `config`.
pub(in super::super) fn quic(config: &Arc<ClientConfig>) -> Result<quinn::ClientConfig> {
    Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(Arc::clone(config))?)))
}

/// Believes the victim to be itself.
fn roster(target: &Target) -> Result<Roster> {
    let members = target.fingerprints.iter().zip(0..).map(|(fingerprint, rank)| {
        let info = WorkerInfo::new(WorkerName::new(format!("worker{rank}"))?, WorkerId(rank));
        let mut member = Member::new(info, Incarnation([0; 16]), "nowhere");
        member.fingerprint = fingerprint.map(Fingerprint);
        anyhow::Ok(member)
    });
    let roster = Roster::default();
    roster.trust(&Group::new("job", members.collect::<Result<_>>()?)?);
    Ok(roster)
}
