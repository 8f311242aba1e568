//! [`SecurityError`]: certificates and keys that are of no use, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Which of the three parts of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialPart {
    /// The certificates of the authorities that peers are certified by.
    Authorities,
    /// This process's certificate, and those that lead to an authority.
    Certificate,
    /// The private key.
    PrivateKey,
}

impl fmt::Display for CredentialPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorities => "authorities",
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
        })
    }
}

/// Why there is no identity. Nothing of a private key is in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// A file cannot be read.
    #[error("cannot read the {part} in {}", path.display())]
    Read {
        /// What it has.
        part: CredentialPart,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: Arc<io::Error>,
    },
    /// The PEM text has none, or is broken.
    #[error(
        "the PEM text has no {part} in it, or is broken; a private key has to be without a password, and stands \
         in a file of its own (RPC_TLS_KEY beside RPC_TLS_CERT)"
    )]
    NoPem {
        /// What is missing.
        part: CredentialPart,
    },
    /// The private key is in a form from before PKCS #8.
    #[error(
        "the private key is in the form {form}; convert it with \
         `openssl pkcs8 -topk8 -nocrypt -in OLD.pem -out NEW.pem`"
    )]
    KeyForm {
        /// The form that it has.
        form: &'static str,
    },
    /// The parts cannot be used, or not together: for instance a key of another certificate.
    #[error(
        "the {part} cannot be used; a certificate has to be of X.509 version 3, and the private key has to be the \
         certificate's"
    )]
    Unusable {
        /// Which part.
        part: CredentialPart,
        /// What the TLS library says.
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A key or a certificate could not be made.
    #[error("cannot make a certificate")]
    Generate {
        /// What the library says.
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl SecurityError {
    pub(crate) fn unusable(
        part: CredentialPart,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unusable { part, cause: Arc::new(cause) }
    }
}
