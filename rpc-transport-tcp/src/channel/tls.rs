//! [`Tls`]: a session of TLS 1.3 on a link, after its handshake.
//!
//! rustls has one state for both directions, and so there is one lock. It is held while bytes are
//! encrypted or decrypted, 64 KiB at a time, and never while the system is asked for anything: records are taken
//! out and written without it, and read before it is taken. *Cost*: the two directions of one link do not
//! use two processors for the cryptography at once. Links to different peers do.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::Connection;
use tokio::io::ReadBuf;

use crate::bounds::{TLS_KEPT_BYTES, TLS_WRITE_BYTES};
use crate::stream::WriteHalf;

/// A session of TLS.
pub(crate) struct Tls {
    session: Mutex<Connection>,
    /// Records that the socket has not taken. The writer's.
    outgoing: Mutex<Outgoing>,
    /// There are records in `session` or `outgoing`. Cleared by the writer, under the lock of `session`.
    pending: AtomicBool,
}

#[derive(Default)]
struct Outgoing {
    records: Vec<u8>,
    /// How much of them the socket has taken.
    sent: usize,
}

/// What came of decrypting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decrypted {
    /// Something was put into the target, or the end: nothing was.
    Done,
    /// Nothing so far: more has to be read from the socket.
    NeedsMore,
}

impl Tls {
    /// For a session whose handshake is over.
    pub(crate) fn new(mut session: Connection) -> Self {
        session.set_buffer_limit(Some(TLS_WRITE_BYTES));
        // The last words of the handshake may still be in there.
        let pending = AtomicBool::new(session.wants_write());
        Self { session: Mutex::new(session), outgoing: Mutex::default(), pending }
    }

    pub(super) fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// See [`Channel::write`](super::Channel::write). What was taken counts as written although the socket may not
    /// have got it yet: it is bounded, and goes first next time.
    pub(super) fn write(&self, socket: &WriteHalf, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.lock();
        outgoing.send(socket)?;
        let taken = {
            let mut session = self.session.lock();
            let taken = if slices.is_empty() { 0 } else { session.writer().write_vectored(slices)? };
            while session.wants_write() {
                session.write_tls(&mut outgoing.records)?;
            }
            self.pending.store(false, Ordering::Release);
            taken
        };
        match outgoing.send(socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.pending.store(true, Ordering::Release);
                if taken == 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(taken)
    }

    pub(super) fn end(&self) {
        let mut session = self.session.lock();
        session.send_close_notify();
        self.note_pending(&session);
    }

    /// Decrypts `incoming` into `target`. The end of the stream, as the peer has announced it, is
    /// [`Decrypted::Done`] with nothing in the target. `at_end`: the socket has ended behind `incoming`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the socket has ended and the peer has not said so;
    /// [`io::ErrorKind::InvalidData`] if the peer has broken TLS, after all that came before.
    pub(super) fn decrypt(
        &self,
        incoming: &mut BytesMut,
        at_end: bool,
        target: &mut ReadBuf<'_>,
    ) -> io::Result<Decrypted> {
        let mut session = self.session.lock();
        let mut broken = None;
        loop {
            match session.reader().fill_buf() {
                Ok([]) => return Ok(Decrypted::Done),
                Ok(plain) => {
                    let len = plain.len().min(target.remaining());
                    target.put_slice(&plain[..len]);
                    session.reader().consume(len);
                    if target.remaining() == 0 {
                        return Ok(Decrypted::Done);
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if !target.filled().is_empty() => return Ok(Decrypted::Done),
                Err(error) => return Err(io::Error::new(error.kind(), "the link was cut off, not closed")),
            }
            if !target.filled().is_empty() && (incoming.is_empty() || broken.is_some()) {
                return Ok(Decrypted::Done);
            }
            if let Some(error) = broken {
                return Err(error);
            }
            if incoming.is_empty() && !at_end {
                return Ok(Decrypted::NeedsMore);
            }
            let read = session.read_tls(&mut &incoming[..])?;
            incoming.advance(read);
            // An error stays one for ever, so what came before it can be handed over first.
            if let Err(error) = session.process_new_packets() {
                broken = Some(io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}")));
            }
            self.note_pending(&session);
        }
    }

    fn note_pending(&self, session: &Connection) {
        if session.wants_write() {
            self.pending.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl Outgoing {
    /// Writes until nothing is left.
    fn send(&mut self, socket: &WriteHalf) -> io::Result<()> {
        while self.sent < self.records.len() {
            match socket.try_write(&self.records[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        if self.records.capacity() > TLS_KEPT_BYTES {
            self.records = Vec::new();
        } else {
            self.records.clear();
        }
        Ok(())
    }
}
