//! Whether the peers' processes are still there.
//!
//! A process that is killed says nothing, and the system that outlives it does not speak QUIC. What it does
//! is to refuse datagrams to a port that nobody has open. The connections' own socket cannot hear that,
//! because it has no one peer. So a *knock* is a socket of its own, connected to the peer's address: it sends
//! one datagram that no QUIC implementation answers, and is told by the system if the port is closed.
//!
//! Every living peer says something each [`KEEP_ALIVE`](crate::bounds::KEEP_ALIVE). So a link is knocked at when its peer
//! has not been heard of for [`LOOKS_IDLE`] looks; if that is refused the link has failed. Where something has been
//! sent lately somebody may be waiting for an answer, and [`LOOKS_ACTIVE`] are enough: more knocks, and death
//! is noticed within half a second instead of two. Where refusals do not get through it takes
//! [`IDLE_TIMEOUT`](crate::bounds::IDLE_TIMEOUT). A process that lives and is busy or stopped has its port open, and is
//! left alone.
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

use crate::bounds::{KNOCK_TIME, KNOCKS_MAX, LOOKS_ACTIVE, LOOKS_IDLE, LOOKS_LATELY, VIGIL_INTERVAL};
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
    /// Looks since then.
    looks: u32,
    sent: u64,
    /// Looks since then.
    unsent: u32,
}

impl Silence {
    /// Takes the counts of datagrams that have come and of frames that have been sent so far; says whether to knock
    /// now.
    fn look(&mut self, heard: u64, sent: u64) -> bool {
        self.unsent = if sent == self.sent { self.unsent.saturating_add(1) } else { 0 };
        self.looks = if heard == self.heard { self.looks + 1 } else { 0 };
        (self.heard, self.sent) = (heard, sent);
        let patience = if self.unsent < LOOKS_LATELY { LOOKS_ACTIVE } else { LOOKS_IDLE };
        self.looks > 0 && self.looks.is_multiple_of(patience)
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
            if guest.silence.look(link.datagrams_received(), link.frames_sent()) {
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

    /// After how many looks at a peer that says no more it is knocked at.
    fn knock_after(silence: &mut Silence, heard: u64, sent: u64) -> u32 {
        (1..1_000).find(|_| silence.look(heard, sent)).expect("at some time")
    }

    #[test]
    fn only_a_row_of_silent_looks_is_a_reason_to_knock() {
        let mut silence = Silence { unsent: LOOKS_LATELY, ..Silence::default() };
        for heard in 1..1_000 {
            assert!(!silence.look(heard / 2, 0), "somebody who is heard at every second look is there");
        }
        assert_eq!(knock_after(&mut silence, 1_000, 0), LOOKS_IDLE + 1, "the first one has heard something");
        assert_eq!(
            knock_after(&mut silence, 1_000, 0),
            LOOKS_IDLE,
            "the next knock comes after as long a silence"
        );
    }

    #[test]
    fn who_has_been_sent_something_lately_is_looked_at_more_closely() {
        let mut silence = Silence { unsent: LOOKS_LATELY, ..Silence::default() };
        assert!(!silence.look(7, 1));
        assert_eq!(knock_after(&mut silence, 7, 1), LOOKS_ACTIVE);
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
