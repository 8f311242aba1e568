//! This framework: rank 0 serves, the others call it. Nothing is set that a program would not get by itself.
//!
//! The handler is an `async fn`, as those of the peers are; one that is marked `inline` is a little faster.

use bytes::Bytes;
use rpc::Worker;

use crate::system::{self, Job, SMALL, System};

#[rpc::function]
async fn echo(bytes: Bytes) -> Bytes {
    bytes
}

pub(crate) struct Tcp;

impl System for Tcp {
    type Client = Client;

    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        // They meet in a file, so clients can come at once; and the server waits for them in `init`.
        ready("rank 0");
        let worker = join(job, "tcp", 0).await?;
        worker.shutdown().await?;
        Ok(())
    }

    async fn connect(job: &Job<'_>, _address: &str, nth: u32) -> anyhow::Result<Client> {
        Ok(Client(join(job, "tcp", nth + 1).await?))
    }
}

async fn join(job: &Job<'_>, backend: &str, rank: u32) -> anyhow::Result<Worker> {
    let store = format!("file://{}", job.scratch.join("store").display());
    let worker = Worker::builder_named_by_rank().rank(rank).world_size(job.clients + 1);
    Ok(worker.backend(backend).init_method(store).init().await?)
}

#[derive(Clone)]
pub(crate) struct Client(Worker);

impl system::Client for Client {
    async fn echo(&self) -> anyhow::Result<()> {
        let answer = self.0.rpc_async(0, echo, (Bytes::from_static(&SMALL),)).await?;
        anyhow::ensure!(answer.len() == SMALL.len(), "an answer of {} bytes", answer.len());
        Ok(())
    }
}
