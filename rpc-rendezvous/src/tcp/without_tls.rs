//! What [`super::tls`] is without the feature `tls`: nobody can have one of these, so nothing here can run.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rpc_core::{Denial, Identity};
use rpc_security::Binding;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[derive(Clone, Debug)]
pub(crate) enum Connector {}

impl Connector {
    pub(crate) fn with_token(_host: &str) -> Result<Self, Denial> {
        Err(Denial::NoTls)
    }

    pub(crate) fn with_certificate(_identity: &Identity, _host: &str) -> Result<Self, Denial> {
        Err(Denial::NoTls)
    }

    pub(crate) async fn connect(&self, _socket: TcpStream) -> io::Result<Session> {
        match *self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Acceptor {}

impl Acceptor {
    pub(crate) fn with_token() -> Result<Self, Denial> {
        Err(Denial::NoTls)
    }

    pub(crate) fn with_certificate(_identity: &Identity) -> Result<Self, Denial> {
        Err(Denial::NoTls)
    }

    pub(crate) async fn accept(&self, _socket: TcpStream) -> io::Result<Session> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Session {}

impl Session {
    pub(crate) fn socket(&self) -> &TcpStream {
        match *self {}
    }

    pub(crate) fn binding(&self) -> io::Result<Binding> {
        match *self {}
    }
}

pub(crate) fn denial(_error: &io::Error) -> Option<Denial> {
    None
}

pub(crate) fn is_protocol(_error: &io::Error) -> bool {
    false
}

impl AsyncRead for Session {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}

impl AsyncWrite for Session {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
