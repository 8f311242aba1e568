//! [`Source`]: the reading side of a channel.

use std::io;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(feature = "tls")]
use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::Channel;
#[cfg(feature = "tls")]
use super::tls::{Decrypted, Tls};
#[cfg(feature = "tls")]
use crate::bounds::READ_BUFFER_BYTES;
use crate::stream::ReadHalf;

/// Gives the bytes of a link, in order.
#[derive(Debug)]
pub(crate) enum Source {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Decrypting),
}

impl Source {
    pub(crate) fn new(channel: &Channel) -> Self {
        match channel {
            Channel::Plain => Self::Plain,
            #[cfg(feature = "tls")]
            Channel::Tls(tls) => Self::Tls(Decrypting::new(Arc::clone(tls))),
        }
    }

    /// Reads into `target`, which has room. Nothing read is the end, as the peer has meant it.
    ///
    /// # Errors
    /// The system's, and those of a peer that breaks the channel. [`io::ErrorKind::UnexpectedEof`]: the socket
    /// has ended, and the peer has not said that it would.
    pub(crate) fn poll_read(
        &mut self,
        socket: &mut ReadHalf,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain => Pin::new(socket).poll_read(cx, target),
            #[cfg(feature = "tls")]
            Self::Tls(decrypting) => decrypting.poll_read(socket, cx, target),
        }
    }

    /// Forgets what is buffered.
    pub(crate) fn rest(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(decrypting) = self {
            decrypting.incoming = BytesMut::new();
        }
    }
}

/// Reads records and decrypts them to where they belong.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Decrypting {
    tls: Arc<Tls>,
    /// Records, or what there is of them.
    incoming: BytesMut,
    /// The last read has filled its buffer, so there is probably more.
    busy: bool,
    /// The socket has ended.
    at_end: bool,
}

#[cfg(feature = "tls")]
impl Decrypting {
    fn new(tls: Arc<Tls>) -> Self {
        Self { tls, incoming: BytesMut::new(), busy: false, at_end: false }
    }

    fn poll_read(
        &mut self,
        socket: &mut ReadHalf,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.tls.decrypt(&mut self.incoming, self.at_end, target) {
                Ok(Decrypted::Done) => return Poll::Ready(Ok(())),
                Ok(Decrypted::NeedsMore) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // All of it was taken, so its memory is found again.
            self.incoming.reserve(READ_BUFFER_BYTES[if self.busy { 2 } else { 1 }]);
            let spare = self.incoming.spare_capacity_mut();
            let spare_len = spare.len();
            let mut records = ReadBuf::uninit(spare);
            match Pin::new(&mut *socket).poll_read(cx, &mut records) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // Not kept for a link that is quiet.
                    self.incoming = BytesMut::new();
                    return Poll::Pending;
                }
            }
            let len = records.filled().len();
            // SAFETY: `ReadBuf` counts initialised bytes only, and they lie at the start of the spare capacity.
            unsafe { self.incoming.advance_mut(len) };
            self.busy = len == spare_len;
            self.at_end = len == 0;
        }
    }
}
