//! Other codecs than postcard, and traces: what a request says of its payload.

use std::sync::Arc;

use rpc_core::{
    CallContext, CallScope, Client, Codec, CodecError, Codecs, Failure, HandlerRan, JSON, MESSAGEPACK,
    POSTCARD, Read, Tensor, TraceParent,
};
use rpc_macros::function;
use rpc_testing::Cluster;

use crate::functions::*;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn compiled_in() -> Vec<u8> {
    [POSTCARD, MESSAGEPACK, JSON].into_iter().filter(|id| Codecs::default().has(*id)).collect()
}

#[tokio::test]
async fn values_errors_and_tensors_travel_under_each_codec() {
    let cluster = Cluster::new(2).await;
    let client = cluster.client(0);
    for codec in compiled_in() {
        for to in ["worker1", "worker0"] {
            let calls = CallScope::new().codec(codec).scope(async {
                assert_eq!(client.rpc_async(to, add, (1, 2)).await.unwrap(), 3);
                let error = client.rpc_async(to, parse, (String::new(),)).await.unwrap_err();
                assert_eq!(error.handler_error(), Some(&ParseError::Empty));
                let layer = Tensor::from_vec(vec![0.5_f32], [1]).unwrap();
                let sample = Sample { label: None, layers: vec![layer] };
                let (doubled, _) = client.rpc_async(to, double, (sample,)).await.unwrap();
                assert_eq!(doubled.layers[0].as_slice::<f32>().unwrap(), [1.0]);
            });
            calls.await;
        }
    }
    cluster.assert_idle().await;
}

/// A codec of the program's own, which writes no byte but its name.
#[derive(Debug)]
struct Own;

impl Codec for Own {
    fn id(&self) -> u8 {
        64
    }

    fn name(&self) -> &str {
        "own"
    }

    fn encode(&self, _: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend(b"own");
        Ok(())
    }

    fn decode(&self, _: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
        // Two numbers are the arguments of `add`, and the first of them its result.
        let mut three = postcard::Deserializer::from_bytes(&[6, 8]);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut three))
            .map_err(|error| CodecError::new("own", error))
    }
}

#[tokio::test]
async fn replies_are_written_by_the_codec_of_the_request() {
    let codecs = Codecs::default().with(Arc::new(Own));
    let cluster = Cluster::builder().workers(["a", "b"]).codecs(codecs).build().await.unwrap();
    let own = CallScope::new().codec(64);
    assert_eq!(own.run(|| cluster.client("a").rpc_async("b", add, (1, 2))).await.unwrap(), 3);
    let traffic = cluster.agent("a").info().peers[1].traffic;
    assert_eq!((traffic.bytes_sent, traffic.bytes_received), (3, 3), "three bytes each way");
}

#[tokio::test]
async fn a_codec_that_one_side_lacks_is_named_before_anything_runs() {
    let cluster = Cluster::new(2).await;
    let both = Arc::new(Codecs::postcard_only().with_default(Arc::new(Own)));
    let client = Client::new(Arc::clone(cluster.agent(0)), both);
    let error = client.rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    let known = Codecs::default().names().join(", ");
    assert_eq!(error.failure(), Some(&Failure::UnknownCodec { known }));
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert!(error.to_string().contains("also_codec"), "{error}");
    let error =
        CallScope::new().codec(77).run(|| client.rpc_async("worker1", add, (1, 2))).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Encode { .. })), "{error}");
    assert!(error.to_string().contains("there are postcard, own"), "{error}");
}

#[function(crate = "rpc_core", inline)]
fn own_trace() -> Option<String> {
    CallContext::current()?.trace().map(|trace| trace.to_string())
}

#[function(crate = "rpc_core")]
async fn nested_trace(to: i64) -> Option<String> {
    tokio::task::yield_now().await;
    here().rpc_async(to, own_trace, ()).await.expect("nested call")
}

#[tokio::test]
async fn a_trace_reaches_the_handler_and_its_nested_calls_and_no_other() {
    let cluster = Cluster::new(3).await;
    let client = cluster.client(0);
    let traced = CallScope::new().trace(TRACE.parse().unwrap());
    for to in [0, 1] {
        assert_eq!(client.rpc_async(to, own_trace, ()).await.unwrap(), None);
        let seen = traced.run(|| client.rpc_async(to, own_trace, ())).await.unwrap();
        assert_eq!(seen.as_deref(), Some(TRACE));
        let seen = traced.run(|| client.rpc_async(to, nested_trace, (2,))).await.unwrap();
        assert_eq!(seen.as_deref(), Some(TRACE), "nested");
    }
    cluster.assert_idle().await;
}

#[tokio::test]
async fn a_trace_source_is_asked_for_calls_that_no_scope_traces() {
    let cluster = Cluster::new(2).await;
    let client = Client::new(Arc::clone(cluster.agent(0)), Arc::default());
    let from_source = TraceParent::new([7; 16], [8; 8], 0).unwrap();
    assert!(client.set_trace_source(move || Some(from_source)));
    assert!(!client.set_trace_source(|| None), "the first one stays");
    let seen = client.rpc_async("worker1", own_trace, ()).await.unwrap();
    assert_eq!(seen, Some(from_source.to_string()));
    let scope = CallScope::new().trace(TRACE.parse().unwrap());
    let seen = scope.run(|| client.rpc_async("worker1", own_trace, ())).await.unwrap();
    assert_eq!(seen.as_deref(), Some(TRACE));
}

#[tokio::test]
async fn a_call_without_a_trace_is_not_a_byte_longer() {
    let cluster = Cluster::new(2).await;
    let sent = || cluster.agent(0).info().peers[1].traffic.bytes_sent;
    cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap();
    let plain = sent();
    let traced = CallScope::new().trace(TRACE.parse().unwrap());
    traced.run(|| cluster.client(0).rpc_async("worker1", add, (1, 2))).await.unwrap();
    assert_eq!((plain, sent() - plain), (2, 2 + 25));
}
