//! [`Stream`]: a connected socket of either kind, and its halves.
//!
//! A choice of two, and not a trait object, so that what every read and write pays for having the choice is a
//! branch that always goes the same way.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(target_os = "linux")]
use tokio::net::{UnixStream, unix};

use crate::{socket, vigil};

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// To a process of this machine.
    #[cfg(target_os = "linux")]
    Local(UnixStream),
}

/// The half that reads.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(target_os = "linux")]
    Local(unix::OwnedReadHalf),
}

/// The half that writes. It can wait for the other one as well.
#[derive(Debug)]
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(target_os = "linux")]
    Local(unix::OwnedWriteHalf),
}

/// Does the same with either kind.
macro_rules! with_either {
    ($self:expr, $inner:ident => $then:expr) => {
        match $self {
            Self::Tcp($inner) => $then,
            #[cfg(target_os = "linux")]
            Self::Local($inner) => $then,
        }
    };
}

impl Stream {
    /// Prepares the socket for links.
    ///
    /// # Errors
    /// The system's. A peer that has reset the connection meanwhile makes some options fail.
    pub(crate) fn configure(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket::configure_tcp(stream),
            #[cfg(target_os = "linux")]
            Self::Local(stream) => socket::configure_local(stream),
        }
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            #[cfg(target_os = "linux")]
            Self::Local(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Local(read), WriteHalf::Local(write))
            }
        }
    }
}

impl WriteHalf {
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        with_either!(self, half => half.try_write(bytes))
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        with_either!(self, half => half.try_write_vectored(slices))
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        with_either!(self, half => half.writable().await)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        with_either!(self, half => half.as_ref().readable().await)
    }

    pub(crate) fn try_read(&self, target: &mut [u8]) -> io::Result<usize> {
        with_either!(self, half => half.as_ref().try_read(target))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        with_either!(self, half => SockRef::from(half.as_ref()).shutdown(how))
    }

    /// Returns the link's error once the peer's host is silent, looking `every` so often. A process of this
    /// machine has none that could go without the socket ending.
    pub(crate) async fn host_lost(&self, every: Duration) -> io::Error {
        match self {
            Self::Tcp(half) => vigil::watch(half.as_ref(), every).await,
            #[cfg(target_os = "linux")]
            Self::Local(_) => std::future::pending().await,
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with_either!(self.get_mut(), half => Pin::new(half).poll_read(cx, target))
    }
}

// For what a door says before there are halves.

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with_either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, target))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        with_either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
