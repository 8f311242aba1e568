//! Links between workers: both sides show certificates, and the roster says whose count.
//!
//! Names are ignored, since a fingerprint says who it is more exactly than a name could. That the certificate
//! is the one of the very worker that a link claims to lead to is checked by the engine (EN-6); here
//! everybody outside of the group is refused before a byte of theirs is read as a frame. With authorities
//! a certificate has to be both in the roster and valid for one of them.

use std::sync::Arc;

use rpc_core::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme, version,
};

use super::{authorities, chain_and_key, provider, without_resumption_client, without_resumption_server};
use crate::error::{CredentialPart, SecurityError};
use crate::roster::{Roster, fingerprint_of};

/// What an acceptor of links uses. Dialers have to show a certificate, and to speak the protocol `alpn`.
pub fn link_server(
    identity: &Identity,
    roster: &Roster,
    alpn: &[u8],
) -> Result<Arc<ServerConfig>, SecurityError> {
    let (chain, key) = chain_and_key(identity);
    let provider = provider();
    let verifier = LinkVerifier::new(identity, roster, &provider)?;
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(without_resumption_server(config)))
}

/// What a dialler of links uses, with [`link_server_name`].
pub fn link_client(
    identity: &Identity,
    roster: &Roster,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, SecurityError> {
    let (chain, key) = chain_and_key(identity);
    let provider = provider();
    let verifier = LinkVerifier::new(identity, roster, &provider)?;
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(without_resumption_client(config)))
}

/// The name to give to rustls or quinn, which ask for one. It is neither sent nor compared.
pub const LINK_SERVER_NAME: &str = "0.0.0.0";

/// [`LINK_SERVER_NAME`], parsed.
pub fn link_server_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
}

/// Verifies certificates of both directions.
#[derive(Debug)]
struct LinkVerifier {
    roster: Roster,
    authorities: Option<Authorities>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Authorities {
    roots: Arc<RootCertStore>,
    of_clients: Arc<dyn ClientCertVerifier>,
}

impl LinkVerifier {
    fn new(
        identity: &Identity,
        roster: &Roster,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, SecurityError> {
        let authorities = if identity.authorities().is_empty() {
            None
        } else {
            let roots = authorities(identity)?;
            let of_clients =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
                    .build()
                    .map_err(|error| SecurityError::unusable(CredentialPart::Authorities, error))?;
            Some(Authorities { roots, of_clients })
        };
        Ok(Self { roster: roster.clone(), authorities, provider: Arc::clone(provider) })
    }

    fn is_of_the_group(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.roster.trusts(fingerprint_of(certificate)) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn signed_by_its_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for LinkVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is_of_the_group(end_entity)?;
        if let Some(authorities) = &self.authorities {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                &authorities.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed_by_its_key(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for LinkVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is_of_the_group(end_entity)?;
        match &self.authorities {
            Some(authorities) => authorities.of_clients.verify_client_cert(end_entity, intermediates, now),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed_by_its_key(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
