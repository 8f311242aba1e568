//! Whether the peers' processes are still there.
//!
//! A process that is killed says nothing, and the system that outlives it does not speak QUIC. What it does
//! is to refuse datagrams to a port that nobody has open. The connections' own socket cannot hear that,
//! because it has no one peer. So a *knock* is a socket of its own, connected to the peer's address: it sends
//! one datagram that no QUIC implementation answers, and is told by the system if the port is closed.
//!
//! A link whose peer has not been heard of for [`VIGIL_LOOKS`] looks, while every peer says something each
//! [`KEEP_ALIVE`](crate::bounds::KEEP_ALIVE), is knocked at; if that is refused the link has failed. So a dead
//! process is noticed within about two seconds wherever refusals get through, and after
//! [`IDLE_TIMEOUT`](crate::bounds::IDLE_TIMEOUT) elsewhere. A process that lives and is busy or stopped
//! has its port open, and is left alone.
//!
//! A refusal can be forged, by who guesses a port among some 28,000 while a peer is silent that is not dead.
//! That ends a link, as a forged reset ends a TCP connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::bounds::{KNOCK_TIME, KNOCKS_MAX, VIGIL_INTERVAL, VIGIL_LOOKS};
use crate::link::Shared;

/// No QUIC packet: the bit that all of them have is missing, and it is too short.
const KNOCK: [u8; 1] = [0];

/// The links that are watched. Bounded by the links that there are: dead entries go with every look.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Vec<Guest>>);

#[derive(Debug)]
struct Guest {
    link: Weak<Shared>,
    silence: Silence,
}

/// How long a peer has not been heard of.
#[derive(Debug, Default)]
struct Silence {
    heard: u64,
    looks: u32,
}

impl Silence {
    /// Takes the count of datagrams that have come so far; says whether to knock now.
    fn look(&mut self, heard: u64) -> bool {
        if heard != self.heard {
            *self = Self { heard, looks: 0 };
            return false;
        }
        self.looks += 1;
        self.looks.is_multiple_of(VIGIL_LOOKS)
    }
}

impl Watched {
    /// Watches `link` until it is dropped.
    pub(crate) fn add(&self, link: &Arc<Shared>) {
        self.0.lock().push(Guest { link: Arc::downgrade(link), silence: Silence::default() });
    }

    /// Looks at every link, and returns those that are to be knocked at.
    fn silent(&self) -> Vec<Arc<Shared>> {
        let mut silent = Vec::new();
        self.0.lock().retain_mut(|guest| {
            let Some(link) = guest.link.upgrade() else { return false };
            if guest.silence.look(link.datagrams_received()) {
                silent.push(link);
            }
            true
        });
        silent
    }
}

/// Runs for as long as the transport, or one of its links, is there.
pub(crate) async fn run(watched: Weak<Watched>) {
    let knocks = Arc::new(Semaphore::new(KNOCKS_MAX));
    let mut looks = interval(VIGIL_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(watched) = watched.upgrade() else { return };
        for link in watched.silent() {
            // Who gets no turn now is looked at again.
            let Ok(turn) = Arc::clone(&knocks).try_acquire_owned() else { break };
            tokio::spawn(async move {
                if let Err(error) = knock(link.remote()).await
                    && error.kind() == io::ErrorKind::ConnectionRefused
                {
                    let gone = io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        "the peer is silent and its port is closed: its process has ended",
                    );
                    link.fail(gone.into());
                }
                drop(turn);
            });
        }
    }
}

/// Asks the system of `peer` whether the port is open. Silence is no refusal.
///
/// # Errors
/// [`io::ErrorKind::ConnectionRefused`] if it is closed; others if it could not be asked.
pub(crate) async fn knock(peer: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    socket.send(&KNOCK).await?;
    let answer = async {
        loop {
            match socket.recv(&mut [0; 64]).await {
                // Nobody answers a knock; and who does is there.
                Ok(_) => return Ok(()),
                // Windows's word for a refusal.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    timeout(KNOCK_TIME, answer).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_of_silent_looks_is_a_reason_to_knock() {
        let mut silence = Silence::default();
        assert!(!silence.look(5));
        assert!(!silence.look(5) && !silence.look(5));
        assert!(!silence.look(6), "a sign of life starts the count anew");
        assert!(!silence.look(6) && !silence.look(6) && silence.look(6));
        assert!(!silence.look(6), "the next knock comes after as long a silence");
    }

    #[tokio::test]
    async fn a_closed_port_refuses_a_knock_and_an_open_one_does_not() {
        let open = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = open.local_addr().unwrap();
        knock(address).await.expect("nobody reads it, but the port is open");
        drop(open);
        let error = knock(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
