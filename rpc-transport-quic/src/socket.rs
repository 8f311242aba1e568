//! The UDP socket of an endpoint, with what large datagrams need beyond quinn's own.
//!
//! With segmentation offload one system call sends up to ten datagrams, and no system takes more than 64 KiB at
//! a time. Ten datagrams of 9,000 bytes are more; the system refuses them, and quinn takes what is refused for
//! lost, again and again. So such a call is split here.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Type};

use crate::bounds::{MTU_MAX, SOCKET_BUFFER_BYTES};

/// What IP leaves for datagrams in one system call.
const CALL_BYTES_MAX: usize = 65_507;

/// A socket that is bound to `address`.
///
/// # Errors
/// The system's.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `[::]` is reached over both versions of IP, on every system.
        let _ = socket.set_only_v6(false);
    }
    // One socket carries all links. What does not fit is lost and sent again, so the system is asked for much;
    // it may give less, and is no worse for that than it was before.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// quinn's socket for tokio, and calls that the system takes.
pub(crate) struct Socket(Arc<dyn AsyncUdpSocket>);

impl Socket {
    /// Hands `socket` to the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        TokioRuntime.wrap_udp_socket(socket).map(Self)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(segment) = transmit.segment_size.filter(|_| transmit.contents.len() > CALL_BYTES_MAX) else {
            return self.0.try_send(transmit);
        };
        let whole = (CALL_BYTES_MAX / segment).max(1) * segment;
        // If the socket is full after the first call, all of it is sent again: peers ignore what they have.
        transmit.contents.chunks(whole).try_for_each(|contents| {
            let segment_size = (contents.len() > segment).then_some(segment);
            self.0.try_send(&Transmit {
                destination: transmit.destination,
                ecn: transmit.ecn,
                contents,
                segment_size,
                src_ip: transmit.src_ip,
            })
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    /// As many datagrams of [`MTU_MAX`] as the system joins into one, which is never more than 64 KiB. quinn
    /// reserves room for 64 of them.
    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments().min((u16::MAX / MTU_MAX + 1).into())
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
