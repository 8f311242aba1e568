//! Links: the group gets in, strangers do not, and a certificate without its key is worth nothing.

use std::sync::Arc;

use rpc_core::Identity;
use rpc_security::rustls_configs::{link_client, link_server, link_server_name, peer_fingerprint};
use rpc_security::{Roster, generate};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, HandshakeKind, ServerConfig, SignatureScheme};

use crate::support::{ALPN, Authority, Handshake, Usage, roster, shake};

const OUTSIDE: Error = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

/// A link from `client` to `server`, each of which trusts the given certificates.
fn link(client: (&Identity, &Roster), server: (&Identity, &Roster)) -> Handshake {
    let client = link_client(client.0, client.1, ALPN).unwrap();
    let server = link_server(server.0, server.1, ALPN).unwrap();
    shake(&client, &server, link_server_name())
}

#[test]
fn members_of_the_group_get_in_and_see_each_others_certificates() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let group = roster(&[&one, &two]);
    let ends = link((&one, &group), (&two, &group)).unwrap();
    assert_eq!(peer_fingerprint(ends.client.peer_certificates()), Some(two.fingerprint()));
    assert_eq!(peer_fingerprint(ends.server.peer_certificates()), Some(one.fingerprint()));
    assert_eq!(ends.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(ends.client.alpn_protocol(), Some(ALPN));
    assert_eq!(peer_fingerprint(None), None);
}

#[test]
fn a_stranger_is_refused_by_both_directions() {
    let (one, two, stranger) = (generate().unwrap(), generate().unwrap(), generate().unwrap());
    let (group, everybody) = (roster(&[&one, &two]), roster(&[&one, &two, &stranger]));
    assert_eq!(link((&stranger, &everybody), (&two, &group)).err().unwrap(), ("server", OUTSIDE));
    assert_eq!(link((&one, &group), (&stranger, &everybody)).err().unwrap(), ("client", OUTSIDE));
}

#[test]
fn nobody_is_let_in_before_the_group_is_known() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let unknown = Roster::default();
    assert_eq!(link((&one, &roster(&[&two])), (&two, &unknown)).err().unwrap(), ("server", OUTSIDE));
}

/// Shows a certificate, and signs with a key that is not its.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl Thief {
    fn of(victim: &Identity, own: &Identity) -> Arc<Self> {
        let key = PrivateKeyDer::try_from(own.private_key().to_vec()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let chain = victim.certificates().iter().cloned().map(CertificateDer::from).collect();
        Arc::new(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Thief {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn a_members_certificate_without_its_key_is_refused_by_both_directions() {
    let (one, two, thief) = (generate().unwrap(), generate().unwrap(), generate().unwrap());
    let group = roster(&[&one, &two]);
    let forged = Error::InvalidCertificate(CertificateError::BadSignature);

    let mut client = ClientConfig::clone(&link_client(&thief, &group, ALPN).unwrap());
    client.client_auth_cert_resolver = Thief::of(&one, &thief);
    let server = link_server(&two, &group, ALPN).unwrap();
    let refused = shake(&Arc::new(client), &server, link_server_name());
    assert_eq!(refused.err().unwrap(), ("server", forged.clone()));

    let client = link_client(&one, &group, ALPN).unwrap();
    let mut server = ServerConfig::clone(&link_server(&thief, &group, ALPN).unwrap());
    server.cert_resolver = Thief::of(&two, &thief);
    let refused = shake(&client, &Arc::new(server), link_server_name());
    assert_eq!(refused.err().unwrap(), ("client", forged));
}

#[test]
fn a_dialler_without_a_certificate_is_refused() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let group = roster(&[&one, &two]);
    let mut client = ClientConfig::clone(&link_client(&one, &group, ALPN).unwrap());
    client.client_auth_cert_resolver = Arc::clone(
        &rpc_security::rustls_configs::store_client_with_token().unwrap().client_auth_cert_resolver,
    );
    let server = link_server(&two, &group, ALPN).unwrap();
    let refused = shake(&Arc::new(client), &server, link_server_name());
    assert_eq!(refused.err().unwrap(), ("server", Error::NoCertificatesPresented));
}

#[test]
fn another_protocol_is_refused() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let group = roster(&[&one, &two]);
    let client = link_client(&one, &group, b"test/2").unwrap();
    let server = link_server(&two, &group, ALPN).unwrap();
    assert_eq!(
        shake(&client, &server, link_server_name()).err().unwrap(),
        ("server", Error::NoApplicationProtocol)
    );
}

/// A second link makes a whole handshake, certificates and all: there is nothing to resume from.
#[test]
fn sessions_are_not_resumed() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    let group = roster(&[&one, &two]);
    let client = link_client(&one, &group, ALPN).unwrap();
    let server = link_server(&two, &group, ALPN).unwrap();
    for _ in 0..2 {
        let ends = shake(&client, &server, link_server_name()).unwrap();
        assert_eq!(ends.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Full));
    }
    assert!(!client.enable_early_data && !client.enable_sni);
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
}

/// With authorities a certificate has to be in the group and certified, and neither is enough.
#[test]
fn with_authorities_both_the_roster_and_the_chain_count() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let one = authority.identity("one", Usage::Both);
    let two = authority.identity("two", Usage::Both);
    let outside = authority.identity("three", Usage::Both);
    let certified_elsewhere = foreign.identity("one", Usage::Both);
    let expired = authority.identity("one", Usage::Expired);
    let client_only = authority.identity("one", Usage::ClientOnly);
    let group = roster(&[&one, &two, &certified_elsewhere, &expired, &client_only]);
    let everybody = roster(&[&one, &two, &outside, &certified_elsewhere, &expired]);

    assert!(link((&one, &group), (&two, &group)).is_ok());
    assert_eq!(link((&outside, &everybody), (&two, &group)).err().unwrap(), ("server", OUTSIDE));
    assert_eq!(link((&one, &group), (&outside, &everybody)).err().unwrap(), ("client", OUTSIDE));

    // The one with the foreign authority would itself refuse the others, so it has their authority here.
    let why = |handshake: Handshake| match handshake.err().unwrap() {
        (end, Error::InvalidCertificate(why)) => (end, why),
        other => panic!("{other:?}"),
    };
    let (end, reason) = why(link((&certified_elsewhere, &everybody), (&two, &group)));
    assert_eq!((end, &reason), ("client", &CertificateError::UnknownIssuer), "its own check comes first");
    let (end, reason) = why(link((&one, &group), (&certified_elsewhere, &everybody)));
    assert_eq!((end, &reason), ("client", &CertificateError::UnknownIssuer));
    let (end, reason) = why(link((&expired, &group), (&two, &group)));
    assert!(end == "server" && matches!(reason, CertificateError::ExpiredContext { .. }), "{reason:?}");
    let (end, reason) = why(link((&one, &group), (&expired, &group)));
    assert!(end == "client" && matches!(reason, CertificateError::ExpiredContext { .. }), "{reason:?}");
    let (end, reason) = why(link((&one, &group), (&client_only, &group)));
    assert!(
        end == "client" && matches!(reason, CertificateError::InvalidPurposeContext { .. }),
        "{reason:?}"
    );
}
