//! What calls carry: types of the user, tensors anywhere inside of them, much of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::scenario::Scenario;
use rpc::Worker;
use rpc::prelude::*;
use rpc::rpc_core::Dtype;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    label: Option<String>,
    layers: Vec<Tensor>,
    by_name: BTreeMap<String, (u8, Tensor)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Path(Vec<(i32, i32)>),
}

#[rpc::function]
fn echo_shapes(shapes: Vec<Shape>) -> Vec<Shape> {
    shapes.into_iter().rev().collect()
}

#[rpc::function]
fn echo(tensor: Tensor) -> Tensor {
    tensor
}

/// Doubles every `f32`, and says whether every tensor's bytes are where a vector unit wants them.
#[rpc::function]
fn double(mut sample: Sample) -> Result<(Sample, bool), String> {
    let mut aligned = true;
    for tensor in sample.layers.iter_mut().chain(sample.by_name.values_mut().map(|(_, tensor)| tensor)) {
        aligned &= tensor.part().as_ptr().addr().is_multiple_of(64);
        let values = tensor.as_mut_slice::<f32>().map_err(|error| error.to_string())?;
        values.iter_mut().for_each(|value| *value *= 2.0);
    }
    Ok((sample, aligned))
}

#[rpc::function(inline)]
fn parse(text: String) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("basic::user_defined_types", 2, user_defined_types),
        Scenario::on_first("basic::tensors", 2, tensors),
        Scenario::on_first("basic::tensors_in_container", 2, tensors_in_container),
        Scenario::on_first("basic::large_tensor", 2, large_tensor),
    ]
}

async fn user_defined_types(worker: &Worker) -> Result<()> {
    let mut shapes = vec![Shape::Point, Shape::Circle { radius: 0.5 }, Shape::Path(vec![(1, -1); 1000])];
    let echoed = worker.rpc_async("worker1", echo_shapes, (shapes.clone(),)).await?;
    shapes.reverse();
    ensure!(echoed == shapes);
    Ok(())
}

async fn tensors(worker: &Worker) -> Result<()> {
    let all = [
        Tensor::from_vec(vec![1.5_f32, f32::NAN, -0.0], [3])?,
        Tensor::from_vec((0..24).map(f64::from).collect(), [2, 3, 4])?,
        Tensor::from_vec(vec![u8::MAX; 1_000_003], [1_000_003])?,
        Tensor::from_vec(vec![i64::MIN], [])?,
        Tensor::zeros(Dtype::F32, [0, 9])?,
    ];
    for tensor in &all {
        for to in ["worker1", "worker0"] {
            ensure!(worker.rpc_async(to, echo, (tensor.clone(),)).await? == *tensor, "{tensor:?} at {to}");
        }
    }
    let many: Vec<_> = all.iter().cycle().take(100).collect();
    let calls: Vec<_> =
        many.iter().map(|tensor| worker.rpc_async("worker1", echo, ((*tensor).clone(),))).collect();
    for (tensor, call) in many.into_iter().zip(calls) {
        ensure!(call.await? == *tensor, "{tensor:?}");
    }
    Ok(())
}

fn sample() -> Result<Sample> {
    let layer = |n: usize| Tensor::from_vec(vec![n as f32; 100 * n], [n, 100]);
    let by_name = (1..20).map(|n| Ok((format!("layer{n}"), (n as u8, layer(n)?))));
    Ok(Sample {
        label: Some("seven".into()),
        layers: (1..40).map(layer).collect::<Result<_, _>>()?,
        by_name: by_name.collect::<Result<_>>()?,
    })
}

fn check_doubled(original: &Sample, doubled: &Sample) -> Result<()> {
    ensure!(doubled.label == original.label);
    ensure!(doubled.layers.len() == original.layers.len() && doubled.by_name.len() == original.by_name.len());
    let pairs = original.layers.iter().zip(&doubled.layers);
    let named = original.by_name.values().zip(doubled.by_name.values()).map(|(a, b)| (&a.1, &b.1));
    for (before, after) in pairs.chain(named) {
        ensure!(before.shape() == after.shape());
        let pairs = before.as_slice::<f32>()?.iter().zip(after.as_slice::<f32>()?);
        for (before, after) in pairs {
            ensure!(*after == before * 2.0);
        }
    }
    Ok(())
}

async fn tensors_in_container(worker: &Worker) -> Result<()> {
    let original = sample()?;
    let (doubled, aligned) = worker.rpc_async("worker1", double, (original.clone(),)).await?;
    ensure!(aligned, "tensors arrive aligned to 64 bytes");
    check_doubled(&original, &doubled)?;
    ensure!(original == sample()?, "the callee worked on its own bytes");
    Ok(())
}

/// 256 MiB there and back, with small calls that go on meanwhile.
async fn large_tensor(worker: &Worker) -> Result<()> {
    const LEN: usize = 64 << 20;
    // Computing each would take longer than sending them. The period is not that of anything into which they are cut.
    let block: Vec<u32> = (0..65_537).map(|n: u32| n.wrapping_mul(0x9e37_79b9)).collect();
    let mut values = block.repeat(LEN.div_ceil(block.len()));
    values.truncate(LEN);
    let tensor = Tensor::from_vec(values, [1 << 13, 1 << 13])?;
    let large = worker.rpc_async("worker1", echo, (tensor.clone(),));
    let small = worker.rpc_async("worker1", parse, ("17".into(),)).timeout(Duration::from_secs(20));
    ensure!(small.await.context("a small call beside a large one")? == 17);
    let echoed = large.await?;
    ensure!(echoed.part().as_ptr().addr().is_multiple_of(64));
    ensure!(echoed == tensor);
    Ok(())
}
