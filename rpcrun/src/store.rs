//! Hosts the store of the job, so that its port is taken from the moment it is chosen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rpc_rendezvous::TcpStoreServer;

use crate::error::LaunchError;

/// Listens on `address`.
pub(crate) async fn host(address: &str) -> Result<TcpStoreServer, LaunchError> {
    let failed = |source| LaunchError::Store { address: address.to_owned(), source };
    TcpStoreServer::bind(address).await.map_err(|error| failed(error.into()))
}

/// Variable that, set to `1`, opens the store, and the workers too, to a network that is trusted.
pub(crate) const INSECURE_VARIABLE: &str = "RPC_INSECURE";

/// Where the store listens for a master at `addr` and `port`.
///
/// An address of this machine is used as it is: loopback stays loopback. For several machines a name other
/// than `localhost` is not enough (many systems resolve their own name to a loopback address), and an address
/// that is not this machine's can be one that a gateway translates; there the store listens on all addresses.
///
/// # Errors
/// [`LaunchError::OpenStore`] for anything but loopback, unless `insecure`: whoever reaches the store can use
/// it, and workers refuse other addresses in the same way.
pub(crate) fn listen_address(
    addr: &str,
    port: u16,
    nnodes: u32,
    insecure: bool,
) -> Result<String, LaunchError> {
    let ip = addr.parse::<IpAddr>().ok();
    let loopback = addr == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
    let address = match ip {
        Some(ip) if is_local(ip) => SocketAddr::new(ip, port).to_string(),
        _ if nnodes > 1 && !loopback => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).to_string(),
        _ => format!("{addr}:{port}"),
    };
    match loopback || insecure {
        true => Ok(address),
        false => Err(LaunchError::OpenStore { address }),
    }
}

fn is_local(ip: IpAddr) -> bool {
    TcpListener::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_address_is_used_as_it_is() {
        assert_eq!(listen_address("127.0.0.1", 0, 1, false).unwrap(), "127.0.0.1:0");
        assert_eq!(listen_address("127.0.0.1", 29500, 2, false).unwrap(), "127.0.0.1:29500");
        assert_eq!(listen_address("127.0.0.1", 29500, 2, true).unwrap(), "127.0.0.1:29500");
    }

    #[test]
    fn localhost_is_loopback_for_any_number_of_machines() {
        assert_eq!(listen_address("localhost", 0, 1, false).unwrap(), "localhost:0");
        assert_eq!(listen_address("localhost", 29500, 2, true).unwrap(), "localhost:29500");
    }

    #[test]
    fn a_name_or_a_foreign_address_means_all_addresses_when_others_must_reach_it() {
        assert_eq!(listen_address("node0", 29500, 2, true).unwrap(), "0.0.0.0:29500");
        assert_eq!(listen_address("192.0.2.1", 29500, 2, true).unwrap(), "0.0.0.0:29500");
    }

    #[test]
    fn a_network_is_refused_unless_it_is_said_to_be_trusted() {
        for (addr, nnodes) in [("node0", 1), ("node0", 2), ("192.0.2.1", 2), ("0.0.0.0", 1), ("::", 2)] {
            let error = listen_address(addr, 29500, nnodes, false).unwrap_err().to_string();
            for way_out in ["--master-addr 127.0.0.1", "RPC_INSECURE=1", "--env"] {
                assert!(error.contains(way_out), "{addr}: {error}");
            }
        }
    }
}
