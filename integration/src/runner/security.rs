//! [`Security`]: what the workers of a run have to show to each other, and [`Keys`], with which they do.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rpc::{Credentials, JoinToken};
use rpc_rendezvous::StoreSecurity;
use tokio::process::Command;

/// What the workers of a run have to show to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Security {
    /// Nothing: they are at loopback, and whoever is there is believed.
    Open,
    /// That they have the job's token, as under rpcrun.
    Token,
    /// A certificate of the runner's authority; everything is encrypted.
    Ca,
}

impl Security {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Ca => "ca",
        }
    }

    /// `backend` with what is beyond the default.
    pub fn label(self, backend: &str) -> String {
        match self {
            Self::Open => backend.to_owned(),
            Self::Token | Self::Ca => format!("{backend}+{}", self.name()),
        }
    }
}

/// The secrets of one run.
pub enum Keys {
    /// There are none.
    Open,
    /// The job's token.
    Token(JoinToken),
    /// Certificates.
    Ca {
        /// Who has issued them.
        authority: Box<Authority>,
        /// For each worker by rank, and last for who hosts the store or launches workers.
        files: Vec<Files>,
    },
}

impl Keys {
    /// New ones, for `workers` and a store at `hosts`. Files go to `folder`.
    pub fn new(security: Security, workers: u32, hosts: &[String], folder: &Path) -> Result<Self> {
        Ok(match security {
            Security::Open => Self::Open,
            Security::Token => Self::Token(JoinToken::random()?),
            Security::Ca => {
                let authority = Authority::new("integration")?;
                let file = |rank| authority.write(folder, &format!("worker{rank}"), hosts, Dates::Now);
                let files = (0..=workers).map(file).collect::<Result<_>>()?;
                Self::Ca { authority: Box::new(authority), files }
            }
        })
    }

    /// What the store asks for.
    pub fn store(&self) -> Result<StoreSecurity> {
        Ok(match self {
            Self::Open => StoreSecurity::Open,
            Self::Token(token) => StoreSecurity::Token { token: token.clone() },
            Self::Ca { .. } => {
                let files = self.files(u32::MAX)?;
                let credentials =
                    Credentials::from_files(&files.authorities, &files.certificate, &files.key)?;
                StoreSecurity::Ca { identity: credentials.identity().clone() }
            }
        })
    }

    /// The files of worker `rank`; beyond the last worker those of who hosts the store.
    pub fn files(&self, rank: u32) -> Result<&Files> {
        match self {
            Self::Ca { files, .. } => files.get(rank as usize).or(files.last()).context("files"),
            Self::Open | Self::Token(_) => bail!("there are no certificates in this run"),
        }
    }

    /// Who certifies the workers of this run.
    pub fn authority(&self) -> Result<&Authority> {
        match self {
            Self::Ca { authority, .. } => Ok(authority),
            Self::Open | Self::Token(_) => bail!("there are no certificates in this run"),
        }
    }

    /// Gives those of worker `rank` to the process of `command`, in place of what it may have.
    pub fn give(&self, rank: u32, command: &mut Command) {
        forget(command);
        match self {
            Self::Open => {}
            Self::Token(token) => {
                command.env("RPC_JOIN_TOKEN", token.expose());
            }
            Self::Ca { .. } => self.files(rank).into_iter().for_each(|files| files.give(command)),
        }
    }
}

/// Takes all secrets from the process of `command`.
pub fn forget(command: &mut Command) {
    for variable in ["RPC_JOIN_TOKEN", "RPC_TLS_CA", "RPC_TLS_CERT", "RPC_TLS_KEY"] {
        command.env_remove(variable);
    }
}

/// Where PEM files are.
#[derive(Clone)]
pub struct Files {
    /// The certificate of who certifies.
    pub authorities: PathBuf,
    /// The worker's own certificate.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
}

impl Files {
    /// Names them to the process of `command`.
    pub fn give(&self, command: &mut Command) {
        command.env("RPC_TLS_CA", &self.authorities);
        command.env("RPC_TLS_CERT", &self.certificate).env("RPC_TLS_KEY", &self.key);
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// For a long time from now on.
    Now,
    /// Until a day that is long past.
    LongAgo,
}

/// Who certifies workers.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, which nobody else knows.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Makes a certificate for `hosts`, and writes it to `folder` with its key and this authority's own.
    pub fn write(&self, folder: &Path, name: &str, hosts: &[String], dates: Dates) -> Result<Files> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts)?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        if dates == Dates::LongAgo {
            (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        }
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let file = |part: &str, text: &str| {
            let path = folder.join(format!("{name}-{part}.pem"));
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            anyhow::Ok(path)
        };
        Ok(Files {
            authorities: file("ca", &self.pem)?,
            certificate: file("cert", &certificate)?,
            key: file("key", &key.serialize_pem())?,
        })
    }
}
