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
//! # When a refusal means nothing
//! A knock comes from another port than the link's datagrams, and something in between (a firewall, a translator of
//! addresses) may refuse it and let those pass. So each link to another host is knocked at once while its peer has just been
//! heard, and again when its address has changed. Where that is refused, later refusals count only after [`LOOKS_DOUBTFUL`].
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

use crate::bounds::{
    KNOCK_TIME, KNOCKS_MAX, LOOKS_ACTIVE, LOOKS_DOUBTFUL, LOOKS_IDLE, LOOKS_LATELY, VIGIL_INTERVAL,
};
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
    door: Arc<Mutex<Door>>,
    /// Where it was last asked whether the port refuses.
    tried: Option<SocketAddr>,
}

/// What a knock at a living peer's port has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Door {
    /// Nobody has knocked.
    #[default]
    Untried,
    /// It did not refuse, so that a refusal means that it has been closed.
    Silent,
    /// It refuses whoever knocks.
    Refusing,
}

impl Door {
    /// What is known of the port at `peer` before anybody has knocked: between processes of one host nothing
    /// refuses in a closed port's place, so a peer that dies at once is noticed as soon as any other.
    fn before_a_trial(peer: SocketAddr) -> Self {
        if peer.ip().to_canonical().is_loopback() { Self::Silent } else { Self::Untried }
    }

    /// How long the peer has to be silent before it is knocked at.
    fn patience(self, unsent: u32) -> u32 {
        match self {
            Self::Silent if unsent < LOOKS_LATELY => LOOKS_ACTIVE,
            Self::Silent => LOOKS_IDLE,
            Self::Untried | Self::Refusing => LOOKS_DOUBTFUL,
        }
    }
}

/// What a look at a link has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The peer has just been heard.
    Alive,
    /// It has not, for too short a time to say anything.
    Quiet,
    /// It has not for so long that it may be dead.
    Silent,
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
    /// Takes the counts of datagrams that have come and of frames that have been sent so far.
    fn look(&mut self, heard: u64, sent: u64, door: Door) -> Sight {
        self.unsent = if sent == self.sent { self.unsent.saturating_add(1) } else { 0 };
        self.looks = if heard == self.heard { self.looks + 1 } else { 0 };
        (self.heard, self.sent) = (heard, sent);
        match self.looks {
            0 => Sight::Alive,
            looks if looks.is_multiple_of(door.patience(self.unsent)) => Sight::Silent,
            _ => Sight::Quiet,
        }
    }
}

impl Watched {
    /// Watches `link` until it is dropped. Its peer has just been heard.
    pub(crate) fn add(&self, link: &Arc<Shared>) {
        let at = link.remote();
        let door = Arc::new(Mutex::new(Door::before_a_trial(at)));
        if *door.lock() == Door::Untried {
            let trial = Visit { link: Arc::clone(link), at, is_trial: true, door: Arc::clone(&door) };
            // One for each handshake, and those are bounded.
            tokio::spawn(trial.run());
        }
        let guest = Guest { link: Arc::downgrade(link), silence: Silence::default(), door, tried: Some(at) };
        self.0.lock().push(guest);
    }

    /// Looks at every link, and returns those that are to be knocked at.
    fn look(&self) -> Vec<Visit> {
        let mut visits = Vec::new();
        self.0.lock().retain_mut(|guest| {
            let Some(link) = guest.link.upgrade() else { return false };
            let (door, at) = (*guest.door.lock(), link.remote());
            let sight = guest.silence.look(link.datagrams_received(), link.frames_sent(), door);
            let moved = sight == Sight::Alive && guest.tried != Some(at);
            if moved {
                guest.tried = Some(at);
                *guest.door.lock() = Door::before_a_trial(at);
            }
            let is_trial = moved && *guest.door.lock() == Door::Untried;
            if is_trial || sight == Sight::Silent {
                visits.push(Visit { link, at, is_trial, door: Arc::clone(&guest.door) });
            }
            true
        });
        visits
    }
}

/// A knock at the port of a link's peer.
struct Visit {
    link: Arc<Shared>,
    at: SocketAddr,
    /// The peer is alive; what is asked is whether its port refuses.
    is_trial: bool,
    door: Arc<Mutex<Door>>,
}

impl Visit {
    async fn run(self) {
        let refused = match knock(self.at).await {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => true,
            Err(_) => return,
        };
        if self.is_trial {
            *self.door.lock() = if refused { Door::Refusing } else { Door::Silent };
        } else if refused {
            let text = "the peer is silent and its port is closed: its process has ended";
            self.link.fail(io::Error::new(io::ErrorKind::ConnectionReset, text).into());
        }
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
        for visit in watched.look() {
            // Who gets no turn now is looked at again.
            let Ok(turn) = Arc::clone(&knocks).try_acquire_owned() else { break };
            tokio::spawn(async move {
                visit.run().await;
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
    fn knock_after(silence: &mut Silence, heard: u64, sent: u64, door: Door) -> u32 {
        (1..1_000).find(|_| silence.look(heard, sent, door) == Sight::Silent).expect("at some time")
    }

    #[test]
    fn only_a_row_of_silent_looks_is_a_reason_to_knock() {
        let mut silence = Silence { unsent: LOOKS_LATELY, ..Silence::default() };
        for heard in 1..1_000 {
            let sight = silence.look(heard / 2, 0, Door::Silent);
            assert_ne!(sight, Sight::Silent, "somebody who is heard at every second look is there");
        }
        assert_eq!(silence.look(1_000, 0, Door::Silent), Sight::Alive);
        for _ in 0..3 {
            assert_eq!(knock_after(&mut silence, 1_000, 0, Door::Silent), LOOKS_IDLE);
        }
    }

    #[test]
    fn who_has_been_sent_something_lately_is_looked_at_more_closely() {
        let mut silence = Silence { unsent: LOOKS_LATELY, ..Silence::default() };
        assert_eq!(silence.look(7, 1, Door::Silent), Sight::Alive);
        assert_eq!(knock_after(&mut silence, 7, 1, Door::Silent), LOOKS_ACTIVE);
    }

    #[test]
    fn a_refusal_of_this_very_host_is_believed_from_the_start() {
        for (peer, door) in [
            ("127.0.0.1:1", Door::Silent),
            ("[::1]:1", Door::Silent),
            ("[::ffff:127.0.0.1]:1", Door::Silent),
            ("192.0.2.1:1", Door::Untried),
        ] {
            assert_eq!(Door::before_a_trial(peer.parse().unwrap()), door, "{peer}");
        }
    }

    #[test]
    fn a_port_that_refuses_while_its_peer_lives_is_doubted() {
        for door in [Door::Refusing, Door::Untried] {
            let mut silence = Silence::default();
            silence.look(7, 1, door);
            assert_eq!(knock_after(&mut silence, 7, 1, door), LOOKS_DOUBTFUL);
        }
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
