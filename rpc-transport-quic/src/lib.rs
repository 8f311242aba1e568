//! QUIC links for the rpc framework.
//!
//! [`QuicTransport`] listens, accepts and dials over one UDP socket; the engine of [`rpc_core`] makes an agent of
//! it. Most programs only name the backend, `"quic"`, and never see this crate.
//!
//! ```
//! use rpc_core::{BackendRegistry, BindOptions, Transport};
//! use rpc_transport_quic::QuicTransport;
//! # use rpc_core::{Group, Incarnation, Member, WorkerId, WorkerInfo, WorkerName};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut registry = BackendRegistry::new();
//! registry.register(rpc_transport_quic::backend())?;
//!
//! // Or by hand, for a stack of your own:
//! let identity = rpc_security::generate()?;
//! # let info = WorkerInfo::new(WorkerName::new("alone")?, WorkerId(0));
//! # let mut member = Member::new(info, Incarnation([1; 16]), "");
//! # member.fingerprint = Some(identity.fingerprint());
//! # let group = Group::new("job", vec![member])?;
//! let mut options = BindOptions::new("127.0.0.1:0");
//! options.security.identity = Some(identity);
//! let transport = QuicTransport::bind(options).await?;
//! transport.trust(&group); // before it, nobody is let in
//! let address = transport.local_address();
//! let (dialled, accepted) = tokio::join!(transport.connect(&address), transport.accept());
//! # dialled?; accepted?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?; Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **It promises** what [`rpc_core::Transport`] asks for (LK-1 to LK-4); that all bytes are encrypted, and that a
//! link is announced only when its peer has proved to hold the key of a certificate of the group, whatever
//! [`Protection`](rpc_core::Protection) is asked for; that a lost packet or a large message holds up nothing but
//! itself; and that links outlive a change of their client's address. **It leaves to you** which of the group's
//! workers the peer is: the engine compares [`Link::fingerprint`](rpc_core::Link::fingerprint).
//!
//! # When to take it
//! Across networks that lose packets, where one lost segment of a TCP connection stops everything behind it;
//! where bytes have to be encrypted anyway; where addresses change. Within one machine or an undisturbed data
//! centre TCP is faster: the system does there in large pieces what QUIC does for each datagram in the process, and
//! nothing is encrypted.
//!
//! # How frames travel
//! Each side opens two streams for the heads of its frames, one for replies and one for the rest, and one more for
//! each payload or part of 64 KiB or more ([`rpc_core::framing`]). A frame sent with
//! [`Flush::Now`](rpc_core::Flush) is handed to the connection by the calling thread; the connection's own task, on the
//! runtime that bound the transport, encrypts it and puts it on the wire. Large parts are handed over without being
//! copied. What arrives is copied once, from the decrypted datagrams into its final, aligned memory.
//!
//! # Death
//! Unlike with TCP it is the process, not its system, that answers for a link. A process that has ended is noticed
//! within about half a second where something has been sent to it lately, and two seconds elsewhere, if its host is there to
//! refuse datagrams to its port; a host that has vanished after 25 seconds of silence. A process that is stopped, or computes on its only runtime thread, for longer than that
//! loses its links too.
//!
//! # Bounds and times
//!
//! | what | value | then |
//! |---|---|---|
//! | bytes on their way on one link, not acknowledged | 16 MiB, and 1 MiB that only heads may use | the rest waits in the link's queue |
//! | bytes that a peer may send before they are read | 16 MiB on a stream, 32 MiB on a link | it waits |
//! | streams of a link that a peer has open | 128, of which this side uses 66 | it waits |
//! | bulk items of a link under way | 64 | further ones wait |
//! | datagram | 1,200 B at first; searched up to 8,952 B | |
//! | bytes in flight to a process of this host | 1 MiB at first, 128 KiB to 2 MiB | halved when something is lost |
//! | buffers of the socket | 4 MiB for each direction, or what the system gives | datagrams are lost and sent again |
//! | incoming connections in their handshake | 1,024, 5 s each | the oldest makes room for the newest |
//! | the same, from addresses that are not validated | 64 | the client has to come again with a token |
//! | first datagrams of a connection, before its turn | 16 KiB, 4 MiB together | dropped |
//! | links that wait for `accept` | 1,024 | one more is closed |
//! | dialling one of several addresses | 3 s | the next address |
//! | the port that is dialled | 0.25 s | it is knocked at again; if it is closed, the dial is refused |
//! | silence | 1 s | each side asks whether the other is there |
//! | silence of a peer | 0.4 s within 5 s of the last frame to it, else 1.5 s | its port is knocked at; if it is closed, the link has failed (after 10 s if it had refused a living peer's knock) |
//! | silence of a peer whose port is not known to be closed | 25 s | the link has failed |
//! | orderly close: no progress of what is queued or not acknowledged | 5 s, 1 s if the peer has ended its side | the rest is dropped, the link has failed |
//! | orderly close: waiting for the peer's end | 2 s | the link ends |
//!
//! The queue of a link has no bound here; see [`LinkSender::send`](rpc_core::LinkSender::send) for what bounds it.

// Reading order: how connections are set up, what streams carry, who writes, what comes back, how links end,
// where they come from.
mod bounds;
mod config;
mod congestion;

mod wire;

mod items;
mod lanes;
mod link;
mod sender;
mod task;

mod receiver;

mod end;
mod vigil;

mod door;
mod socket;
mod transport;

// The public interface is:
pub use crate::transport::{QuicTransport, backend};
