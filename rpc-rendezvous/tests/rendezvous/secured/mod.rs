//! Stores that not everybody may use, among those who may not.

mod authorities;
mod hostile;
mod meeting;
mod token;

use std::time::Duration;

use rpc_core::{Denial, JoinToken, Store, StoreError};
use rpc_rendezvous::{StoreLimits, StoreSecurity, TcpStore, TcpStoreServer};

use crate::support::LONG;

/// The token of the job; the same at each call.
fn ours() -> JoinToken {
    JoinToken::new("the-token-of-this-job-0123456789").unwrap()
}

fn token(token: &JoinToken) -> StoreSecurity {
    StoreSecurity::Token { token: token.clone() }
}

fn other_token() -> StoreSecurity {
    token(&JoinToken::random().unwrap())
}

async fn server(security: &StoreSecurity) -> (TcpStoreServer, String) {
    let server = TcpStoreServer::bind_secured("127.0.0.1:0", StoreLimits::default(), security).await.unwrap();
    let address = server.local_addr().to_string();
    (server, address)
}

/// The same server by a host that is not loopback by its name, as a client on the network sees it: the system takes
/// the unspecified address for this machine, and [`is_local_host`](rpc_rendezvous::is_local_host) does not.
fn over_the_network(address: &str) -> String {
    address.replace("127.0.0.1", "0.0.0.0")
}

async fn connect(address: &str, security: &StoreSecurity) -> Result<TcpStore, StoreError> {
    TcpStore::connect_secured(address, LONG, security).await
}

/// Why a client was denied, which has to be certain before its time is up.
async fn denied(address: &str, security: &StoreSecurity) -> Denial {
    let began = std::time::Instant::now();
    let error = connect(address, security).await.unwrap_err();
    assert!(began.elapsed() < LONG / 2, "{error}");
    assert!(!error.to_string().contains(ours().expose()), "{error}");
    match error {
        StoreError::Denied { address: at, cause } if at == address => cause,
        other => panic!("{other:?}"),
    }
}

async fn works(store: &TcpStore) {
    store.set("k", b"v").await.unwrap();
    assert_eq!(store.get("k").await, Ok(Some(b"v".to_vec())));
    let timed_out = store.wait(&["never".into()], Duration::from_millis(1)).await;
    assert!(matches!(timed_out, Err(StoreError::TimedOut { .. })), "{timed_out:?}");
}
