//! Bare sockets: what no framework can beat by much.
//!
//! They know no calls, only frames with a length in front ([`wire`]). Where frames overlap they do the least that
//! is right: the client answers all that one read brought with one write, and so does the server.

mod tcp;
mod wire;

pub(super) use self::tcp::Tcp;
