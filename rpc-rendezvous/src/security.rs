//! [`StoreSecurity`]: who may use a store.

use std::net::IpAddr;

use rpc_core::{Identity, JoinToken};

/// Who may use a store over TCP, and how the store shows that it is the right one.
///
/// Server and clients have to have the same. A store in a file is guarded by the file's permissions instead.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum StoreSecurity {
    /// Whoever reaches the port. For networks in which every machine is trusted.
    #[default]
    Open,
    /// Who proves to know the job's token; the store proves the same. It is plain TCP where it does not leave the
    /// machine ([`is_local_host`]) and TLS elsewhere, with the proofs bound to the session.
    Token {
        /// The job's secret.
        token: JoinToken,
    },
    /// Who has a certificate of the authorities in `identity`: mutual TLS, on every address. The store's
    /// certificate has to be good for the host that clients dial.
    Ca {
        /// This process's certificate and key, and whom it trusts.
        identity: Identity,
    },
}

/// Whether connections to `host` stay on this machine: `localhost`, or loopback as a number.
///
/// Another name may stand for loopback on one machine alone: many list their own name at 127.0.1.1, and
/// others still reach them by it. Whoever uses such a name means the network.
pub fn is_local_host(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local_host;

    #[test]
    fn a_name_that_may_be_loopback_here_alone_is_not_local() {
        assert!(is_local_host("localhost") && is_local_host("::1") && is_local_host("127.0.1.1"));
        assert!(!is_local_host("node7") && !is_local_host("192.0.2.1") && !is_local_host("0.0.0.0"));
    }
}
