//! [`Meeting`]: where the workers of a job meet.

use std::fmt;
use std::path::PathBuf;

/// Where the workers of a job meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meeting {
    /// A store over TCP.
    Tcp {
        /// Host name or address; IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Who hosts the store.
        host_by: StoreHost,
    },
    /// A store in a file that all workers see.
    File(PathBuf),
}

/// Who hosts a store over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreHost {
    /// Rank 0, at the address itself.
    Rank0,
    /// The launcher, at the address itself. Every rank is a client.
    Launcher,
    /// Rank 0, on the host of the address but another port: the first free one of a sequence that all ranks
    /// derive from the port and the job's name. For a port that another service holds or may hold.
    Rank0Beside,
}

impl fmt::Display for Meeting {
    /// As a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => write!(f, "tcp://{}", host_port(host, *port)),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

/// `host:port` as sockets are named, with the brackets that IPv6 addresses need.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host in `host:port`, without brackets.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::{host_of, host_port};

    #[test]
    fn a_host_comes_back_out_of_its_address() {
        for host in ["node7", "127.0.0.1", "::1"] {
            assert_eq!(host_of(&host_port(host, 80)), host);
        }
    }
}
