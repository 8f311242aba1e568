//! Built without TLS: a token works on this machine, and what needs TLS says so instead of being done in the clear.

use rpc_core::{Denial, Fingerprint, Identity, JoinToken, Store, StoreError};
use rpc_rendezvous::{StoreLimits, StoreSecurity, TcpStore, TcpStoreServer};

use crate::support::LONG;

fn no_tls<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    match result {
        Err(StoreError::Denied { cause: Denial::NoTls, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_works_on_this_machine_and_nowhere_else() {
    let security = StoreSecurity::Token { token: JoinToken::random().unwrap() };
    let limits = StoreLimits::default();
    let server = TcpStoreServer::bind_secured("127.0.0.1:0", limits, &security).await.unwrap();
    let address = server.local_addr().to_string();
    let store = TcpStore::connect_secured(&address, LONG, &security).await.unwrap();
    store.set("k", b"v").await.unwrap();
    let stranger = TcpStore::connect(&address, LONG).await;
    assert!(matches!(stranger, Err(StoreError::Denied { cause: Denial::TokenMissing, .. })), "{stranger:?}");

    let network = address.replace("127.0.0.1", "0.0.0.0");
    no_tls(TcpStore::connect_secured(&network, LONG, &security).await);
    no_tls(TcpStoreServer::bind_secured("0.0.0.0:0", limits, &security).await);
}

#[tokio::test]
async fn certificates_need_tls_everywhere() {
    let key = zeroize::Zeroizing::new(Vec::new());
    let identity = Identity::from_der(vec![], key, vec![], Fingerprint([0; 32]));
    let security = StoreSecurity::Ca { identity };
    no_tls(TcpStore::connect_secured("127.0.0.1:1", LONG, &security).await);
    no_tls(TcpStoreServer::bind_secured("127.0.0.1:0", StoreLimits::default(), &security).await);
}
