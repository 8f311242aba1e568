//! [`Anteroom`]: where those wait who have come and have not yet proved who they are.
//!
//! Whoever can reach a port can occupy it with connections that say nothing. So there are only so many places,
//! each for a limited time, and one more who comes takes the place of the one who has been there *longest*.
//! Refusing the newcomer instead would let the first thousand silent connections keep everybody else out until
//! their time is over. An honest peer needs its place for a few round trips; who wants to push it out has to
//! fill all places that often, and goes on using up its own connections.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Never;

/// Places for peers in their handshake: bounded in number and in time.
///
/// Clones are the same room.
///
/// ```
/// # use rpc_core::{Anteroom, Dismissed};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let room = Anteroom::new("links", 1, Duration::from_secs(5));
/// let silent = room.admit(std::future::pending::<()>());
/// let honest = room.admit(async { "hello" }); // takes the only place
/// assert_eq!(silent.await, Err(Dismissed::MadeRoom));
/// assert_eq!(honest.await, Ok("hello"));
/// # }
/// ```
#[derive(Clone)]
pub struct Anteroom {
    what: &'static str,
    places: usize,
    time: Duration,
    guests: Arc<Mutex<Guests>>,
}

#[derive(Default)]
struct Guests {
    /// By order of arrival. Dropping the value tells the guest to go.
    waiting: BTreeMap<u64, oneshot::Sender<Never>>,
    arrived: u64,
    /// How many had to make room.
    dismissed: u64,
}

/// Why a handshake was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Dismissed {
    /// All places were taken and a newer peer came.
    #[error("it made room for a newer peer, as the one that had been in its handshake longest")]
    MadeRoom,
    /// It took too long.
    #[error("its handshake took too long")]
    TooLate,
}

impl Anteroom {
    /// A room with that many `places` (at least one) for handshakes of at most `time` each. `what` says in the
    /// log what comes here.
    pub fn new(what: &'static str, places: usize, time: Duration) -> Self {
        Self { what, places: places.max(1), time, guests: Arc::default() }
    }

    /// Gives `handshake` a place, now, and the oldest one's if there is no other. What is returned runs it;
    /// it has to be polled, and holds the place until it is done or dropped. Who has to go is dropped when
    /// next polled, which its task is at once.
    ///
    /// # Errors
    /// [`Dismissed`]; `handshake` has been dropped by then, with whatever it owns.
    ///
    /// # Panics
    /// When first polled outside of a tokio runtime with time enabled.
    pub fn admit<F: Future>(
        &self,
        handshake: F,
    ) -> impl Future<Output = Result<F::Output, Dismissed>> + use<F> {
        let (place, asked_to_go) = self.take_place();
        let end = tokio::time::Instant::now() + self.time;
        async move {
            let _place = place;
            tokio::select! {
                biased;
                done = handshake => Ok(done),
                _ = asked_to_go => Err(Dismissed::MadeRoom),
                () = tokio::time::sleep_until(end) => Err(Dismissed::TooLate),
            }
        }
    }

    /// How many are in their handshake.
    pub fn len(&self) -> usize {
        self.guests.lock().waiting.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take_place(&self) -> (Place, oneshot::Receiver<Never>) {
        let (guest, asked_to_go) = oneshot::channel();
        let mut guests = self.guests.lock();
        let number = guests.arrived;
        guests.arrived += 1;
        let full = guests.waiting.len() >= self.places;
        let oldest = if full { guests.waiting.pop_first() } else { None };
        guests.dismissed += u64::from(full);
        guests.waiting.insert(number, guest);
        // Said at the first and then ever more rarely, or a flood of peers would become one of lines.
        let say = (full && guests.dismissed.is_power_of_two()).then_some(guests.dismissed);
        drop(guests);
        drop(oldest); // wakes its task
        if let Some(dismissed) = say {
            tracing::warn!(
                dismissed,
                places = self.places,
                "more {} than there are places are in their handshake: the oldest make room",
                self.what
            );
        }
        (Place { guests: Arc::clone(&self.guests), number }, asked_to_go)
    }
}

impl fmt::Debug for Anteroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anteroom({} of {} places for {} taken)", self.len(), self.places, self.what)
    }
}

/// Frees its place when dropped, unless somebody has taken it already.
struct Place {
    guests: Arc<Mutex<Guests>>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let guest = self.guests.lock().waiting.remove(&self.number);
        drop(guest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(places: usize) -> Anteroom {
        Anteroom::new("guests", places, Duration::from_secs(5))
    }

    /// Runs a handshake that never ends.
    fn silent(room: &Anteroom) -> tokio::task::JoinHandle<Result<(), Dismissed>> {
        tokio::spawn(room.admit(std::future::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_and_the_newest_gets_in() {
        let room = room(2);
        let (first, second) = (silent(&room), silent(&room));
        assert_eq!(room.admit(async { 7 }).await, Ok(7), "as the third of two");
        assert_eq!(first.await.unwrap(), Err(Dismissed::MadeRoom));
        assert!(!second.is_finished());
        assert_eq!(room.len(), 1, "who is done has left");
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        assert!(room.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_occupies_no_more_than_all_places() {
        let room = room(10);
        let flood: Vec<_> = (0..1_000).map(|_| silent(&room)).collect();
        assert_eq!(room.len(), 10);
        // Less than their time, so that whoever has to go has been told by a newer one.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(flood.iter().filter(|guest| !guest.is_finished()).count(), 10);
        for guest in flood {
            guest.await.unwrap().unwrap_err();
        }
        assert!(room.is_empty(), "their time is over");
    }

    #[tokio::test(start_paused = true)]
    async fn time_begins_with_the_arrival_and_is_over_for_each() {
        let room = room(2);
        let begin = tokio::time::Instant::now();
        let late = room.admit(std::future::pending::<()>());
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(late.await, Err(Dismissed::TooLate));
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_done_when_asked_to_go_is_done() {
        let room = room(1);
        let (hello, heard) = oneshot::channel();
        let first = tokio::spawn(room.admit(async { heard.await.unwrap() }));
        tokio::task::yield_now().await;
        hello.send(3).unwrap();
        let second = room.admit(async {});
        assert_eq!(first.await.unwrap(), Ok(3));
        second.await.unwrap();
    }
}
