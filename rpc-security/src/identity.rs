//! [`generate`]: a certificate for as long as the process lives.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rpc_core::Identity;
use zeroize::Zeroizing;

use crate::error::SecurityError;
use crate::roster::fingerprint_of;

/// Makes a key and a self-signed certificate for it, which are nowhere but in memory.
///
/// The certificate says nothing of its holder: it is trusted by its fingerprint, which the worker publishes
/// through the store. It has no meaningful end either. Who trusts the fingerprint has learnt it from this
/// start of the worker, and a date would only add an error when the clocks of two machines differ.
///
/// # Errors
/// [`SecurityError::Generate`] if the system has no randomness.
///
/// ```
/// let (one, other) = (rpc_security::generate()?, rpc_security::generate()?);
/// assert_ne!(one.fingerprint(), other.fingerprint());
/// # Ok::<(), rpc_security::SecurityError>(())
/// ```
pub fn generate() -> Result<Identity, SecurityError> {
    let generate = |error: rcgen::Error| SecurityError::Generate { cause: Arc::new(error) };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(generate)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "rpc worker");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    let certificate = params.self_signed(&key).map_err(generate)?.der().to_vec();
    let fingerprint = fingerprint_of(&certificate);
    Ok(Identity::from_der(vec![certificate], Zeroizing::new(key.serialize_der()), vec![], fingerprint))
}
