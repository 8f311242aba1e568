//! Reading and writing frames on a socket, in bounded time and memory.

use std::io;
use std::time::Duration;

use rpc_core::Denial;
use rpc_security::ExchangeError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::codec::{Malformed, Status};
use super::stream::Stream;
use super::tls;

/// A frame that has begun has to end within this, in both directions; where it is read in two parts, each has.
pub(crate) const FRAME_TIME: Duration = Duration::from_secs(10);
/// A frame's buffer grows with the bytes that come, by this at first.
const GROWTH_BYTES: usize = 64 << 10;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the connection was closed")]
    Closed,
    #[error("{0}")]
    Io(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Exchange(#[source] ExchangeError),
    #[error("{0}")]
    Denied(Denial),
    #[error("it was refused ({0:?})")]
    Refused(Status),
    #[error("all {0} connections are taken")]
    Full(usize),
    #[error("the other side was too slow")]
    Slow,
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ if tls::is_protocol(&error) => Self::Tls(error),
            _ => Self::Io(error),
        }
    }
}

/// Reads the length at the beginning of a frame. Waits for its first byte for as long as it takes.
pub(crate) async fn read_head(stream: &mut Stream) -> Result<[u8; 4], Lost> {
    let mut head = [0; 4];
    let read = stream.read(&mut head).await?;
    if read == 0 {
        return Err(Lost::Closed);
    }
    in_time(stream.read_exact(&mut head[read..])).await?;
    Ok(head)
}

/// Reads the `bytes` of a frame's body, and allocates as they come.
pub(crate) async fn read_body(stream: &mut Stream, bytes: usize) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::with_capacity(bytes.min(GROWTH_BYTES));
    read_up_to(stream, &mut body, bytes).await?;
    Ok(body)
}

/// Reads on until `body` has `bytes`, and allocates as they come.
pub(crate) async fn read_up_to(stream: &mut Stream, body: &mut Vec<u8>, bytes: usize) -> Result<(), Lost> {
    let left = bytes.saturating_sub(body.len()) as u64;
    in_time(stream.take(left).read_to_end(body)).await?;
    if body.len() < bytes { Err(Lost::Closed) } else { Ok(()) }
}

/// Writes all of `frame`.
pub(crate) async fn write(stream: &mut Stream, frame: &[u8]) -> Result<(), Lost> {
    in_time(async {
        stream.write_all(frame).await?;
        stream.flush().await
    })
    .await
}

async fn in_time<T>(transfer: impl Future<Output = io::Result<T>>) -> Result<T, Lost> {
    match timeout(FRAME_TIME, transfer).await {
        Ok(transferred) => Ok(transferred?),
        Err(_) => Err(Lost::Slow),
    }
}
