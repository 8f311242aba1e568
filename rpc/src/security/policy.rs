//! [`Policy`]: what the program and the environment say, made one, and what follows from it for each address.
//!
//! Decided before anything listens. Everything here fails closed: what would be reachable from another machine
//! without credentials is refused, and the error names the ways out.

use std::net::SocketAddr;

use rpc_core::{Identity, JoinToken, LinkSecurity, Protection};
use rpc_rendezvous::{StoreSecurity, is_local_host};

use super::{Choice, Security};
use crate::error::InitError;

/// Variable that, set to `1`, has the effect of [`Security::insecure`].
const INSECURE_VARIABLE: &str = "RPC_INSECURE";
/// Variable that has the job's token.
const TOKEN_VARIABLE: &str = "RPC_JOIN_TOKEN";
/// Variables that name the files of credentials: authorities, certificate, private key.
const CREDENTIAL_VARIABLES: [&str; 3] = ["RPC_TLS_CA", "RPC_TLS_CERT", "RPC_TLS_KEY"];

/// What protects one worker.
#[derive(Debug)]
pub(crate) struct Policy {
    reach: Reach,
    proof: Proof,
}

/// Which addresses may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Loopback, whatever credentials there are: the program says so.
    Loopback,
    /// Loopback, and all others if there are credentials.
    Proven,
    /// All, and links without credentials.
    Everywhere,
}

/// How a worker shows that it belongs to the job.
#[derive(Debug)]
enum Proof {
    None,
    Token(JoinToken),
    /// Made out of credentials only, which need TLS.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "credentials need TLS"))]
    Certificate(Identity),
}

impl Policy {
    /// What `security` says, and `variable` where that says nothing.
    ///
    /// # Errors
    /// Variables that are incomplete, or whose values are of no use.
    pub(crate) fn new(
        security: &Security,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InitError> {
        let (reach, proof) = match &security.choice {
            Choice::Token(token) => (Reach::Proven, Proof::Token(token.clone())),
            #[cfg(feature = "tls")]
            Choice::Credentials(credentials) => {
                (Reach::Proven, Proof::Certificate(credentials.identity().clone()))
            }
            Choice::LoopbackOnly => (Reach::Loopback, Proof::of_environment(&variable)?),
            Choice::Insecure => (Reach::Everywhere, Proof::of_environment(&variable)?),
            Choice::Environment => {
                let insecure = variable(INSECURE_VARIABLE).as_deref() == Some("1");
                let reach = if insecure { Reach::Everywhere } else { Reach::Proven };
                (reach, Proof::of_environment(&variable)?)
            }
        };
        Ok(Self { reach, proof })
    }

    /// Whether what is done depends on where a worker listens.
    pub(crate) fn depends_on_address(&self) -> bool {
        match self.reach {
            Reach::Everywhere => false,
            Reach::Loopback => true,
            Reach::Proven => !matches!(self.proof, Proof::Certificate(_)),
        }
    }

    /// Checks where the worker would listen.
    pub(crate) fn check_bind(&self, bind: &str, local: bool) -> Result<(), InitError> {
        self.check(local, "the worker", bind, "listen on loopback with .bind(\"127.0.0.1:0\")")
    }

    /// Checks the host at which the store of the job is. On every rank, not only on the one that serves it: the
    /// others would wait for it in vain, and the store decides whom a worker trusts.
    pub(crate) fn check_store(&self, host: &str) -> Result<(), InitError> {
        let local = is_local_host(host);
        self.check(local, "the store of the job", host, "meet on loopback (MASTER_ADDR=127.0.0.1)")
    }

    fn check(
        &self,
        local: bool,
        service: &'static str,
        address: &str,
        remedy: &'static str,
    ) -> Result<(), InitError> {
        let address = || address.to_owned();
        match (self.reach, &self.proof) {
            (Reach::Everywhere, _) => Ok(()),
            _ if local => Ok(()),
            (Reach::Loopback, _) => Err(InitError::NotLoopback { service, address: address(), remedy }),
            (Reach::Proven, Proof::None) => {
                Err(InitError::NotSecured { service, address: address(), remedy })
            }
            (Reach::Proven, Proof::Token(_) | Proof::Certificate(_)) if cfg!(feature = "tls") => Ok(()),
            (Reach::Proven, Proof::Token(_) | Proof::Certificate(_)) => {
                Err(InitError::NoTls { what: format!("{service} at {}", address()) })
            }
        }
    }

    /// What the store is asked for. It decides by its host whether that needs TLS.
    pub(crate) fn store(&self) -> StoreSecurity {
        match &self.proof {
            Proof::None => StoreSecurity::Open,
            Proof::Token(token) => StoreSecurity::Token { token: token.clone() },
            Proof::Certificate(identity) => StoreSecurity::Ca { identity: identity.clone() },
        }
    }

    /// What links are protected with, of a job that stays on this machine if `local`.
    ///
    /// There is a certificate wherever TLS is compiled in, asked for or not: a backend may encrypt whatever it is
    /// told. Making one takes a tenth of a millisecond.
    ///
    /// # Errors
    /// No certificate can be made.
    pub(crate) fn links(&self, local: bool) -> Result<LinkSecurity, InitError> {
        let protection = match (self.reach, &self.proof) {
            (Reach::Everywhere, _) | (_, Proof::None) => Protection::None,
            (_, Proof::Token(_)) if local => Protection::Token,
            (_, Proof::Token(_) | Proof::Certificate(_)) => Protection::Encryption,
        };
        let mut links = LinkSecurity::new(protection);
        match &self.proof {
            Proof::None => links.identity = ephemeral()?,
            Proof::Token(token) => {
                links.identity = ephemeral()?;
                links.token = Some(token.clone());
            }
            Proof::Certificate(identity) => links.identity = Some(identity.clone()),
        }
        Ok(links)
    }
}

/// A certificate for as long as this worker lives, where TLS is compiled in.
fn ephemeral() -> Result<Option<Identity>, InitError> {
    #[cfg(feature = "tls")]
    return Ok(Some(rpc_security::generate()?));
    #[cfg(not(feature = "tls"))]
    Ok(None)
}

impl Proof {
    fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, InitError> {
        let files = CREDENTIAL_VARIABLES.map(variable);
        if files.iter().any(Option::is_some) {
            return Self::of_files(files);
        }
        match variable(TOKEN_VARIABLE) {
            Some(text) => Ok(Self::Token(JoinToken::new(&text).map_err(InitError::Token)?)),
            None => Ok(Self::None),
        }
    }

