//! Much at once.

use std::collections::HashSet;

use rpc_core::{Flush, Link};

use crate::rig::{next_frame, pair, request, soon};

/// Two peers that both write much before they read anything must not wait for each other.
#[tokio::test]
async fn both_sides_can_flood_each_other_before_they_read() {
    async fn receive(link: &mut Link) {
        let mut calls = HashSet::new();
        for _ in 0..100 {
            let frame = next_frame(&mut link.receiver).await;
            assert_eq!(frame.body.len_bytes(), 1_000_010);
            assert!(calls.insert(frame.header.call));
        }
    }
    let mut pair = pair().await;
    for call in 1..101 {
        pair.near.sender.send(request(call, 10, &[1_000_000]), Flush::Now).unwrap();
        pair.far.sender.send(request(call, 10, &[1_000_000]), Flush::Now).unwrap();
    }
    // One after the other: each side's writing goes on while only the other reads.
    soon(receive(&mut pair.near)).await;
    soon(receive(&mut pair.far)).await;
}
