//! What is listened on, and what is told to others.

use rpc_core::{BindOptions, Transport};
use rpc_transport_tcp::TcpTransport;

use crate::rig::bind;

#[tokio::test]
async fn listening_everywhere_needs_a_host_to_advertise() {
    let error = TcpTransport::bind(BindOptions::new("0.0.0.0:0")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("set advertise_host"), "{error}");

    let mut options = BindOptions::new("0.0.0.0:0");
    options.advertise_host = Some("localhost".to_owned());
    let transport = TcpTransport::bind(options).await.unwrap();
    let address = transport.local_address();
    assert!(address.starts_with("localhost:"), "{address}");
    let (dialled, accepted) = tokio::join!(transport.connect(&address), transport.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn an_advertised_address_of_the_sixth_version_gets_its_brackets() {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.advertise_host = Some("fd00::1".to_owned());
    let address = TcpTransport::bind(options).await.unwrap().local_address();
    assert!(address.starts_with("[fd00::1]:"), "{address}");
}

#[tokio::test]
async fn a_taken_port_is_the_systems_error() {
    let taken = bind().await;
    let error = TcpTransport::bind(BindOptions::new(taken.local_address())).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
