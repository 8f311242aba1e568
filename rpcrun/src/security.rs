//! What guards the store of the job, and what the workers find in their environment about it.
//!
//! The workers read the same variables as the launcher, so that all of them come to the same result: credentials
//! go before a token, and a token before nothing. On one machine the launcher makes a token if there is none.
//! Launchers on several machines cannot agree on one without a secret that they share already.
//!
//! A token travels in the environment of the workers, which other users of the machine cannot read. It is on no
//! command line, which all of them can, and in no output.

use rpc_core::JoinToken;
use rpc_rendezvous::{StoreSecurity, is_local_host};
use rpc_security::Credentials;

use crate::error::LaunchError;

/// Variable that, set to `1`, opens a job to a network that is trusted.
const INSECURE_VARIABLE: &str = "RPC_INSECURE";
/// Variable that has the job's token.
pub(crate) const TOKEN_VARIABLE: &str = "RPC_JOIN_TOKEN";
/// Variables that name the files of credentials: authorities, certificate, private key.
const CREDENTIAL_VARIABLES: [&str; 3] = ["RPC_TLS_CA", "RPC_TLS_CERT", "RPC_TLS_KEY"];

/// How a job is guarded.
#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) store: StoreSecurity,
    /// A token that was made here, which the workers have to be told.
    pub(crate) made: Option<JoinToken>,
}

impl Security {
    /// What the variables of the workers say, for a job of `nnodes` machines that meets at `host` and `port`.
    ///
    /// # Errors
    /// [`LaunchError::OpenStore`] if everybody on a network could use the store, and nobody has said that it is
    /// trusted; otherwise variables that are of no use.
    pub(crate) fn new(
        variable: impl Fn(&str) -> Option<String>,
        nnodes: u32,
        host: &str,
        port: u16,
    ) -> Result<Self, LaunchError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let given = |store| Ok(Self { store, made: None });
        let files = CREDENTIAL_VARIABLES.map(variable);
        match files {
            [Some(ca), Some(certificate), Some(key)] => {
                let identity = Credentials::from_files(ca, certificate, key)?.identity().clone();
                return given(StoreSecurity::Ca { identity });
            }
            [None, None, None] => {}
            _ => return Err(LaunchError::PartOfCredentials),
        }
        if let Some(text) = variable(TOKEN_VARIABLE) {
            let token = JoinToken::new(&text).map_err(LaunchError::Token)?;
            return given(StoreSecurity::Token { token });
        }
        if nnodes == 1 {
            let token = JoinToken::random().map_err(|source| LaunchError::System {
                what: "draw a token from the system's randomness",
                source,
            })?;
            return Ok(Self { store: StoreSecurity::Token { token: token.clone() }, made: Some(token) });
        }
        if is_local_host(host) || variable(INSECURE_VARIABLE).as_deref() == Some("1") {
            return given(StoreSecurity::Open);
        }
        Err(LaunchError::OpenStore { address: format!("{host}:{port}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn security(variables: &[(&str, &str)], nnodes: u32, host: &str) -> Result<Security, LaunchError> {
        let variable = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        Security::new(variable, nnodes, host, 29500)
    }

    #[test]
    fn a_job_of_one_machine_gets_a_token_of_its_own() {
        for host in ["127.0.0.1", "node0"] {
            let (one, other) = (security(&[], 1, host).unwrap(), security(&[], 1, host).unwrap());
            assert!(matches!(&one.store, StoreSecurity::Token { token } if Some(token) == one.made.as_ref()));
            assert_ne!(one.made, other.made);
        }
    }

    #[test]
    fn a_token_of_the_environment_is_used_on_any_number_of_machines() {
        for nnodes in [1, 2] {
            let given = security(&[(TOKEN_VARIABLE, TOKEN)], nnodes, "node0").unwrap();
            assert!(matches!(&given.store, StoreSecurity::Token { token } if token.expose() == TOKEN));
            assert_eq!(given.made, None);
        }
        let error = security(&[(TOKEN_VARIABLE, "swordfish")], 1, "127.0.0.1").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(TOKEN_VARIABLE) && !shown.contains("swordfish"), "{shown}");
    }

    #[test]
    fn several_machines_without_a_secret_are_refused_unless_the_network_is_trusted() {
        for (host, variables) in [("node0", &[][..]), ("0.0.0.0", &[(INSECURE_VARIABLE, "0")])] {
            let error = security(variables, 2, host).unwrap_err().to_string();
            for way_out in [
                "--master-addr 127.0.0.1",
                "RPC_JOIN_TOKEN=$(",
                "openssl rand",
                "RPC_TLS_CA",
                "RPC_INSECURE=1",
            ] {
                assert!(error.contains(way_out) && error.contains(host), "{host}: {error}");
            }
        }
        for (host, variables) in [("node0", &[(INSECURE_VARIABLE, "1")][..]), ("localhost", &[])] {
            let open = security(variables, 2, host).unwrap();
            assert!(matches!(open.store, StoreSecurity::Open) && open.made.is_none());
        }
    }

    #[test]
    fn credentials_go_before_a_token_and_have_to_be_complete() {
        let key = ("RPC_TLS_KEY", "/nowhere/key.pem");
        let part = security(&[key, (TOKEN_VARIABLE, TOKEN)], 1, "127.0.0.1").unwrap_err();
        assert!(matches!(part, LaunchError::PartOfCredentials), "{part}");
        let files = [("RPC_TLS_CA", "/nowhere/ca.pem"), ("RPC_TLS_CERT", "/nowhere/cert.pem"), key];
        let error = security(&files, 1, "127.0.0.1").unwrap_err();
        assert!(matches!(error, LaunchError::Credentials(_)), "{error}");
    }
}
