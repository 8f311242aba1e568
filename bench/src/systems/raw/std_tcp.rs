//! TCP through the standard library, blocking, with a thread for each connection: no runtime at all.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::executor::block_on;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::calls::Calls;
use super::wire;
use crate::case::Feature;
use crate::system::{Job, System};

pub(crate) struct StdTcp;

impl System for StdTcp {
    type Client = Calls<Blocking, Blocking>;

    const BULK_APART: bool = true;

    fn lacks(feature: Feature) -> Option<&'static str> {
        match feature {
            Feature::Calls | Feature::Overlap { clients: 1 } | Feature::Bulk { .. } => None,
            Feature::Overlap { .. } | Feature::Mixed { .. } => Some("blocks: one thread has one connection"),
            Feature::References | Feature::Group => Some("as raw-tcp"),
        }
    }

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        ready(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let reader = stream.try_clone()?;
            // A client that has measured just leaves.
            std::thread::spawn(|| block_on(wire::serve(Blocking(reader), Blocking(stream))));
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Self::Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        Ok(Calls::new(Blocking(reader), Blocking(stream), ()))
    }
}

/// A socket that is always ready, because it blocks.
pub(crate) struct Blocking(TcpStream);

impl AsyncRead for Blocking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Zeroed once in its life; what is read into again is not.
        let read = self.0.read(into.initialize_unfilled())?;
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
