//! [`Channel`]: what is between the bytes of a link and those on its socket: nothing, or TLS.
//!
//! It belongs to both directions, and neither knows which one it is. The writer hands over what it has, and
//! is told how much of it was taken; the reader says where the next bytes belong. A writer that finds the
//! socket full keeps at most one batch of records here, which go before everything else ([`Channel::has_pending`]).

mod source;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, IoSlice};
#[cfg(feature = "tls")]
use std::sync::Arc;

use crate::stream::WriteHalf;

pub(crate) use self::source::Source;
#[cfg(feature = "tls")]
pub(crate) use self::tls::Tls;

/// What is between a link and its socket.
#[derive(Clone, Debug)]
pub(crate) enum Channel {
    /// Nothing.
    Plain,
    #[cfg(feature = "tls")]
    Tls(Arc<Tls>),
}

impl Channel {
    /// Takes some of `slices`, and writes it if the socket has room. With nothing to take, what is pending is
    /// written. The caller is the only writer.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing was taken because the socket is full; the system's others.
    pub(crate) fn write(&self, socket: &WriteHalf, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain => {
                let written = match slices {
                    [] => return Ok(0),
                    [one] => socket.try_write(one)?,
                    many => socket.try_write_vectored(many)?,
                };
                if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(socket, slices),
        }
    }

    /// Whether something was taken, or is to be said for the channel itself, that the socket has not got.
    pub(crate) fn has_pending(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.has_pending(),
        }
    }

    /// Tells the peer that nothing follows, behind what was taken: the end of a socket alone does not say so on
    /// an encrypted link, since everybody in between can bring that about. Once; afterwards it does nothing.
    pub(crate) fn end(&self) {
        match self {
            Self::Plain => {}
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.end(),
        }
    }
}
