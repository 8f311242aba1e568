//! Systems without abstract Unix sockets: there is no local way, and TCP is used.

use std::convert::Infallible;
use std::io;

use crate::address::Place;
use crate::stream::Stream;

/// There is none.
#[derive(Debug)]
pub(crate) struct Local(Infallible);

impl Local {
    pub(crate) fn bind() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn place(&self) -> Place<'_> {
        match self.0 {}
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, String)> {
        match self.0 {}
    }
}

pub(crate) async fn dial(_: &str) -> io::Result<(Stream, String)> {
    Err(io::ErrorKind::Unsupported.into())
}
