//! One stream of a quinn connection, with segmentation offload, and datagrams, windows and acknowledgements
//! that fit loopback rather than a browser far away.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::Context;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::crypto::{CryptoProvider, aws_lc_rs};
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::rustls::{self, RootCertStore};
use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::calls::Calls;
use super::wire;
use crate::case::Feature;
use crate::system::{Job, System};

/// Ten of them, which is what quinn sends with one call, are what UDP carries.
const DATAGRAM: u16 = 6_500;
const SOCKET_BUFFER: usize = 4 << 20;
const WINDOW: u32 = 16 << 20;
const ACK_EVERY: u32 = 8;

pub(crate) struct Quic;

impl System for Quic {
    type Client = Calls<RecvStream, SendStream>;

    const BULK_APART: bool = true;

    fn lacks(feature: Feature) -> Option<&'static str> {
        (feature == Feature::Group).then_some("as raw-tcp")
    }

    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().clone();
        std::fs::write(job.scratch.join("certificate"), &certificate)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())?;
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config.transport_config(transport());
        let endpoint = endpoint(Some(config))?;
        ready(&endpoint.local_addr()?.to_string());
        while let Some(incoming) = endpoint.accept().await {
            tokio::task::spawn_local(async move {
                let (writer, reader) = incoming.await?.accept_bi().await?;
                // A client that has measured just leaves.
                wire::serve(reader, writer).await
            });
        }
        Ok(())
    }

    async fn connect(job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Self::Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(std::fs::read(job.scratch.join("certificate"))?))?;
        let tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(transport());
        let endpoint = endpoint(None)?;
        let connection = endpoint.connect_with(config, address.parse()?, "localhost")?.await?;
        let (writer, reader) = connection.open_bi().await?;
        Ok(Calls::new(reader, writer, (endpoint, connection)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn endpoint(server: Option<ServerConfig>) -> anyhow::Result<Endpoint> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // The system may give less.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(DATAGRAM).context("the size of datagrams")?;
    Ok(Endpoint::new(config, server, UdpSocket::from(socket), Arc::new(TokioRuntime))?)
}

fn transport() -> Arc<TransportConfig> {
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(DATAGRAM);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY));
    let mut congestion = quinn::congestion::CubicConfig::default();
    congestion.initial_window(1 << 20);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .initial_mtu(DATAGRAM)
        .mtu_discovery_config(Some(search))
        .ack_frequency_config(Some(acks))
        .congestion_controller_factory(Arc::new(congestion));
    Arc::new(config)
}
