//! Who may connect to a worker.

use std::net::SocketAddr;

use crate::error::InitError;

/// Variable that, set to `1`, has the effect of [`Security::insecure`].
pub(crate) const INSECURE_VARIABLE: &str = "RPC_INSECURE";

/// Who may connect to a worker. The default serves this machine only.
///
/// Whoever can connect can call every registered function. This release has no TLS, so what guards a
/// worker is the address that it listens on: loopback, unless the program says that the network is
/// trusted.
#[derive(Clone, Debug, Default)]
pub struct Security {
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mode {
    #[default]
    LoopbackOnly,
    Insecure,
}

/// What listens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    Worker,
    /// The store that rank 0 hosts for the job.
    Store,
}

impl Security {
    /// Listens on loopback only; initialising with another address is refused. The default.
    pub fn loopback_only() -> Self {
        Self { mode: Mode::LoopbackOnly }
    }

    /// Listens wherever it is told, without authentication or encryption: for networks in which every
    /// machine is trusted. `RPC_INSECURE=1` in the environment has the same effect.
    pub fn insecure() -> Self {
        Self { mode: Mode::Insecure }
    }

    /// Whether peers need no credentials on any address.
    pub(crate) fn is_insecure(&self) -> bool {
        matches!(self.mode, Mode::Insecure)
    }

    /// Checks where `service` would listen: at `address`, which resolved to `resolved`.
    pub(crate) fn check(
        &self,
        service: Service,
        address: &str,
        resolved: &[SocketAddr],
    ) -> Result<(), InitError> {
        if self.is_insecure() || is_loopback(resolved) {
            return Ok(());
        }
        let (service, remedy) = match service {
            Service::Worker => ("the worker", "listen on loopback with .bind(\"127.0.0.1:0\")"),
            Service::Store => ("the store of rank 0", "meet on loopback (MASTER_ADDR=127.0.0.1)"),
        };
        Err(InitError::NotSecured { service, address: address.to_owned(), remedy })
    }
}

/// Whether all of `addresses`, and at least one, are this machine's own.
pub(crate) fn is_loopback(addresses: &[SocketAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let default = Security::default();
        assert!(default.check(Service::Worker, "localhost:0", &[loopback]).is_ok());
        for refused in [&[open][..], &[loopback, open], &[]] {
            for service in [Service::Worker, Service::Store] {
                let text = default.check(service, "host:0", refused).unwrap_err().to_string();
                assert!(text.contains("host:0") && text.contains("127.0.0.1"), "{text}");
                assert!(text.contains("Security::insecure()"), "{text}");
                assert!(Security::insecure().check(service, "host:0", refused).is_ok());
            }
        }
    }
}
