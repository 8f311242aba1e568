//! Certificates of an authority in the token's place.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rpc_core::{Denial, Identity};
use rpc_rendezvous::StoreSecurity;
use rpc_security::Credentials;

use super::{connect, denied, ours, over_the_network, server, token, works};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Credentials for `host`, that trust this authority.
    fn certify(&self, host: &str, adjust: impl FnOnce(&mut CertificateParams)) -> StoreSecurity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(host);
        adjust(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        self.credentials(&certificate, &key)
    }

    fn credentials(&self, certificate: &str, key: &KeyPair) -> StoreSecurity {
        let key = key.serialize_pem();
        let all = Credentials::from_pem(self.pem.as_bytes(), certificate.as_bytes(), key.as_bytes());
        ca(all.unwrap().identity().clone())
    }
}

fn params(host: &str) -> CertificateParams {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn ca(identity: Identity) -> StoreSecurity {
    StoreSecurity::Ca { identity }
}

fn certificate_detail(denial: Denial) -> String {
    match denial {
        Denial::Certificate { detail } => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_has_a_certificate_is_let_in_on_the_machine_and_over_the_network() {
    let authority = Authority::new("ours");
    let worker = authority.certify("worker", |_| ());
    for host in ["127.0.0.1", "0.0.0.0"] {
        let (_server, address) = server(&authority.certify(host, |_| ())).await;
        let address = address.replace("127.0.0.1", host);
        works(&connect(&address, &worker).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_store_that_is_certified_for_another_host_is_not_used() {
    let authority = Authority::new("ours");
    let (_server, address) = server(&authority.certify("node7", |_| ())).await;
    let detail = certificate_detail(denied(&address, &authority.certify("worker", |_| ())).await);
    assert!(detail.contains("store's certificate") && detail.contains("127.0.0.1"), "{detail}");
}

#[tokio::test]
async fn expired_foreign_and_self_signed_clients_are_denied() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let (_server, address) = server(&authority.certify("127.0.0.1", |_| ())).await;
    let expired = authority.certify("worker", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    });
    let key = KeyPair::generate().unwrap();
    let self_signed = params("worker").self_signed(&key).unwrap().pem();
    let self_signed = authority.credentials(&self_signed, &key);
    let key = KeyPair::generate().unwrap();
    let certified_elsewhere = params("worker").signed_by(&key, &foreign.issuer).unwrap().pem();
    let certified_elsewhere = authority.credentials(&certified_elsewhere, &key);
    for client in [expired, self_signed, certified_elsewhere] {
        let detail = certificate_detail(denied(&address, &client).await);
        assert!(detail.contains("does not accept the certificate of this process"), "{detail}");
    }
    works(&connect(&address, &authority.certify("worker", |_| ())).await.unwrap()).await;
}

#[tokio::test]
async fn an_expired_or_foreign_store_is_not_used() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let worker = authority.certify("worker", |_| ());
    let expired = authority.certify("127.0.0.1", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    });
    for store in [expired, foreign.certify("127.0.0.1", |_| ())] {
        let (_server, address) = server(&store).await;
        let detail = certificate_detail(denied(&address, &worker).await);
        assert!(detail.contains("the store's certificate is not accepted"), "{detail}");
    }
}

#[tokio::test]
async fn tokens_and_certificates_do_not_mix() {
    let authority = Authority::new("ours");
    let (_certified, address) = server(&authority.certify("127.0.0.1", |_| ())).await;
    assert_eq!(denied(&address, &StoreSecurity::Open).await, Denial::TlsExpected);
    assert_eq!(denied(&address, &token(&ours())).await, Denial::TlsExpected);
    certificate_detail(denied(&over_the_network(&address), &token(&ours())).await);

    let worker = authority.certify("worker", |_| ());
    let (_with_token, address) = server(&token(&ours())).await;
    certificate_detail(denied(&address, &worker).await);
    let (_open, address) = server(&StoreSecurity::Open).await;
    assert_eq!(denied(&address, &worker).await, Denial::TlsMissing);
}
