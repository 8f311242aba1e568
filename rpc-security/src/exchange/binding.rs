//! [`Binding`]: which channel an exchange is on.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};

/// What the two ends of one channel agree on, and two channels do not.
///
/// It is always 32 bytes, so that no choice of what goes in can be taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding([u8; 32]);

impl Binding {
    /// A TLS session, by 32 bytes of its keying-material exporter, which only its two ends know. `service`
    /// says what speaks on it.
    pub fn exporter(service: &str, exported: &[u8; 32]) -> Self {
        Self::digest("exporter", service, exported)
    }

    /// A plain socket that does not leave the machine, by the address that it is connected to: for the
    /// client the peer's, for the server its own, as the system has them. `service` says what speaks there.
    ///
    /// Who listens elsewhere on the machine and passes everything on is at another address.
    pub fn socket(service: &str, server: SocketAddr) -> Self {
        // A listener for IPv6 sees clients that came over IPv4 at mapped addresses.
        let server = SocketAddr::new(server.ip().to_canonical(), server.port());
        Self::digest("socket", service, server.to_string().as_bytes())
    }

    /// A socket that processes of one machine alone can reach, by the name that it is connected to. `service` says
    /// what speaks there.
    pub fn local(service: &str, name: &[u8]) -> Self {
        Self::digest("local", service, name)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Zero bytes stand between texts, which have none.
    fn digest(kind: &str, service: &str, which: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update("rpc binding\0")
            .chain_update(kind)
            .chain_update("\0")
            .chain_update(service)
            .chain_update("\0")
            .chain_update(which);
        Self(digest.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_that_differ_in_anything_have_different_bindings() {
        let at = |text: &str| text.parse().unwrap();
        let all = [
            Binding::socket("store", at("127.0.0.1:1")),
            Binding::socket("store", at("127.0.0.1:2")),
            Binding::socket("store", at("127.0.0.2:1")),
            Binding::socket("link", at("127.0.0.1:1")),
            Binding::exporter("store", &[0; 32]),
            Binding::exporter("store", &[1; 32]),
            Binding::exporter("link", &[0; 32]),
            Binding::local("link", &[0; 32]),
            Binding::local("link", b"127.0.0.1:1"),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(all[0], Binding::socket("store", at("[::ffff:127.0.0.1]:1")));
    }
}
