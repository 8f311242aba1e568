//! The systems that are measured, one file each.

mod ours;
mod raw;
mod tarpc;

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
    "raw-tcp" = raw::Tcp: Floor, on None, Some("tokio");
    "tarpc" = tarpc::Tarpc: Peer, on Some("raw-tcp"), Some("tarpc");
    "ours-tcp" = ours::Tcp: Ours, on Some("raw-tcp"), Some("rpc");
}

/// Systems of ours that results name, but that this build does not offer.
pub(crate) const NOT_OFFERED: &[(&str, &str)] = &[
    ("ours-tcp-tls", "links with TLS"),
    ("ours-quic", "the backend quic"),
    ("ours-local", "links between workers of one host"),
];
