//! [`Security`]: who may connect to a worker, as the program says it.

mod policy;

use std::fmt;

use rpc_core::JoinToken;
#[cfg(feature = "tls")]
use rpc_security::Credentials;

pub(crate) use self::policy::{Policy, at_loopback};

/// Who may connect to a worker, and what protects its links.
///
/// The default takes what the environment has, in this order:
///
/// 1. `RPC_TLS_CA`, `RPC_TLS_CERT` and `RPC_TLS_KEY`, paths of PEM files: [`credentials`](Self::credentials);
/// 2. `RPC_JOIN_TOKEN`, which `rpcrun` sets: [`token`](Self::token);
/// 3. nothing: the worker serves this machine only, without credentials, and initialising on any address other
///    than loopback is refused.
///
/// `RPC_INSECURE=1` has the effect of [`insecure`](Self::insecure) for a program that says nothing of its own.
/// What the program says goes before the environment.
///
/// | | loopback | other addresses |
/// |---|---|---|
/// | nothing | no check, plain | refused |
/// | token | each side proves to have it, plain | TLS, between certificates that came through the store |
/// | credentials | mutual TLS | mutual TLS |
/// | insecure | no check, plain | no check, plain |
///
/// A backend that always encrypts, such as `quic`, does so in every row. All workers of a job need the same.
#[derive(Clone, Default)]
pub struct Security {
    choice: Choice,
}

#[derive(Clone, Default)]
enum Choice {
    #[default]
    Environment,
    Token(JoinToken),
    #[cfg(feature = "tls")]
    Credentials(Credentials),
    LoopbackOnly,
    Insecure,
}

impl Security {
    /// Who proves to know `token` belongs to the job: the store is joined with it. Links between workers that
    /// do not leave the machine begin with the same proof. Others are encrypted, between certificates that
    /// each worker makes at its start and publishes through the store.
    ///
    /// The token is never sent. Initialising on an address other than loopback needs the feature `tls`.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # use rpc::{JoinToken, Security};
    /// let token = JoinToken::random()?; // once for the job; hand `token.expose()` to all of its workers
    /// let builder = Worker::builder("trainer0").security(Security::token(token));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn token(token: JoinToken) -> Self {
        Self { choice: Choice::Token(token) }
    }

    /// Who has a certificate of the same authority belongs to the job: mutual TLS, for the store and for all
    /// links, also on loopback.
    #[cfg(feature = "tls")]
    pub fn credentials(credentials: Credentials) -> Self {
        Self { choice: Choice::Credentials(credentials) }
    }

    /// This machine only: initialising with another address than loopback is refused, whatever credentials
    /// there are. Those of the environment are used.
    pub fn loopback_only() -> Self {
        Self { choice: Choice::LoopbackOnly }
    }

    /// Listens wherever it is told, and its links ask for no credentials and are not encrypted: for networks
    /// in which every machine is trusted. `RPC_INSECURE=1` in the environment has the same effect.
    ///
    /// The store is still joined with the credentials that the environment has, since whoever serves it
    /// decides what it asks for.
    pub fn insecure() -> Self {
        Self { choice: Choice::Insecure }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.choice {
            Choice::Environment => "Security(as the environment says)",
            Choice::Token(_) => "Security(token)",
            #[cfg(feature = "tls")]
            Choice::Credentials(_) => "Security(credentials)",
            Choice::LoopbackOnly => "Security(loopback only)",
            Choice::Insecure => "Security(insecure)",
        })
    }
}
