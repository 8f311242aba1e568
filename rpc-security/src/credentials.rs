//! [`Credentials`]: an identity that somebody else vouches for.

use std::path::Path;
use std::sync::Arc;

use rpc_core::Identity;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::{CredentialPart, SecurityError};
use crate::roster::fingerprint_of;
use crate::rustls_configs;

/// A certificate of an authority, its key, and the authorities whose certificates are trusted.
///
/// One certificate serves a process as a server and as a client, so it has to be good for both (extended key
/// usage `serverAuth` and `clientAuth`, or none), and the store's has to carry the host by which workers reach
/// it. Dates are checked; there are no revocation lists.
#[derive(Clone, Debug)]
pub struct Credentials {
    identity: Identity,
}

impl Credentials {
    /// Credentials out of PEM text: the authorities' certificates, the own certificate followed by those
    /// that lead from it to an authority, and its private key in PKCS #8 without a password.
    ///
    /// # Errors
    /// [`SecurityError`] if a part is missing, or the key is not the certificate's.
    pub fn from_pem(
        authorities: &[u8],
        certificate: &[u8],
        private_key: &[u8],
    ) -> Result<Self, SecurityError> {
        let authorities = certificates(authorities, CredentialPart::Authorities)?;
        let certificates = certificates(certificate, CredentialPart::Certificate)?;
        let private_key = key(private_key)?;
        let fingerprint = fingerprint_of(certificates.first().map_or(&[][..], Vec::as_slice));
        let identity = Identity::from_der(certificates, private_key, authorities, fingerprint);
        rustls_configs::check(&identity)?;
        Ok(Self { identity })
    }

    /// As [`from_pem`](Self::from_pem), out of files.
    ///
    /// # Errors
    /// [`SecurityError::Read`] names the file that cannot be read; otherwise as `from_pem`.
    pub fn from_files(
        authorities: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        private_key: impl AsRef<Path>,
    ) -> Result<Self, SecurityError> {
        Self::from_pem(
            &read(CredentialPart::Authorities, authorities.as_ref())?,
            &read(CredentialPart::Certificate, certificate.as_ref())?,
            &read(CredentialPart::PrivateKey, private_key.as_ref())?,
        )
    }

    /// The identity that links and stores take.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn read(part: CredentialPart, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|cause| SecurityError::Read {
        part,
        path: path.to_owned(),
        cause: Arc::new(cause),
    })
}

fn certificates(pem: &[u8], part: CredentialPart) -> Result<Vec<Vec<u8>>, SecurityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(SecurityError::NoPem { part }),
    }
}

fn key(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecurityError> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Pkcs8(key)) => Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
        Ok(PrivateKeyDer::Pkcs1(_)) => Err(SecurityError::KeyForm { form: "PKCS #1" }),
        Ok(PrivateKeyDer::Sec1(_)) => Err(SecurityError::KeyForm { form: "SEC 1" }),
        _ => Err(SecurityError::NoPem { part: CredentialPart::PrivateKey }),
    }
}
