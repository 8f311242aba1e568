//! What the ends of connections mean: for the program, and as errors of the system's kinds.

use std::io;

use quinn::{ConnectionError, ReadError, TransportErrorCode, VarInt};
use rpc_core::LinkError;

/// Longest reason that is sent along with an end, in bytes: it has to fit into one datagram.
const REASON_BYTES_MAX: usize = 256;

/// Why this side ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The link was closed, by both or by this side.
    Orderly = 0,
    /// Something failed here; the reason says what.
    Failed = 1,
    /// The link was refused after its handshake.
    Refused = 2,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// `text`, as much of it as is sent along.
pub(crate) fn reason(text: &str) -> &[u8] {
    text.as_bytes()[..text.floor_char_boundary(REASON_BYTES_MAX)].as_ref()
}

/// What the end of the connection means to a reader.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer, or this side, has closed the link. Not an error between two frames.
    Closed,
    Failed(LinkError),
}

/// An end where something was on its way.
pub(crate) fn in_the_middle() -> LinkError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer ended in the middle of a frame").into()
}

/// The end that an error of reading is.
pub(crate) fn of_read(error: ReadError) -> End {
    match error {
        ReadError::ConnectionLost(lost) => of_connection(&lost),
        // A peer that has dropped its sending half in the middle of it.
        other => failed(io::ErrorKind::ConnectionReset, other.to_string()),
    }
}

/// The end that `lost` is.
pub(crate) fn of_connection(lost: &ConnectionError) -> End {
    match lost {
        ConnectionError::LocallyClosed => End::Closed,
        ConnectionError::ApplicationClosed(close) if close.error_code == Code::Orderly.into() => End::Closed,
        other => End::Failed(as_io(other).into()),
    }
}

/// `lost` in the system's terms.
pub(crate) fn as_io(lost: &ConnectionError) -> io::Error {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, PermissionDenied, TimedOut};
    let kind = match lost {
        ConnectionError::TimedOut => TimedOut,
        ConnectionError::LocallyClosed => ConnectionAborted,
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            ConnectionRefused
        }
        ConnectionError::ConnectionClosed(close) if is_tls_alert(close.error_code) => PermissionDenied,
        ConnectionError::TransportError(error) if is_tls_alert(error.code) => PermissionDenied,
        _ => ConnectionReset,
    };
    let text = match lost {
        ConnectionError::TimedOut => "nothing was heard of the peer for too long".to_owned(),
        ConnectionError::ConnectionClosed(close) if is_tls_alert(close.error_code) => {
            format!("the peer has refused the TLS handshake: {close}")
        }
        ConnectionError::TransportError(error) if is_tls_alert(error.code) => {
            format!("the TLS handshake has failed: {error}")
        }
        ConnectionError::ApplicationClosed(close) => {
            format!("the peer has ended the link: {}", String::from_utf8_lossy(&close.reason))
        }
        other => other.to_string(),
    };
    io::Error::new(kind, text)
}

/// TLS alerts are the codes 0x100 to 0x1ff.
fn is_tls_alert(code: TransportErrorCode) -> bool {
    u64::from(code) >> 8 == 1
}

fn failed(kind: io::ErrorKind, text: String) -> End {
    End::Failed(io::Error::new(kind, text).into())
}
