//! Other codecs than postcard: for a worker, for single calls, of one's own, and one that is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::{CodecError, Read};
use rpc::{CallScope, Codec, Codecs, JSON, Json, MESSAGEPACK, MessagePack, POSTCARD};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    label: Option<String>,
    by_name: BTreeMap<String, (f64, Tensor)>,
}

fn sample() -> Result<Sample> {
    let tensor = Tensor::from_vec(vec![1.0_f32, -0.5], [2, 1])?;
    let by_name = BTreeMap::from([("ψ \"quoted\"".to_owned(), (0.1 + 0.2, tensor))]);
    Ok(Sample { label: Some("seven\n".into()), by_name })
}

#[rpc::function(inline)]
fn echo(sample: Sample) -> Sample {
    sample
}

#[rpc::function]
async fn refuse(sample: Sample) -> Result<(), Sample> {
    Err(sample)
}

/// Has no tag on the wire, so only a codec that describes itself can read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Text(String),
}

#[rpc::function(inline)]
fn turn(value: Either) -> Either {
    match value {
        Either::Number(number) => Either::Text(number.to_string()),
        Either::Text(text) => Either::Number(text.len() as u64),
    }
}

#[derive(Serialize, Deserialize)]
struct Counter {
    n: u64,
}

#[rpc::methods(inline)]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }
}

#[rpc::function(inline)]
fn new_counter(n: u64) -> Counter {
    Counter { n }
}

#[rpc::function]
async fn add_by_reference(counter: RRef<Counter>, by: u64) -> Result<u64, CallError> {
    counter.rpc_async().add(by).await
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("codecs::use_rpc_pickler", 2, use_rpc_pickler),
        Scenario::on_first("codecs::for_single_calls", 2, for_single_calls),
        Scenario::on_first("codecs::references", 3, references),
        Scenario::on_first("codecs::self_describing", 2, self_describing),
        Scenario::new("codecs::of_ones_own", 2, of_ones_own),
        Scenario::new("codecs::unknown_on_the_callee", 2, unknown_on_the_callee),
    ]
}

/// Values, errors and tensors there and back.
async fn exchange(worker: &Worker, other: i64) -> Result<()> {
    let original = sample()?;
    ensure!(worker.rpc_async(other, echo, (original.clone(),)).await? == original);
    let error = worker.rpc_async(other, refuse, (original.clone(),)).await.err();
    ensure!(error.as_ref().and_then(CallError::handler_error) == Some(&original), "{error:?}");
    Ok(())
}

/// Rank 0 writes JSON and rank 1 MessagePack; each is answered in its own.
async fn use_rpc_pickler(part: Part) -> Result<()> {
    let builder = part.builder();
    let worker = match part.rank {
        0 => builder.codec(Arc::new(Json)),
        _ => builder.codec(Arc::new(MessagePack)),
    };
    let worker = worker.init().await?;
    exchange(&worker, i64::from(1 - part.rank)).await?;
    leave(&worker).await
}

async fn for_single_calls(worker: &Worker) -> Result<()> {
    for codec in [JSON, MESSAGEPACK, POSTCARD] {
        CallScope::new().codec(codec).scope(exchange(worker, 1)).await?;
        let original = sample()?;
        let to_itself = CallScope::new().codec(codec).run(|| worker.rpc_async(0, echo, (original.clone(),)));
        ensure!(to_itself.await? == original, "codec {codec}");
    }
    exchange(worker, 1).await
}

async fn references(worker: &Worker) -> Result<()> {
    for codec in [JSON, MESSAGEPACK] {
        let calls = CallScope::new().codec(codec).scope(async {
            let counter: RRef<Counter> = worker.remote("worker1", new_counter, (10,))?;
            ensure!(counter.rpc_async().add(5).await? == 15);
            let sum = worker.rpc_async("worker2", add_by_reference, (counter.clone(), 2)).await?;
            ensure!(sum == 17);
            ensure!(counter.to_here().await?.n == 17);
            Ok(())
        });
        calls.await.with_context(|| format!("codec {codec}"))?;
    }
    Ok(())
}

async fn self_describing(worker: &Worker) -> Result<()> {
    for codec in [JSON, MESSAGEPACK] {
        let calls = CallScope::new().codec(codec).scope(async {
            ensure!(worker.rpc_async(1, turn, (Either::Number(42),)).await? == Either::Text("42".into()));
            ensure!(worker.rpc_async(1, turn, (Either::Text("42".into()),)).await? == Either::Number(2));
            Ok(())
        });
        calls.await?;
    }
    let error = worker.rpc_async(1, turn, (Either::Number(42),)).await.err().context("by postcard")?;
    ensure!(matches!(error.failure(), Some(Failure::BadArguments { .. })), "{error}");
    ensure!(error.handler_ran() == HandlerRan::No);
    Ok(())
}

/// Postcard with every bit turned over, as a user would write it.
#[derive(Debug)]
struct Inverted;

impl Codec for Inverted {
    fn id(&self) -> u8 {
        64
    }

    fn name(&self) -> &str {
        "inverted"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let plain = postcard::to_stdvec(value).map_err(|error| CodecError::new("inverted", error))?;
        out.extend(plain.iter().map(|byte| !byte));
        Ok(())
    }

    fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
        let plain: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        let mut from = postcard::Deserializer::from_bytes(&plain);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut from))
            .map_err(|error| CodecError::new("inverted", error))?;
        match from.finalize() {
            Ok([]) => Ok(()),
            _ => Err(CodecError::new("inverted", "bytes are left over")),
        }
    }
}

/// Rank 0 writes it; rank 1 writes postcard and understands both.
async fn of_ones_own(part: Part) -> Result<()> {
    let builder = part.builder();
    let worker = match part.rank {
        0 => builder.codec(Arc::new(Inverted)),
        _ => builder.also_codec(Arc::new(Inverted)),
    };
    let worker = worker.init().await?;
    exchange(&worker, i64::from(1 - part.rank)).await?;
    leave(&worker).await
}

async fn unknown_on_the_callee(part: Part) -> Result<()> {
    let builder = part.builder();
    let worker = match part.rank {
        0 => builder,
        _ => builder.codecs(Codecs::postcard_only()),
    };
    let worker = worker.init().await?;
    if part.rank == 0 {
        for codec in [JSON, MESSAGEPACK] {
            let call = CallScope::new().codec(codec).run(|| worker.rpc_async(1, turn, (Either::Number(1),)));
            let error = call.await.err().context("a codec that is not there")?;
            let expected = Failure::UnknownCodec { known: "postcard".into() };
            ensure!(error.failure() == Some(&expected), "{error}");
            ensure!(error.handler_ran() == HandlerRan::No);
            ensure!(error.to_string().contains("also_codec"), "it names the remedy: {error}");
        }
        exchange(&worker, 1).await?;
        let own = CallScope::new().codec(79).run(|| worker.rpc_async(1, turn, (Either::Number(1),)));
        let error = own.await.err().context("a codec that is not here")?;
        ensure!(matches!(error.failure(), Some(Failure::Encode { .. })), "{error}");
    }
    leave(&worker).await
}
