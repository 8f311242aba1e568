//! Who may connect to a worker.

use std::net::SocketAddr;

use crate::address;
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

    /// Checks where the worker would listen: at `bind`, which resolved to `resolved`.
    pub(crate) fn check_bind(&self, bind: &str, resolved: &[SocketAddr]) -> Result<(), InitError> {
        let local = !resolved.is_empty() && resolved.iter().all(|address| address.ip().is_loopback());
        self.check(local, "the worker", bind, "listen on loopback with .bind(\"127.0.0.1:0\")")
    }

    /// Checks the host at which rank 0 would serve the store of the job.
    pub(crate) fn check_store(&self, host: &str) -> Result<(), InitError> {
        let local = address::is_local(host);
        self.check(local, "the store of rank 0", host, "meet on loopback (MASTER_ADDR=127.0.0.1)")
    }

    fn check(
        &self,
        local: bool,
        service: &'static str,
        address: &str,
        remedy: &'static str,
    ) -> Result<(), InitError> {
        if local || self.is_insecure() {
            return Ok(());
        }
        Err(InitError::NotSecured { service, address: address.to_owned(), remedy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(result: Result<(), InitError>, address: &str) {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(address) && text.contains("127.0.0.1"), "{text}");
        assert!(text.contains("Security::insecure()"), "{text}");
    }

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let (default, insecure) = (Security::default(), Security::insecure());
        assert!(default.check_bind("localhost:0", &[loopback]).is_ok());
        for resolved in [&[open][..], &[loopback, open], &[]] {
            refused(default.check_bind("host:0", resolved), "host:0");
            assert!(insecure.check_bind("host:0", resolved).is_ok());
        }
        assert!(default.check_store("localhost").is_ok());
        refused(default.check_store("node7"), "node7");
        assert!(insecure.check_store("node7").is_ok());
    }
}
