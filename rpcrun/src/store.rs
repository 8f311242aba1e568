//! Hosts the store of the job, so that its port is taken from the moment it is chosen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rpc_rendezvous::{StoreLimits, StoreSecurity, TcpStoreServer, is_local_host};

use crate::error::LaunchError;

/// Listens on `address`, for those whom `security` lets in.
pub(crate) async fn host(address: &str, security: &StoreSecurity) -> Result<TcpStoreServer, LaunchError> {
    let failed = |source| LaunchError::Store { address: address.to_owned(), source };
    TcpStoreServer::bind_secured(address, StoreLimits::default(), security)
        .await
        .map_err(|error| failed(error.into()))
}

/// Where the store listens for a master at `addr` and `port`.
///
/// An address of this machine is used as it is: loopback stays loopback. For several machines a name other
/// than `localhost` is not enough (many systems resolve their own name to a loopback address), and an address
/// that is not this machine's can be one that a gateway translates; there the store listens on all addresses.
pub(crate) fn listen_address(addr: &str, port: u16, nnodes: u32) -> String {
    match addr.parse::<IpAddr>() {
        Ok(ip) if is_local(ip) => SocketAddr::new(ip, port).to_string(),
        _ if nnodes > 1 && !is_local_host(addr) => {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).to_string()
        }
        _ => format!("{addr}:{port}"),
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
        assert_eq!(listen_address("127.0.0.1", 0, 1), "127.0.0.1:0");
        assert_eq!(listen_address("127.0.0.1", 29500, 2), "127.0.0.1:29500");
    }

    #[test]
    fn localhost_is_loopback_for_any_number_of_machines() {
        assert_eq!(listen_address("localhost", 0, 1), "localhost:0");
        assert_eq!(listen_address("localhost", 29500, 2), "localhost:29500");
    }

    #[test]
    fn a_name_or_a_foreign_address_means_all_addresses_when_others_must_reach_it() {
        assert_eq!(listen_address("node0", 29500, 2), "0.0.0.0:29500");
        assert_eq!(listen_address("192.0.2.1", 29500, 2), "0.0.0.0:29500");
    }
}
