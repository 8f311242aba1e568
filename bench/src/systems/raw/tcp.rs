//! TCP through tokio.

use anyhow::Context;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::wire;
use crate::system::{Job, System};

pub(crate) struct Tcp;

impl System for Tcp {
    type Client = wire::Calls<OwnedReadHalf, OwnedWriteHalf>;

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept().await.context("cannot accept")?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let (reader, writer) = stream.into_split();
                // A client that has measured just leaves.
                let _ = wire::serve(reader, writer).await;
            });
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Self::Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(wire::Calls::new(reader, writer))
    }
}
