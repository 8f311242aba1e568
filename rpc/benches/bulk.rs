//! What tensors cost, and what small calls cost beside them: `cargo bench -p rpc --bench bulk -- --pin apart`.
//!
//! Two processes. One uploads tensors to the other, alone; then it makes small calls while tensors of 256 MiB go
//! the same way, one after the other.

mod harness;

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use rpc::{Tensor, Worker};

use crate::harness::rows::{self, Row};
use crate::harness::{Options, job};

#[rpc::function(inline)]
fn echo(text: String) -> String {
    text
}

#[rpc::function(inline)]
fn take(tensor: Tensor) -> u64 {
    tensor.len() as u64
}

fn main() -> anyhow::Result<ExitCode> {
    job::run(2, measure)
}

async fn measure(options: &Options, worker: &Worker) -> anyhow::Result<()> {
    let small_call = {
        let (worker, text) = (worker.clone(), "x".repeat(64));
        move || {
            let (worker, text) = (worker.clone(), text.clone());
            async move {
                worker.rpc_async(1, echo, (text,)).await?;
                Ok(())
            }
        }
    };
    let upload = |mib: usize| {
        let (worker, tensor) = (worker.clone(), tensor(mib)?);
        anyhow::Ok(move || {
            let (worker, tensor) = (worker.clone(), tensor.clone());
            async move {
                worker.rpc_async(1, take, (tensor,)).await?;
                Ok(())
            }
        })
    };
    let latencies = Rc::new(RefCell::new(Vec::new()));
    let rows = vec![
        Row::alone("echo of 64 bytes", 5_000, small_call.clone()),
        Row::alone("upload of 1 MiB", 300, upload(1)?),
        Row::alone("upload of 16 MiB", 30, upload(16)?),
        Row::alone("upload of 256 MiB", 4, upload(256)?),
        beside(upload(256)?, small_call, Rc::clone(&latencies)),
    ];
    rows::measure("bulk", options, rows).await?;
    let mut latencies = latencies.take();
    latencies.sort_by(f64::total_cmp);
    for (what, part) in [("median", 0.5), ("99th of a hundred", 0.99), ("slowest", 1.0)] {
        let at = (part * latencies.len().saturating_sub(1) as f64).round() as usize;
        if let Some(seconds) = latencies.get(at) {
            rows::figure("bulk", options, &format!("echo beside tensors, {what}"), seconds * 1e6, "us");
        }
    }
    Ok(())
}

fn tensor(mib: usize) -> anyhow::Result<Tensor> {
    // Not zeros: those would all lie in one page.
    Ok(Tensor::from_vec(vec![1_u8; mib << 20], [mib << 20])?)
}

/// Small calls, one after the other, while `upload` is done over and over. Notes how long each took.
fn beside<U, S>(
    upload: impl Fn() -> U + Clone + 'static,
    small_call: impl Fn() -> S + Clone + 'static,
    latencies: Rc<RefCell<Vec<f64>>>,
) -> Row
where
    U: Future<Output = anyhow::Result<()>> + 'static,
    S: Future<Output = anyhow::Result<()>> + 'static,
{
    Row::rounds("echo of 64 bytes beside 256 MiB", 400, move |count| {
        let (upload, small_call, latencies) = (upload.clone(), small_call.clone(), Rc::clone(&latencies));
        Box::pin(async move {
            let ended = Cell::new(false);
            let uploading = async {
                while !ended.get() {
                    upload().await?;
                }
                anyhow::Ok(())
            };
            let calling = async {
                let start = Instant::now();
                for _ in 0..count {
                    let sent = Instant::now();
                    small_call().await?;
                    latencies.borrow_mut().push(sent.elapsed().as_secs_f64());
                }
                ended.set(true);
                anyhow::Ok(start.elapsed())
            };
            let ((), time) = tokio::try_join!(uploading, calling)?;
            Ok(time)
        })
    })
}
