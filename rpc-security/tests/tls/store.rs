//! The store's sessions: exporters tell a man in the middle, authorities and names are checked.

use rpc_security::rustls_configs::{
    EXPORTER_BYTES, EXPORTER_LABEL, store_client_with_authorities, store_client_with_token,
    store_server_with_authorities, store_server_with_token,
};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error};

use crate::support::{Authority, Ends, Usage, shake};

fn name(text: &'static str) -> ServerName<'static> {
    ServerName::try_from(text).unwrap()
}

fn exported(ends: &Ends) -> ([u8; EXPORTER_BYTES], [u8; EXPORTER_BYTES]) {
    let client = ends.client.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None);
    let server = ends.server.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None);
    (client.unwrap(), server.unwrap())
}

#[test]
fn the_two_ends_of_a_session_export_the_same_and_two_sessions_do_not() {
    let client = store_client_with_token().unwrap();
    let server = store_server_with_token().unwrap();
    let first = exported(&shake(&client, &server, name("store.example")).unwrap());
    let second = exported(&shake(&client, &server, name("store.example")).unwrap());
    assert_eq!(first.0, first.1);
    assert_eq!(second.0, second.1);
    assert_ne!(first.0, second.0);
}

#[test]
fn with_authorities_both_sides_are_checked_and_so_is_the_host() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    let here = authority.identity("store.example", Usage::Both);
    let worker = authority.identity("worker.example", Usage::Both);
    let server = store_server_with_authorities(&here).unwrap();
    let client = store_client_with_authorities(&worker).unwrap();
    assert!(shake(&client, &server, name("store.example")).is_ok());

    let (end, why) = shake(&client, &server, name("other.example")).err().unwrap();
    assert_eq!(end, "client");
    assert!(
        matches!(why, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
        "{why:?}"
    );
    let without = store_client_with_token().unwrap();
    assert_eq!(
        shake(&without, &server, name("store.example")).err().unwrap(),
        ("server", Error::NoCertificatesPresented)
    );
    let expired = store_client_with_authorities(&authority.identity("worker", Usage::Expired)).unwrap();
    assert_eq!(shake(&expired, &server, name("store.example")).err().unwrap().0, "server");
    let elsewhere = store_server_with_authorities(&foreign.identity("store.example", Usage::Both)).unwrap();
    assert_eq!(
        shake(&client, &elsewhere, name("store.example")).err().unwrap(),
        ("client", Error::InvalidCertificate(CertificateError::UnknownIssuer))
    );
}
