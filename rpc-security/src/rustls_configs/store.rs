//! The store: with a token the exchange authenticates, with authorities TLS does.
//!
//! With a token the server shows a certificate that it has made for this start, and the client accepts any.
//! That is safe because nothing is sent or believed before the token exchange
//! ([`TokenExchange`](crate::TokenExchange)) has succeeded in both directions, and its proofs are bound to the
//! exporter of this very session. Who sits in the middle has one session with each side, and two
//! different exporters, since those are derived from key exchanges of which it can only share one half with
//! each: a proof made for one is wrong on the other, and the middle cannot make one of its own. TLS 1.3's
//! exporter covers the whole handshake of the server, so no part of that can be exchanged beneath it either.
//!
//! With authorities it is ordinary mutual TLS: the client compares the host that it dials with the
//! certificate, the server takes every certificate of its authorities.

use std::sync::Arc;

use rpc_core::Identity;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, ServerConfig, SignatureScheme, version,
};

use super::{authorities, chain_and_key, provider, without_resumption_client, without_resumption_server};
use crate::error::{CredentialPart, SecurityError};
use crate::identity::generate;

/// Protocol that both sides have to speak.
const ALPN: &[u8] = b"rpc-store/1";
/// What a channel binding is exported under (RFC 9266), with an empty context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// How much is exported.
pub const EXPORTER_BYTES: usize = 32;

/// For a server that asks for the token: a certificate for this start, and none of clients.
pub fn store_server_with_token() -> Result<Arc<ServerConfig>, SecurityError> {
    let (chain, key) = chain_and_key(&generate()?);
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(without_resumption_server(config)))
}

/// For a client that has the token: any certificate, and the exchange afterwards says whose.
pub fn store_client_with_token() -> Result<Arc<ClientConfig>, SecurityError> {
    let provider = provider();
    let verifier = Arc::new(ExchangeFollows { provider: Arc::clone(&provider) });
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(without_resumption_client(config)))
}

/// For a server that asks for certificates of its authorities.
pub fn store_server_with_authorities(identity: &Identity) -> Result<Arc<ServerConfig>, SecurityError> {
    let (chain, key) = chain_and_key(identity);
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(authorities(identity)?, Arc::clone(&provider))
        .build()
        .map_err(|error| SecurityError::unusable(CredentialPart::Authorities, error))?;
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(without_resumption_server(config)))
}

/// For a client that shows its certificate, and compares the server's with the host that it dials.
pub fn store_client_with_authorities(identity: &Identity) -> Result<Arc<ClientConfig>, SecurityError> {
    let (chain, key) = chain_and_key(identity);
    let provider = provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities(identity)?, Arc::clone(&provider))
        .build()
        .map_err(|error| SecurityError::unusable(CredentialPart::Authorities, error))?;
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(without_resumption_client(config)))
}

/// Takes any certificate whose key has signed the handshake: the token exchange that follows authenticates.
#[derive(Debug)]
struct ExchangeFollows {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ExchangeFollows {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
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
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