    fn of_files(files: [Option<String>; 3]) -> Result<Self, InitError> {
        let [Some(ca), Some(certificate), Some(key)] = files else {
            let named = |set: bool| {
                let names = CREDENTIAL_VARIABLES.iter().zip(&files).filter(|(_, file)| file.is_some() == set);
                names.map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
            };
            return Err(InitError::PartOfCredentials { set: named(true), unset: named(false) });
        };
        #[cfg(feature = "tls")]
        return Ok(Self::Certificate(
            rpc_security::Credentials::from_files(ca, certificate, key)?.identity().clone(),
        ));
        #[cfg(not(feature = "tls"))]
        {
            let _ = (ca, certificate, key);
            Err(InitError::NoTls { what: format!("a certificate ({})", CREDENTIAL_VARIABLES[1]) })
        }
    }
}

/// Whether all of `addresses`, to which a host was resolved, are loopback.
pub(crate) fn at_loopback(addresses: &[SocketAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn token() -> JoinToken {
        JoinToken::new(TOKEN).unwrap()
    }

    fn policy(security: Security, variables: &[(&str, &str)]) -> Result<Policy, InitError> {
        Policy::new(&security, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// What links have on loopback, and elsewhere; `None` where that is refused.
    fn links(security: Security, variables: &[(&str, &str)]) -> [Option<Protection>; 2] {
        let policy = policy(security, variables).unwrap();
        [true, false].map(|local| {
            policy.check_bind("host:0", local).ok()?;
            Some(policy.links(local).unwrap().protection)
        })
    }

    #[test]
    fn the_table() {
        use Protection::{Encryption, None as Plain, Token};
        let with_tls = |protection| cfg!(feature = "tls").then_some(protection);
        let set = [(TOKEN_VARIABLE, TOKEN)];
        let open = [(INSECURE_VARIABLE, "1")];
        let both = [set[0], open[0]];
        let unsaid = Security::default;
        assert_eq!(links(unsaid(), &[]), [Some(Plain), None]);
        assert_eq!(links(unsaid(), &[(INSECURE_VARIABLE, "0")]), [Some(Plain), None]);
        assert_eq!(links(unsaid(), &set), [Some(Token), with_tls(Encryption)]);
        assert_eq!(links(unsaid(), &open), [Some(Plain); 2]);
        assert_eq!(links(unsaid(), &both), [Some(Plain); 2]);
        assert_eq!(links(Security::insecure(), &set), [Some(Plain); 2]);
        // What the program has asked for is not weakened by a variable.
        for variables in [&[][..], &open, &both] {
            let secured = links(Security::token(token()), variables);
            assert_eq!(secured, [Some(Token), with_tls(Encryption)], "{variables:?}");
        }
        assert_eq!(links(Security::loopback_only(), &open), [Some(Plain), None]);
        assert_eq!(links(Security::loopback_only(), &both), [Some(Token), None]);
    }

    #[test]
    fn a_store_on_the_network_needs_what_a_worker_there_needs() {
        let refused = |policy: Policy| policy.check_store("node7").unwrap_err().to_string();
        let text = refused(policy(Security::default(), &[]).unwrap());
        for way_out in
            ["node7", "RPC_JOIN_TOKEN", "RPC_TLS_CA", "MASTER_ADDR=127.0.0.1", "Security::insecure()"]
        {
            assert!(text.contains(way_out), "{text}");
        }
        let text = refused(policy(Security::loopback_only(), &[(TOKEN_VARIABLE, TOKEN)]).unwrap());
        assert!(text.contains("node7") && text.contains("loopback_only"), "{text}");
        let of_token = policy(Security::token(token()), &[]).unwrap();
        assert_eq!(of_token.check_store("node7").is_ok(), cfg!(feature = "tls"));
        assert!(of_token.check_store("localhost").is_ok());
        assert!(matches!(of_token.store(), StoreSecurity::Token { .. }));
        // The launcher decides what its store asks for.
        let open = policy(Security::insecure(), &[(TOKEN_VARIABLE, TOKEN)]).unwrap();
        assert!(open.check_store("node7").is_ok() && matches!(open.store(), StoreSecurity::Token { .. }));
    }

    #[test]
    fn addresses_that_are_not_all_loopback_are_of_the_network() {
        let [loopback, open]: [SocketAddr; 2] =
            ["127.0.0.1:0", "0.0.0.0:0"].map(|text| text.parse().unwrap());
        assert!(at_loopback(&[loopback]));
        assert!(![&[open][..], &[loopback, open], &[]].iter().any(|addresses| at_loopback(addresses)));
    }

    #[test]
    fn variables_that_are_of_no_use_are_errors_that_name_them_and_keep_the_secret() {
        let error = policy(Security::default(), &[(TOKEN_VARIABLE, "swordfish")]).unwrap_err().to_string();
        assert!(error.contains(TOKEN_VARIABLE) && !error.contains("swordfish"), "{error}");
        let part = [("RPC_TLS_CERT", "cert.pem"), ("RPC_TLS_KEY", "key.pem")];
        let error = policy(Security::default(), &part).unwrap_err().to_string();
        assert!(error.contains("RPC_TLS_CA") && error.contains("RPC_TLS_CERT and RPC_TLS_KEY"), "{error}");
        let absent = [("RPC_TLS_CA", "/nowhere/ca.pem"), part[0], part[1]];
        let error = policy(Security::default(), &absent).unwrap_err().to_string();
        let named = if cfg!(feature = "tls") { "/nowhere/ca.pem" } else { "feature `tls`" };
        assert!(error.contains(named), "{error}");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn there_is_a_new_certificate_for_each_worker() {
        let policy = policy(Security::default(), &[]).unwrap();
        let fingerprint = || policy.links(true).unwrap().identity.unwrap().fingerprint();
        assert_ne!(fingerprint(), fingerprint());
    }
}
