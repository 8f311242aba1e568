//! Opening secured stores where workers meet, and sharing them between jobs.

use std::time::Duration;

use rpc_core::{Denial, Incarnation, StoreError};
use rpc_rendezvous::{Meeting, StoreHost, StoreSecurity, join, open_store};

use super::{connect, other_token, ours, over_the_network, token, works};
use crate::support::{LONG, free, worker};

fn meeting(address: &str, host_by: StoreHost) -> Meeting {
    let (host, port) = address.rsplit_once(':').unwrap();
    Meeting::Tcp { host: host.into(), port: port.parse().unwrap(), host_by }
}

#[tokio::test]
async fn workers_with_the_token_meet_however_the_store_is_hosted() {
    for host_by in [StoreHost::Rank0, StoreHost::Rank0Beside] {
        for network in [false, true] {
            let free = free();
            let address = if network { over_the_network(&free.address) } else { free.address.clone() };
            let at = meeting(&address, host_by);
            let job = Incarnation::random().unwrap().to_string();
            let security = token(&ours());
            let (one, zero) = tokio::join!(
                open_store(&at, 1, &job, LONG, &security),
                open_store(&at, 0, &job, LONG, &security)
            );
            let (one, zero) = (one.unwrap(), zero.unwrap());
            let (zero, one) =
                tokio::join!(join(&zero.store, worker("zero", 0, 2)), join(&one.store, worker("one", 1, 2)));
            assert_eq!(zero.unwrap().group.members(), one.unwrap().group.members());
        }
    }
}

#[tokio::test]
async fn jobs_with_one_token_share_a_store_and_take_it_over() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0);
    let security = token(&ours());
    let first = open_store(&at, 0, "a", LONG, &security).await.unwrap();
    let second = open_store(&at, 0, "b", LONG, &security).await.unwrap();
    assert!(first.hosted_at().is_some() && second.hosted_at().is_none());
    first.close().await;
    // Until the other one has taken over nobody is there, and a client tries again.
    works(&connect(&free.address, &security).await.unwrap()).await;
    for stranger in [StoreSecurity::Open, other_token()] {
        let denied = connect(&free.address, &stranger).await;
        assert!(matches!(denied, Err(StoreError::Denied { .. })), "taken over with the token: {denied:?}");
    }
}

#[tokio::test]
async fn jobs_with_other_tokens_do_not_share_a_store() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0);
    let _first = open_store(&at, 0, "a", LONG, &token(&ours())).await.unwrap();
    for (other, expected) in
        [(other_token(), Denial::TokenDiffers), (StoreSecurity::Open, Denial::TokenMissing)]
    {
        for rank in [0, 1] {
            let denied = open_store(&at, rank, "b", LONG, &other).await.unwrap_err();
            assert_eq!(denied, StoreError::Denied { address: free.address.clone(), cause: expected.clone() });
            assert!(denied.to_string().contains("RPC_JOIN_TOKEN"), "{denied}");
        }
    }
}

/// Where a client has to search, a store that denies it may be another job's, so it goes on searching, and says in
/// the end what it has met.
#[tokio::test]
async fn who_searches_with_a_wrong_token_is_told_in_the_end() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0Beside);
    let job = Incarnation::random().unwrap().to_string();
    let _zero = open_store(&at, 0, &job, LONG, &token(&ours())).await.unwrap();
    let lost = open_store(&at, 1, &job, Duration::from_secs(1), &other_token()).await;
    assert!(matches!(lost, Err(StoreError::Denied { cause: Denial::TokenDiffers, .. })), "{lost:?}");
}

/// Rank 0 of a job with another token goes to the next port, and its workers find it there.
#[tokio::test]
async fn jobs_with_other_tokens_meet_beside_each_other() {
    let free = free();
    let at = meeting(&free.address, StoreHost::Rank0Beside);
    let job = Incarnation::random().unwrap().to_string();
    let (ours, theirs) = (token(&ours()), other_token());
    let first = open_store(&at, 0, &job, LONG, &ours).await.unwrap();
    let second = open_store(&at, 0, &job, LONG, &theirs).await.unwrap();
    assert_ne!(first.hosted_at().unwrap(), second.hosted_at().unwrap());
    second.store.set("whose", b"theirs").await.unwrap();
    let client = open_store(&at, 1, &job, LONG, &theirs).await.unwrap();
    assert_eq!(client.store.get("whose").await, Ok(Some(b"theirs".to_vec())));
}
