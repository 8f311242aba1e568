//! Bare sockets: what no framework can beat by much.
//!
//! They know no calls, only frames with a length in front ([`wire`]). Where frames overlap they do the least that
//! is right: the client answers all that one read brought with one write, and so does the server. Where others
//! create and drop values, they make bare calls.

mod calls;
mod quic;
mod std_tcp;
mod tcp;
mod unix;
mod wire;

pub(super) use self::quic::Quic;
pub(super) use self::std_tcp::StdTcp;
pub(super) use self::tcp::Tcp;
pub(super) use self::unix::Unix;
