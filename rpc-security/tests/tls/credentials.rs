//! PEM text and files, and what is wrong with them.

use rpc_security::{CredentialPart, Credentials, SecurityError};

use crate::support::{Authority, Usage};

fn refused(ca: &str, certificate: &str, key: &str) -> SecurityError {
    Credentials::from_pem(ca.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap_err()
}

#[test]
fn each_part_that_is_missing_is_named() {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.certify("host", Usage::Both);
    let part = |error| match error {
        SecurityError::NoPem { part } => part,
        other => panic!("{other:?}"),
    };
    assert_eq!(part(refused("", &certificate, &key)), CredentialPart::Authorities);
    assert_eq!(part(refused(authority.pem(), &key, &key)), CredentialPart::Certificate);
    assert_eq!(part(refused(authority.pem(), &certificate, &certificate)), CredentialPart::PrivateKey);
}

#[test]
fn a_key_of_another_certificate_is_refused_at_once() {
    let authority = Authority::new("ours");
    let (certificate, _) = authority.certify("host", Usage::Both);
    let (_, other_key) = authority.certify("host", Usage::Both);
    let error = refused(authority.pem(), &certificate, &other_key);
    assert!(matches!(error, SecurityError::Unusable { part: CredentialPart::Certificate, .. }), "{error:?}");
}

#[test]
fn an_old_form_of_key_is_named_with_the_way_out() {
    let authority = Authority::new("ours");
    let (certificate, _) = authority.certify("host", Usage::Both);
    let old = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";
    let error = refused(authority.pem(), &certificate, old);
    assert!(error.to_string().contains("SEC 1") && error.to_string().contains("openssl pkcs8"), "{error}");
}

#[test]
fn errors_show_nothing_of_the_key() {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.certify("host", Usage::Both);
    let broken = key.replace("-----END PRIVATE KEY-----", "");
    let error = refused(authority.pem(), &certificate, &broken);
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{error:?} {error}").contains(secret));
}

#[test]
fn files_are_read_and_one_that_is_not_there_is_named() {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.certify("host", Usage::Both);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", authority.pem());
    let certificate = write("cert.pem", &certificate);
    let key = write("key.pem", &key);
    let credentials = Credentials::from_files(&ca, &certificate, &key).unwrap();
    assert_eq!(credentials.identity().authorities().len(), 1);

    let missing = dir.path().join("missing.pem");
    let error = Credentials::from_files(&ca, &certificate, &missing).unwrap_err();
    assert!(
        error.to_string().contains("missing.pem") && error.to_string().contains("private key"),
        "{error}"
    );
}
