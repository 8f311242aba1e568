//! A Unix socket through tokio.

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::calls::Calls;
use super::wire;
use crate::case::Feature;
use crate::system::{Job, System};

pub(crate) struct Unix;

impl System for Unix {
    type Client = Calls<OwnedReadHalf, OwnedWriteHalf>;

    const BULK_APART: bool = true;

    fn lacks(feature: Feature) -> Option<&'static str> {
        (feature == Feature::Group).then_some("as raw-tcp")
    }

    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let path = job.scratch.join("socket");
        let listener = UnixListener::bind(&path)?;
        ready(&path.to_string_lossy());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(async move {
                let (reader, writer) = stream.into_split();
                // A client that has measured just leaves.
                let _ = wire::serve(reader, writer).await;
            });
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Self::Client> {
        let (reader, writer) = UnixStream::connect(address).await?.into_split();
        Ok(Calls::new(reader, writer, ()))
    }
}
