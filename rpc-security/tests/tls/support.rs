//! Groups, authorities, and handshakes without sockets.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rpc_core::{Group, Identity, Incarnation, Member, WorkerId, WorkerInfo, WorkerName};
use rpc_security::{Credentials, Roster};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

pub(crate) const ALPN: &[u8] = b"test/1";

/// A roster with the certificates of `members`.
pub(crate) fn roster(members: &[&Identity]) -> Roster {
    let members = members.iter().zip(0..).map(|(identity, rank)| {
        let info = WorkerInfo::new(WorkerName::new(format!("worker{rank}")).unwrap(), WorkerId(rank));
        let mut member = Member::new(info, Incarnation([1; 16]), "nowhere");
        member.fingerprint = Some(identity.fingerprint());
        member
    });
    let roster = Roster::default();
    roster.trust(&Group::new("job", members.collect()).unwrap());
    roster
}

/// Both ends after a handshake.
pub(crate) struct Ends {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

/// What came of a handshake: both ends, or which end refused and why.
pub(crate) type Handshake = Result<Ends, (&'static str, rustls::Error)>;

pub(crate) fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: ServerName<'static>,
) -> Handshake {
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            server.read_tls(&mut left).unwrap();
            server.process_new_packets().map_err(|error| ("server", error))?;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            client.read_tls(&mut left).unwrap();
            client.process_new_packets().map_err(|error| ("client", error))?;
        }
    }
    Ok(Ends { client, server })
}

/// An authority that certifies workers.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is good for, if anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Usage {
    Both,
    Expired,
    ClientOnly,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// PEM of a certificate for `host`, and of its key.
    pub(crate) fn certify(&self, host: &str, usage: Usage) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if usage != Usage::ClientOnly {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if usage == Usage::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn identity(&self, host: &str, usage: Usage) -> Identity {
        let (certificate, key) = self.certify(host, usage);
        let credentials = Credentials::from_pem(self.pem.as_bytes(), certificate.as_bytes(), key.as_bytes());
        credentials.unwrap().identity().clone()
    }
}
