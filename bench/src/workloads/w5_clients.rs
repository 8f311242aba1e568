//! W5: one server, and many clients in one process, each with a connection of its own and one small call after the
//! other. The driver adds what they cost the server in memory.

use std::time::Instant;

use futures::future::try_join_all;

use super::measure;
use crate::child::{Measured, Metric};
use crate::system::{Client, Job, System};

pub(crate) async fn run<S: System>(job: &Job<'_>, address: &str, seconds: f64) -> anyhow::Result<Measured> {
    let clients = try_join_all((0..job.clients).map(|nth| S::connect(job, address, nth))).await?;
    let done = measure(seconds, clients.len(), async |count| {
        let share = count.div_ceil(clients.len());
        let start = Instant::now();
        let tasks: Vec<_> = clients
            .iter()
            .map(|client| {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    for _ in 0..share {
                        client.echo().await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(start.elapsed())
    })
    .await?;
    let thousands = done.per_second() / 1e3;
    Ok(done.measured([Metric::main(thousands, "k/s")]))
}
