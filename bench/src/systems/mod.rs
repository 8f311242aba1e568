//! The systems that are measured, one file each.

mod capnp;
mod irpc;
mod ours;
mod raw;
mod remoc;
mod tarpc;
pub(crate) mod tonic;

use std::path::Path;

use crate::case::Feature;
use crate::system::System;

/// A line of the results.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it is built on, whose figures it cannot beat by much: the name of another system.
    pub(crate) floor: Option<&'static str>,
    /// The package whose version is printed.
    pub(crate) package: Option<&'static str>,
    /// Why it takes no part in workloads that need a feature.
    pub(crate) lacks: fn(Feature) -> Option<&'static str>,
    /// Why it takes no part at all.
    pub(crate) absent: fn() -> Option<&'static str>,
    /// Makes what all processes of a measurement have to find.
    pub(crate) prepare: fn(&Path) -> anyhow::Result<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Peer,
    Ours,
}

/// Something to be done with a system that is chosen by its name.
pub(crate) trait Visitor {
    fn visit<S: System>(self) -> anyhow::Result<()>;
}

/// Makes the table of systems, and what finds the type to a name.
macro_rules! systems {
    ($($name:literal = $system:ty: $kind:ident, on $floor:expr, $package:expr;)*) => {
        /// All of them, in the order in which they take turns.
        pub(crate) const SYSTEMS: &[Entry] = &[$(Entry {
            name: $name,
            kind: Kind::$kind,
            floor: $floor,
            package: $package,
            lacks: <$system as System>::lacks,
            absent: <$system as System>::absent,
            prepare: <$system as System>::prepare,
        }),*];

        /// Calls `visitor` with the system that has this name.
        pub(crate) fn visit(name: &str, visitor: impl Visitor) -> anyhow::Result<()> {
            match name {
                $($name => visitor.visit::<$system>(),)*
                _ => anyhow::bail!("there is no system {name}"),
            }
        }
    };
}

systems! {
    "raw-std-tcp" = raw::StdTcp: Floor, on None, None;
    "raw-tcp" = raw::Tcp: Floor, on None, Some("tokio");
    "raw-unix" = raw::Unix: Floor, on None, Some("tokio");
    "raw-quic" = raw::Quic: Floor, on None, Some("quinn");
    "tarpc" = tarpc::Tarpc: Peer, on Some("raw-tcp"), Some("tarpc");
    "tonic" = tonic::Tonic: Peer, on Some("raw-tcp"), Some("tonic");
    "remoc" = remoc::Remoc: Peer, on Some("raw-tcp"), Some("remoc");
    "capnp-rpc" = capnp::CapnProto: Peer, on Some("raw-tcp"), Some("capnp-rpc");
    "irpc" = irpc::Irpc: Peer, on Some("raw-quic"), Some("irpc");
    "ours-local" = ours::Ours<ours::Local>: Ours, on Some("raw-unix"), Some("rpc");
    "ours-tcp" = ours::Ours<ours::Tcp>: Ours, on Some("raw-tcp"), Some("rpc");
    "ours-tcp-tls" = ours::Ours<ours::TcpTls>: Ours, on Some("raw-tcp"), Some("rpc");
    "ours-quic" = ours::Ours<ours::Quic>: Ours, on Some("raw-quic"), Some("rpc");
}
