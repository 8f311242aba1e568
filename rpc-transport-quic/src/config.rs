//! How the connections are set up, and why so.
//!
//! The peers are few, long-lived, mostly on one machine or in one data centre, and send small frames by the
//! hundred thousand and tensors of any size; the defaults of QUIC libraries are for a browser far away.
//!
//! - **Streams.** Only unidirectional ones: a link's two lanes and one for each bulk item. A peer may have
//!   [`STREAMS_MAX`] open, twice what this implementation opens, so that streams that are finished and not
//!   yet freed never stop the next one.
//! - **Windows.** A stream may be [`STREAM_WINDOW`] ahead of its reader and a link [`LINK_WINDOW`]: 10 Gbit/s
//!   at 13 ms, or 1 Gbit/s at 130 ms. They bound what a peer can make this side keep, and since half of a link's
//!   window is beyond the reach of any one stream, a stream that nobody reads does not stop the lanes.
//!   [`SEND_WINDOW`] is the same for our own side: bytes that are kept in case they have to be sent again.
//! - **Silence.** Each side says something after [`KEEP_ALIVE`] of silence, and gives the link up after
//!   [`IDLE_TIMEOUT`]. The timeout is long because unlike with TCP it is the process that answers, not the
//!   system: a worker that computes on its only runtime thread is silent meanwhile. That a process has died
//!   is noticed much earlier, by [`vigil`](crate::vigil).
//! - **Datagram size.** It starts with the 1,200 bytes that every path has to carry and is searched upwards
//!   to [`MTU_MAX`], which the loopback interface and networks with jumbo frames carry. Where the path stays on
//!   this host nothing has to be searched for. What larger ones need of the socket is in [`socket`](crate::socket).
//! - **Segmentation offload** is on: one system call carries several datagrams.
//! - **Congestion control** across networks is BBR: it goes by the rate that arrives, where Cubic takes each lost
//!   datagram for congestion. Over a link of 10 ms there and back that loses one packet in a thousand, uploads
//!   reach 174 MB/s with BBR and 6.5 with Cubic; one in a hundred, 150 and 1.5; none, 170 to 190 and 125. Between
//!   processes of one host it is a window that does not pace ([`congestion`](crate::congestion) says why).
//! - **Acknowledgements** are asked for less often than every second datagram, since each costs a system call on
//!   both sides; they are never later than [`ACK_DELAY`], so lanes and orderly ends do not wait for them.
//! - **Unreliable datagrams** are off, and bidirectional streams not allowed: nothing here uses them.
//! - **Migration** is on: a client whose address changes keeps its links. Server and client are held to their
//!   certificates, not to their addresses.
//! - **No resumption, no early data, no tokens for later**: a peer shows its certificate on every connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig,
    TransportConfig, VarInt,
};
use rpc_core::Identity;
use rpc_security::{Roster, rustls_configs};

use crate::bounds::{
    HANDSHAKES_MAX, IDLE_TIMEOUT, INCOMING_BYTES, INCOMING_BYTES_TOTAL, KEEP_ALIVE, LINK_WINDOW, MTU_MAX,
    SEND_WINDOW, STREAM_WINDOW, STREAMS_MAX,
};
use crate::congestion::HereConfig;

/// The protocol that both sides have to speak; a peer with another one is refused in its TLS handshake.
const ALPN: &[u8] = b"rrpc/1";
/// Datagrams that a peer may receive before it has to acknowledge them.
const ACK_EVERY: u32 = 8;
/// How long a peer may wait with an acknowledgement.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// How many datagrams may overtake another one before it is taken for lost; QUIC's own figure.
const REORDERING: u32 = 2;

/// The configurations of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Configs {
    pub(crate) client: PerPath<ClientConfig>,
    pub(crate) server: PerPath<Arc<ServerConfig>>,
}

/// One thing for peers on this host, another for others.
#[derive(Clone, Debug)]
pub(crate) struct PerPath<T> {
    here: T,
    far: T,
}

impl<T> PerPath<T> {
    /// The one for `peer`.
    pub(crate) fn to(&self, peer: IpAddr) -> &T {
        // Datagrams to another address of this very host go through the loopback interface too, but that
        // cannot be seen from an address, and the search for the size of datagrams finds it.
        if peer.to_canonical().is_loopback() { &self.here } else { &self.far }
    }
}

impl Configs {
    /// What a worker with this `identity` uses, among those that `roster` trusts.
    ///
    /// # Errors
    /// If the identity is of no use.
    pub(crate) fn new(identity: &Identity, roster: &Roster) -> io::Result<Self> {
        let server = rustls_configs::link_server(identity, roster, ALPN).map_err(io::Error::other)?;
        let client = rustls_configs::link_client(identity, roster, ALPN).map_err(io::Error::other)?;
        let server = Arc::new(QuicServerConfig::try_from(server).map_err(io::Error::other)?);
        let client = Arc::new(QuicClientConfig::try_from(client).map_err(io::Error::other)?);
        let mut here = transport(MTU_MAX);
        here.congestion_controller_factory(Arc::new(HereConfig));
        let mut far = transport(1_200);
        far.congestion_controller_factory(Arc::new(BbrConfig::default()));
        let transport = PerPath { here: Arc::new(here), far: Arc::new(far) };
        let server = |transport: &Arc<TransportConfig>| {
            let mut config = ServerConfig::with_crypto(server.clone());
            config.transport_config(Arc::clone(transport)).migration(true);
            // No tokens with which a client could skip the validation of its address some other time.
            config.validation_token.sent(0);
            config
                .max_incoming(HANDSHAKES_MAX)
                .incoming_buffer_size(INCOMING_BYTES)
                .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
            Arc::new(config)
        };
        let client = |transport: &Arc<TransportConfig>| {
            let mut config = ClientConfig::new(client.clone());
            config.transport_config(Arc::clone(transport));
            config
        };
        Ok(Self {
            server: PerPath { here: server(&transport.here), far: server(&transport.far) },
            client: PerPath { here: client(&transport.here), far: client(&transport.far) },
        })
    }

    /// What an endpoint starts with. Each connection gets that of its path.
    pub(crate) fn listening(&self) -> ServerConfig {
        (*self.server.far).clone()
    }
}

/// The endpoint's own: datagrams of up to [`MTU_MAX`] are received.
pub(crate) fn endpoint() -> io::Result<EndpointConfig> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(MTU_MAX).map_err(io::Error::other)?;
    Ok(config)
}

fn transport(mtu_first: u16) -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(MTU_MAX);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY))
        .max_ack_delay(Some(ACK_DELAY))
        .reordering_threshold(VarInt::from_u32(REORDERING));
    let idle = u32::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(SEND_WINDOW)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
        .initial_mtu(mtu_first)
        .mtu_discovery_config(Some(search))
        .ack_frequency_config(Some(acks))
        .datagram_receive_buffer_size(None);
    config
}
