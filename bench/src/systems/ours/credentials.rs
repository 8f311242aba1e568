//! Credentials for the links that are encrypted: an authority, and a certificate that all workers of the job use.

use std::fs;
use std::path::Path;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rpc::Credentials;

const AUTHORITY: &str = "authority.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Makes them, for the processes of a measurement that share the folder.
pub(super) fn write(scratch: &Path) -> anyhow::Result<()> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    fs::write(scratch.join(AUTHORITY), authority.pem())?;
    fs::write(scratch.join(CERTIFICATE), certificate.pem())?;
    fs::write(scratch.join(KEY), key.serialize_pem())?;
    Ok(())
}

/// Those that were made.
pub(super) fn read(scratch: &Path) -> anyhow::Result<Credentials> {
    let path = |name: &str| scratch.join(name);
    Credentials::from_files(path(AUTHORITY), path(CERTIFICATE), path(KEY))
        .context("the bench's own credentials")
}
