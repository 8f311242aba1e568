//! Datagrams to a QUIC worker: first packets of handshakes that never go on, and noise.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use integration::runner::security::Security;
use integration::scenario::Scenario;
use rpc::rpc_core::Identity;
use rpc_security::{Roster, rustls_configs};
use tokio::net::UdpSocket;

use super::super::attacker::{Attacker, Noise, quic};
use super::{nothing, siege};

/// Handshakes that are begun; each needs work of the attacker's.
const HANDSHAKES: usize = 2_000;
/// From how many ports each of them is begun.
const PORTS: usize = 5;
/// Datagrams of noise after which it is a flood.
const FLOOD: u64 = 10_000;
const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

pub(super) fn scenarios() -> Vec<Scenario> {
    let sieges = [
        siege("hostile::siege_of_10000_first_packets", first_packets, nothing),
        siege("hostile::siege_by_datagrams_of_noise", noise, nothing),
    ];
    // However workers are secured, QUIC asks the same of who dials.
    sieges.map(|siege| siege.only("quic").secured(&[Security::Open])).into()
}

/// 10,000 handshakes as the victim sees them: 2,000 first packets, each from five ports. Nobody answers what it
/// says to them.
async fn first_packets(attacker: &Attacker) -> Result<()> {
    let packets = record().await?;
    ensure!(packets.len() == HANDSHAKES);
    let mut sockets = Vec::new();
    for _ in 0..HANDSHAKES * PORTS {
        sockets.push(UdpSocket::bind(SocketAddr::from(ANY_PORT)).await.context("one socket more")?);
    }
    loop {
        for (socket, packet) in sockets.iter().zip(packets.iter().cycle()) {
            socket.send_to(packet, &attacker.target.address).await?;
            if attacker.attempt() == (HANDSHAKES * PORTS) as u64 - 1 {
                attacker.under_way();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// First packets of a client that is like any other, but for its certificate.
async fn record() -> Result<Vec<Vec<u8>>> {
    let identity: Identity = rpc_security::generate()?;
    let config = rustls_configs::link_client(&identity, &Roster::default(), b"rrpc/1")?;
    let mut endpoint = quinn::Endpoint::client(SocketAddr::from(ANY_PORT))?;
    endpoint.set_default_client_config(quic(&config)?);
    let sink = UdpSocket::bind(SocketAddr::from(ANY_PORT)).await?;
    let (mut packets, mut buffer) = (Vec::new(), [0; 2048]);
    while packets.len() < HANDSHAKES {
        let connecting = endpoint.connect(sink.local_addr()?, rustls_configs::LINK_SERVER_NAME)?;
        let length = sink.recv(&mut buffer).await?;
        drop(connecting);
        // A farewell, or the rest of an earlier first flight, is shorter than a first packet has to be.
        if length >= 1_200 {
            packets.push(buffer[..length].to_vec());
        }
    }
    Ok(packets)
}

/// Without a meaning, and with the first byte of every kind of packet.
async fn noise(attacker: &Attacker) -> Result<()> {
    let socket = UdpSocket::bind(SocketAddr::from(ANY_PORT)).await?;
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let mut packets: Vec<_> = (0..64).map(|at| noise.bytes(20 + at * 22)).collect();
    for (packet, at) in packets.iter_mut().zip(0_u8..) {
        // Long headers of version 1, of all types; short ones; and what is none.
        packet[0] = at << 2;
        packet[1..5].copy_from_slice(&1_u32.to_be_bytes());
    }
    for packet in packets.iter().cycle() {
        // Refused where the victim's buffer is full.
        let _full = socket.send_to(packet, &attacker.target.address).await;
        if attacker.attempt() == FLOOD {
            attacker.under_way();
        }
    }
    Ok(())
}
