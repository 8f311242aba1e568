//! TCP through tokio, with the system's buffers and congestion control.

use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::calls::Calls;
use super::wire;
use crate::system::{Client, Job, Leave, System};

pub(crate) struct Tcp;

impl System for Tcp {
    type Client = Calls<OwnedReadHalf, OwnedWriteHalf>;

    const BULK_APART: bool = true;

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener.local_addr()?.to_string());
        accept(listener).await
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Self::Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Calls::new(reader, writer, ()))
    }

    /// The first listens, the others find its address in a file. Nobody waits for anybody as they leave.
    async fn member(job: &Job<'_>, rank: u32, leave: Leave) -> anyhow::Result<()> {
        let path = job.scratch.join("address");
        if rank == 0 {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let unfinished = path.with_extension("new");
            std::fs::write(&unfinished, address)?;
            std::fs::rename(unfinished, path)?;
            tokio::task::spawn_local(accept(listener));
            return leave.called().await;
        }
        let address = loop {
            match std::fs::read_to_string(&path) {
                Ok(address) => break address,
                // Nobody says when a file has come; this is short against what is measured, and the same for all.
                Err(_not_yet) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let client = Self::connect(job, &address, rank).await?;
        client.echo().await?;
        leave.called().await
    }
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            let (reader, writer) = stream.into_split();
            // A client that has measured just leaves.
            let _ = wire::serve(reader, writer).await;
        });
    }
}
