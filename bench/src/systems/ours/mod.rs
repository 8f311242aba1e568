//! This framework: rank 0 serves, the others call it. Nothing is set that a program would not get by itself.
//!
//! Handlers are `async fn`s, as those of the peers are; marked `inline` they would be a little faster.
//!
//! `ours-tcp` is what crosses hosts, and so is told not to be local; `ours-local` is what a program gets by itself.

mod credentials;

use std::marker::PhantomData;
use std::path::Path;

use bytes::Bytes;
use rpc::Security;
use rpc::prelude::*;

use crate::kept;
use crate::system::{self, Job, Leave, SMALL, System, expect};

#[rpc::function]
async fn echo(bytes: Bytes) -> Bytes {
    bytes
}

#[rpc::function]
async fn echo_tensor(tensor: Tensor) -> Tensor {
    tensor
}

#[rpc::function]
async fn upload(tensor: Tensor) -> u64 {
    let length = tensor.part().len() as u64;
    kept::arrived(tensor);
    length
}

#[rpc::function]
async fn download(length: u64) -> Tensor {
    kept::source(length as usize, Client::tensor)
}

#[derive(Serialize, Deserialize)]
struct Counter {
    n: u64,
}

#[rpc::function]
async fn new_counter(n: u64) -> Counter {
    Counter { n }
}

#[rpc::methods]
impl Counter {
    async fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }
}

/// This framework, over one of its ways.
pub(crate) struct Ours<W>(PhantomData<W>);

/// How workers talk.
pub(crate) trait Way {
    /// The name of the backend.
    const BACKEND: &'static str;
    /// Whether workers have [`credentials`], and so encrypt all links.
    const CREDENTIALS: bool = false;
    /// Whether workers of one machine may use Unix sockets.
    const LOCAL: bool = false;
}

/// Unix sockets, as it is on one machine unless a program asks for something else.
pub(crate) struct Local;

impl Way for Local {
    const BACKEND: &'static str = "tcp";
    const LOCAL: bool = true;
}

/// Plain TCP.
pub(crate) struct Tcp;

impl Way for Tcp {
    const BACKEND: &'static str = "tcp";
}

/// Mutual TLS over TCP.
pub(crate) struct TcpTls;

impl Way for TcpTls {
    const BACKEND: &'static str = "tcp";
    const CREDENTIALS: bool = true;
}

/// QUIC, which always encrypts.
pub(crate) struct Quic;

impl Way for Quic {
    const BACKEND: &'static str = "quic";
}

impl<W: Way> System for Ours<W> {
    type Client = Client;

    fn absent() -> Option<&'static str> {
        let offered = rpc::default_backends().names().any(|name| name == W::BACKEND);
        match (offered, W::LOCAL && cfg!(not(target_os = "linux"))) {
            (false, _) => Some("this build has no such backend"),
            (true, true) => Some("only on Linux is there a way of its own for workers of one machine"),
            (true, false) => None,
        }
    }

    fn prepare(scratch: &Path) -> anyhow::Result<()> {
        if W::CREDENTIALS { credentials::write(scratch) } else { Ok(()) }
    }

    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        // They meet in a file, so clients can come at once; and the server waits for them in `init`.
        ready("rank 0");
        let worker = join::<W>(job, 0).await?;
        worker.shutdown().await?;
        Ok(())
    }

    async fn connect(job: &Job<'_>, _address: &str, nth: u32) -> anyhow::Result<Client> {
        let client = Client(join::<W>(job, nth + 1).await?);
        system::Client::echo(&client).await?;
        let infos = client.0.debug_info().agent.flat();
        let is_local = infos.iter().any(|(_, value)| value.ends_with(", local"));
        anyhow::ensure!(is_local == W::LOCAL, "the link is not what is to be measured: {infos:?}");
        Ok(client)
    }

    async fn member(job: &Job<'_>, rank: u32, leave: Leave) -> anyhow::Result<()> {
        let worker = join::<W>(job, rank).await?;
        let next = WorkerId((rank + 1) % (job.clients + 1));
        expect(worker.rpc_async(next, echo, (Bytes::from_static(&SMALL),)).await?.len(), SMALL.len())?;
        leave.called().await?;
        worker.shutdown().await?;
        Ok(())
    }
}

async fn join<W: Way>(job: &Job<'_>, rank: u32) -> anyhow::Result<Worker> {
    let store = format!("file://{}", job.scratch.join("store").display());
    let mut worker =
        Worker::builder_named_by_rank().rank(rank).world_size(job.clients + 1).init_method(store);
    if W::CREDENTIALS {
        worker = worker.security(Security::credentials(credentials::read(job.scratch)?));
    }
    Ok(worker.backend(W::BACKEND).local_links(W::LOCAL).init().await?)
}

#[derive(Clone)]
pub(crate) struct Client(Worker);

impl Client {
    fn tensor(bytes: usize) -> Tensor {
        let length = bytes / size_of::<f32>();
        Tensor::from_vec(vec![1.0_f32; length], [length]).expect("as many as the shape says")
    }
}

impl system::Client for Client {
    type Bulk = Tensor;

    async fn echo(&self) -> anyhow::Result<()> {
        let answer = self.0.rpc_async(0, echo, (Bytes::from_static(&SMALL),)).await?;
        expect(answer.len(), SMALL.len())
    }

    fn bulk(bytes: usize) -> Tensor {
        Self::tensor(bytes)
    }

    async fn upload(&self, bulk: &Tensor) -> anyhow::Result<()> {
        let taken = self.0.rpc_async(0, upload, (bulk.clone(),)).await?;
        expect(taken as usize, bulk.part().len())
    }

    async fn echo_bulk(&self, bulk: &Tensor) -> anyhow::Result<()> {
        let answer = self.0.rpc_async(0, echo_tensor, (bulk.clone(),)).await?;
        expect(answer.part().len(), bulk.part().len())
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        let answer = self.0.rpc_async(0, download, (bytes as u64,)).await?;
        expect(answer.part().len(), bytes)
    }

    async fn cycle(&self) -> anyhow::Result<()> {
        let counter: RRef<Counter> = self.0.remote(0, new_counter, (10,))?;
        expect(counter.rpc_async().add(5).await? as usize, 15)
    }
}
