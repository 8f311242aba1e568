//! TCP links for the rpc framework, and Unix sockets between processes of one machine.
//!
//! [`TcpTransport`] listens, accepts and dials; the engine of [`rpc_core`] makes an agent of it. Most
//! programs only name the backend, `"tcp"`, and never see this crate.
//!
//! ```
//! use rpc_core::{BackendRegistry, BindOptions, Transport};
//! use rpc_transport_tcp::TcpTransport;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut registry = BackendRegistry::new();
//! registry.register(rpc_transport_tcp::backend())?;
//!
//! // Or by hand, for a stack of your own:
//! let transport = TcpTransport::bind(BindOptions::new("127.0.0.1:0")).await?;
//! let address = transport.local_address();
//! let (dialled, accepted) = tokio::join!(transport.connect(&address), transport.accept());
//! # dialled?; accepted?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?; Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **It promises** what [`rpc_core::Transport`] asks for (LK-1 to LK-5), and that bulk bytes are not copied
//! between the socket and their final, aligned memory (TLS costs two copies). **It leaves to you** which of these
//! its links are, by [`BindOptions::security`](rpc_core::BindOptions): open to whoever connects, open to who proves to
//! know the job's token, or encrypted between certificates of the group (TLS 1.3, feature `tls`). There is no
//! choice of them on the wire, so that nobody in between can have two workers take a weaker one.
//!
//! # On one machine
//! Transports that find themselves on one machine talk over a Unix socket instead of TCP: on Linux, unless
//! [`BindOptions::local_links`](rpc_core::BindOptions::local_links) is false at either end or links are encrypted. Each end
//! checks that the process at the other is of the same user; links that are open or behind the token are so there as
//! well. [`LinkSender::carrier`](rpc_core::LinkSender::carrier) says which way a link takes: `local`, or `tcp`.
//!
//! A published address then has a second half, `10.0.0.7:29400+local:…`, which names machine, network namespace and
//! socket. Who is elsewhere dials the first half; so does who finds nobody at the second.
//!
//! # How bytes leave
//! A frame sent with [`Flush::Now`](rpc_core::Flush) is written by the calling thread if nobody else writes
//! at that moment and the socket has room, so that a lone call costs no change of task. Otherwise it joins
//! what is queued, and the writer of the moment or the link's task takes it along. Large payloads and parts are
//! [bulk](rpc_core::framing): they travel beside their frames, in pieces. Each write takes what is small, urgent
//! frames first, and then one piece; so a small frame waits for one batch of small ones and one piece at most, and
//! for what the socket holds already.
//!
//! # How bytes arrive
//! Small frames are read many at a time into one buffer, and payloads are slices of it. The rest of a piece that
//! has not arrived whole is read straight into its final memory. That memory is allocated when the first piece
//! comes, after the limits have been checked, and is address space until bytes arrive in it: a peer that announces
//! much and sends little costs little. From 4 MiB on it is asked for in large pages, without which the system spends
//! more time on making the pages than on moving the bytes. When nobody has such a message any more, its memory is kept for the
//! next one of about its size, on whatever link of this transport ([`PartPool`](rpc_core::PartPool)), and given back
//! to the system once it has not been needed for a while.
//!
//! Who reads bulk lets others on its thread come first every now and then, and at once when a small frame has come with
//! it: the task that waits for that may be on the same thread, and so is the answer that is to be written.
//!
//! # How links begin
//! With a token or certificates a connection is no link until it has proved itself. Such connections are
//! accepted in a task of the transport, and each has its handshake in an [`Anteroom`](rpc_core::Anteroom). On a link
//! with TLS a caller still writes itself: it encrypts what it has, and the socket takes the records. An end
//! that the peer has not announced inside of TLS is an error, wherever in the stream it comes.
//!
//! # Bounds and times
//!
//! | what | value | then |
//! |---|---|---|
//! | payload that is copied into a write together with others | 16 KiB | longer ones are shared |
//! | part that is copied into a write together with others | 4 KiB | longer ones are shared |
//! | small frames that an urgent one may wait for | 128 KiB | |
//! | a piece of bulk, which a small frame may wait for | 256 KiB | the next one is of another frame's bulk |
//! | slices of one write | 64 | |
//! | bytes written to a local socket and not read | 512 KiB with the system's accounts, or the system's bound | they wait in the queue |
//! | bytes written by a caller of `send` or `flush` | 256 KiB | the link's task writes the rest |
//! | bytes written by the link's task in one go | 256 KiB | other tasks of its thread come first |
//! | bytes of bulk read in one go | 256 KiB; none after a small frame | other tasks of its thread come first |
//! | memory of large messages that nobody has any more, of all links | 512 MiB, in 64 pieces of 256 KiB and more; for 5 to 10 s | given back to the system |
//! | buffers of an idle link | 512 B to write, 1 KiB to read; 8 KiB each after more than one small call at a time | |
//! | read buffer of a busy link | 64 KiB | given back when nothing is left to read |
//! | payload that is copied out of the read buffer | 256 B | longer ones share the buffer |
//! | rest of a piece that is read in place | 16 KiB | shorter ones pass through the buffer |
//! | read buffer while bulk is on its way | 1 KiB | what it brings of the next piece has to be copied |
//! | connections in their handshake | 1,024, for 5 s each; with TLS at most about 80 KiB each | the oldest makes room |
//! | plain bytes encrypted at a time | 64 KiB | their records go before all else |
//! | records between TLS and a full socket | 66 KiB | nothing more is encrypted |
//! | connections that wait for `accept` | 4096, or the system's bound | the system refuses more; a local dialler takes TCP |
//! | dialling one of several addresses | 3 s | the next address |
//! | a silent host, nothing on the way to it | 10 s, then 3 questions, 5 s apart | the link has failed |
//! | a silent host, bytes on the way to it (Linux) | 4 looks, 5 s apart | the link has failed |
//! | orderly close: no progress of what is queued | 5 s | the rest is dropped, the link has failed |
//! | orderly close: waiting for the peer's end | 2 s | the link ends |
//!
//! The rows about silent hosts are about TCP; a local peer has no host of its own, and its end shows at once.
//! A vanished host is thus noticed within 25 s; only if its process had stopped reading long before, so
//! that the system asks for room ever more rarely, it may take some minutes. A process that is alive and
//! reads nothing is not taken for a vanished host, however long. The queue of a link has no bound here; see
//! [`LinkSender::send`](rpc_core::LinkSender::send) for what bounds it.
//!
//! # Crate features
//! - **`tls`**: encrypted links, with rustls. Without it asking for them is an error.

// Reading order: what waits to be written, who writes it, what comes back, what is in between, where links come
// from.
mod bounds;
mod queue;

mod flusher;
mod link;
mod marks;
mod sender;
mod vigil;

mod decoder;
mod receiver;

mod channel;
mod door;
mod reception;
mod socket;
mod stream;

mod address;
mod dial;
mod listeners;
mod local;
mod transport;

// The public interface is:
pub use crate::transport::{TcpTransport, backend};
