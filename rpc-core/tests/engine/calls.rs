//! Values there and back.

use rpc_core::Tensor;
use rpc_testing::Cluster;

use crate::functions::*;

#[tokio::test]
async fn every_kind_of_body_answers_and_so_does_the_worker_itself() {
    let cluster = Cluster::new(2).await;
    for to in ["worker1", "worker0"] {
        let client = cluster.client(0);
        assert_eq!(client.rpc_async(to, add, (1, 2)).await.unwrap(), 3, "{to}");
        assert_eq!(client.rpc_async(to, add_async, (1, 2)).await.unwrap(), 3, "{to}");
        assert_eq!(client.rpc_async(to, add_blocking, (1, 2)).await.unwrap(), 3, "{to}");
        assert_eq!(client.rpc_async(to, sleep_ms, (1,)).await.unwrap(), 1, "{to}");
    }
    cluster.assert_idle().await;
}

#[tokio::test]
async fn tensors_travel_as_aligned_parts_and_the_callers_stay_as_they_were() {
    let cluster = Cluster::new(2).await;
    let layer = Tensor::from_vec(vec![1.0_f32, -2.5], [2]).unwrap();
    let sample = Sample { label: Some("seven".into()), layers: vec![layer.clone(), layer.clone()] };
    let (doubled, align) = cluster.client(0).rpc_async("worker1", double, (sample,)).await.unwrap();
    assert_eq!(doubled.layers[1].as_slice::<f32>().unwrap(), [2.0, -5.0]);
    assert_eq!(layer.as_slice::<f32>().unwrap(), [1.0, -2.5], "the caller's bytes are not the callee's");
    assert_eq!(doubled.label.as_deref(), Some("seven"));
    // A vector's own memory moves through the in-memory network uncopied, so this is the vector's alignment.
    assert!(align.is_multiple_of(4));
}

#[tokio::test]
async fn arguments_are_encoded_before_the_call_returns() {
    let cluster = Cluster::new(2).await;
    let mut text = String::from("12");
    let call = cluster.client(0).rpc_async("worker1", parse, (text.clone(),));
    text.push('x');
    assert_eq!(call.await.unwrap(), 12);
}

#[tokio::test]
async fn a_thousand_calls_overlap_and_each_gets_its_own_answer() {
    let cluster = Cluster::new(2).await;
    let calls: Vec<_> =
        (0..1000).map(|i| cluster.client(0).rpc_async("worker1", add_async, (i, i))).collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), 2 * i as i64);
    }
    cluster.assert_idle().await;
}

/// The clock stands still, so that no answer is a slow one.
#[tokio::test(start_paused = true)]
async fn answers_leave_in_shares_while_others_are_made() {
    let cluster = Cluster::new(2).await;
    let calls: Vec<_> =
        (0..64).map(|_| cluster.client(0).rpc_async("worker1", answers_waiting, ())).collect();
    let mut waiting = Vec::new();
    for call in calls {
        waiting.push(call.await.unwrap());
    }
    let shares = waiting.iter().filter(|bytes| **bytes == 0).count();
    assert!(shares >= 4, "the caller had little to do meanwhile: {waiting:?}");
    assert!(shares <= 16, "each left alone: {waiting:?}");
}
