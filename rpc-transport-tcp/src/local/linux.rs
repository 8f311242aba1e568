//! The local way by abstract Unix sockets.

use std::io;
use std::os::unix::fs::MetadataExt;

use tokio::net::{UnixListener, UnixStream};

use super::same_user;
use crate::address::Place;
use crate::stream::Stream;

/// What all names begin with, so that people who list sockets know whose they are.
const PREFIX: &str = "rpc-";

/// A socket that only processes of this machine can reach.
#[derive(Debug)]
pub(crate) struct Local {
    listener: UnixListener,
    machine: String,
    name: String,
}

impl Local {
    /// Listens under a new name.
    ///
    /// # Errors
    /// The system does not say which machine this is, or has no socket.
    pub(crate) fn bind() -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("{:032x}", u128::from_ne_bytes(random));
        let listener = UnixListener::bind(path(&name))?;
        Ok(Self { listener, machine: this_machine()?, name })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { machine: &self.machine, name: &self.name }
    }

    /// The next connection of a process of this user, and what to call that. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, String)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match checked(&stream) {
                Ok(peer) => return Ok((Stream::Local(stream), peer)),
                // Anybody on this machine can bring that about, as often as they like.
                Err(error) => tracing::debug!(%error, "refused a local connection"),
            }
        }
    }
}

/// Connects to `name` on this machine.
///
/// # Errors
/// The system's: nobody listens there, or too many wait. [`io::ErrorKind::PermissionDenied`] if it is another user that
/// listens.
pub(crate) async fn dial(name: &str) -> io::Result<(Stream, String)> {
    let stream = UnixStream::connect(path(name)).await?;
    let peer = checked(&stream)?;
    Ok((Stream::Local(stream), peer))
}

/// The name by which `stream` was dialled, at either end.
pub(crate) fn name_of(stream: &UnixStream, dialled: bool) -> io::Result<Vec<u8>> {
    let address = if dialled { stream.peer_addr()? } else { stream.local_addr()? };
    let name = address.as_abstract_name().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(name.to_vec())
}

/// A leading zero means an abstract name.
fn path(name: &str) -> String {
    format!("\0{PREFIX}{name}")
}

/// What to call the process at the other end, if it is of this user.
fn checked(stream: &UnixStream) -> io::Result<String> {
    let peer = stream.peer_cred()?;
    same_user(rustix::process::geteuid().as_raw(), peer.uid())
        .map_err(|other| io::Error::new(io::ErrorKind::PermissionDenied, other))?;
    Ok(match peer.pid() {
        // A process of another process namespace has no number here.
        None | Some(0) => "local process".to_owned(),
        Some(pid) => format!("local process {pid}"),
    })
}

/// Which start of which machine this is, and in which network namespace this thread is: that is how far abstract
/// names reach.
fn this_machine() -> io::Result<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
    let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    Ok(format!("{boot}.{namespace}"))
}
