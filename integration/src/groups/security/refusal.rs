//! Addresses beyond loopback need credentials: `init` refuses, and names the ways out.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say, variable};
use integration::runner::security::Security;
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("security::refused_beyond_loopback", 1, refused)
            .script(async |stage: &mut Stage| check(stage, "0.0.0.0:0", "127.0.0.1").await)
            .secured(&[Security::Open]),
        Scenario::new("security::refused_to_meet_beyond_loopback", 1, refused)
            .script(async |stage: &mut Stage| check(stage, "", "192.0.2.1").await)
            .secured(&[Security::Open]),
        Scenario::new("security::at_an_address_of_the_network", 3, meets)
            .script(meet_at_the_network)
            .secured(&[Security::Token, Security::Ca]),
        Scenario::new("security::insecure_is_explicit", 2, meets)
            .script(meet_at_the_network)
            .secured(&[Security::Open]),
    ]
}

/// Says what `init` says, which must not have waited for anybody.
async fn refused(part: Part) -> Result<()> {
    let mut builder = part.builder();
    if let Some(bind) = std::env::var("BIND").ok().filter(|bind| !bind.is_empty()) {
        builder = builder.bind(bind).advertise_host("192.0.2.1");
    }
    match tokio::time::timeout(Duration::from_secs(5), builder.init()).await? {
        Err(error @ InitError::NotSecured { .. }) => say(format_args!("REFUSED {error}")),
        other => bail!("{other:?}"),
    }
    Ok(())
}

async fn check(stage: &mut Stage, bind: &str, master: &str) -> Result<()> {
    let port = stage.free_port()?;
    let mut command = stage.at(0, port);
    let process = stage.spawn(0, command.env("BIND", bind).env("MASTER_ADDR", master))?;
    let text = process.says("REFUSED").await?;
    let parts =
        ["RPC_JOIN_TOKEN", "Security::token", "RPC_TLS_CERT", "RPC_INSECURE=1", "Security::insecure()"];
    for part in parts {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    process.succeeds().await
}

/// Nobody of the job is at loopback.
async fn meets(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let own = worker.agent().group().get(worker.id()).context("a member")?.address.clone();
    ensure!(own.starts_with(&variable("MASTER_ADDR")?), "it listens at {own}");
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    leave(&worker).await
}

/// Rank 0 hosts the store, as under a launcher that sets the four variables only.
async fn meet_at_the_network(stage: &mut Stage) -> Result<()> {
    let Some(host) = network_address() else {
        stage.note("skipped: this machine has no address but loopback");
        return Ok(());
    };
    stage.certify(&[host.to_string()])?;
    let port = free_port_at(host)?;
    for rank in 0..stage.world_size() {
        let mut command = stage.at(rank, port);
        command.env("MASTER_ADDR", host.to_string());
        if stage.security() == Security::Open {
            command.env("RPC_INSECURE", "1");
        }
        stage.spawn(rank, &mut command)?;
    }
    stage.all_succeed().await
}

/// An address of this machine that others can reach, if it has one.
pub(crate) fn network_address() -> Option<IpAddr> {
    // Connecting a UDP socket asks the routing table and sends nothing.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.254:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A port of `host` at which nobody listens at this moment.
pub(crate) fn free_port_at(host: IpAddr) -> Result<u16> {
    Ok(std::net::TcpListener::bind((host, 0))?.local_addr()?.port())
}
