//! Configurations of rustls for links and for the store. Between crates of this workspace only: rustls's types
//! are in the signatures, so this is not part of the public interface.
//!
//! All of them speak TLS 1.3 and nothing older, with aws-lc-rs passed explicitly: no provider is installed for
//! the process, which may have its own. Resumption, tickets and early data are off on both sides, because a
//! resumed session would skip the certificates, and early data can be replayed. Nothing here returns a
//! bare assertion: each verifier has rustls check the signature of the handshake by the key of
//! the certificate that was shown, without which a certificate, which everybody may know, says nothing.

mod links;
mod store;

use std::sync::Arc;

use rpc_core::{Fingerprint, Identity};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub use self::links::{LINK_SERVER_NAME, link_client, link_server, link_server_name};
pub use self::store::{
    EXPORTER_BYTES, EXPORTER_LABEL, store_client_with_authorities, store_client_with_token,
    store_server_with_authorities, store_server_with_token,
};
use crate::error::{CredentialPart, SecurityError};
use crate::roster::fingerprint_of;

/// The fingerprint of the certificate that a peer has shown: the first of its chain.
pub fn peer_fingerprint(shown: Option<&[CertificateDer<'_>]>) -> Option<Fingerprint> {
    shown.and_then(<[_]>::first).map(|certificate| fingerprint_of(certificate))
}

/// Whether `identity` can be used: the key is the certificate's, and the authorities are certificates.
pub(crate) fn check(identity: &Identity) -> Result<(), SecurityError> {
    let (chain, key) = chain_and_key(identity);
    let unusable = |error| SecurityError::unusable(CredentialPart::Certificate, error);
    CertifiedKey::from_der(chain, key, &provider()).map_err(unusable)?;
    authorities(identity).map(drop)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn chain_and_key(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = identity.certificates().iter().cloned().map(CertificateDer::from).collect();
    (chain, PrivatePkcs8KeyDer::from(identity.private_key().to_vec()).into())
}

fn authorities(identity: &Identity) -> Result<Arc<RootCertStore>, SecurityError> {
    let mut roots = RootCertStore::empty();
    for authority in identity.authorities() {
        roots
            .add(CertificateDer::from(authority.as_slice()))
            .map_err(|error| SecurityError::unusable(CredentialPart::Authorities, error))?;
    }
    Ok(Arc::new(roots))
}

fn without_resumption_server(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

fn without_resumption_client(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    // Names say nothing here, and the network need not read them.
    config.enable_sni = false;
    config
}
