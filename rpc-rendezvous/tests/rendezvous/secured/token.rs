//! Tokens that are right, wrong, missing and not asked for.

use rpc_core::Denial;
use rpc_rendezvous::StoreSecurity;

use super::{connect, denied, other_token, ours, over_the_network, server, token, works};
use crate::support::Proxy;

#[tokio::test]
async fn the_right_token_lets_in_on_the_machine_and_over_the_network() {
    let (_server, address) = server(&token(&ours())).await;
    for address in [address.clone(), over_the_network(&address)] {
        works(&connect(&address, &token(&ours())).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_denied_at_once() {
    let (_server, address) = server(&token(&ours())).await;
    for address in [address.clone(), over_the_network(&address)] {
        assert_eq!(denied(&address, &other_token()).await, Denial::TokenDiffers);
        works(&connect(&address, &token(&ours())).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_client_without_a_token_is_told_what_to_set() {
    let (_server, address) = server(&token(&ours())).await;
    for address in [address.clone(), over_the_network(&address)] {
        let denial = denied(&address, &StoreSecurity::Open).await;
        assert_eq!(denial, Denial::TokenMissing);
        assert!(denial.to_string().contains("set RPC_JOIN_TOKEN"), "{denial}");
    }
}

/// A client that has a token uses no store that has none: it may be an impostor's.
#[tokio::test]
async fn a_store_that_asks_for_no_token_is_not_used_by_who_has_one() {
    let (_server, address) = server(&StoreSecurity::Open).await;
    assert_eq!(denied(&address, &token(&ours())).await, Denial::TokenUnexpected);
    assert_eq!(denied(&over_the_network(&address), &token(&ours())).await, Denial::TlsMissing);
    works(&connect(&address, &StoreSecurity::Open).await.unwrap()).await;
}

#[tokio::test]
async fn a_cut_connection_is_made_again_with_another_proof() {
    let (_server, address) = server(&token(&ours())).await;
    let proxy = Proxy::before(address).await;
    let store = connect(&over_the_network(&proxy.address), &token(&ours())).await.unwrap();
    works(&store).await;
    proxy.cut();
    works(&store).await;
}

/// What passes a loopback connection on is at another address, and could read everything.
#[tokio::test]
async fn somebody_in_between_on_the_same_machine_is_noticed() {
    let (_server, address) = server(&token(&ours())).await;
    let proxy = Proxy::before(address).await;
    assert_eq!(denied(&proxy.address, &token(&ours())).await, Denial::TokenDiffers);
}
