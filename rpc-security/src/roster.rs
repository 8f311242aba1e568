//! [`Roster`]: which certificates are those of the group.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;
use rpc_core::{Fingerprint, Group};
use sha2::{Digest, Sha256};

/// The fingerprint of a certificate in DER.
///
/// ```
/// let fingerprint = rpc_security::fingerprint_of(b"a certificate");
/// assert!(fingerprint.to_string().starts_with("81ac"));
/// ```
pub fn fingerprint_of(certificate: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate).into())
}

/// The certificates of the group's members. Clones share it.
///
/// Empty until [`trust`](Self::trust): a listener is there before its worker knows the group, and lets nobody
/// in until then.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<RwLock<HashSet<Fingerprint>>>);

impl Roster {
    /// Trusts the members of `group` that have certificates, and nobody else.
    pub fn trust(&self, group: &Group) {
        let members = group.members().iter().filter_map(|member| member.fingerprint).collect();
        *self.0.write() = members;
    }

    /// Whether a member of the group has this certificate.
    pub fn trusts(&self, fingerprint: Fingerprint) -> bool {
        self.0.read().contains(&fingerprint)
    }
}
