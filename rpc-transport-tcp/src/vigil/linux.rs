//! The vigil by means of `TCP_INFO`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::bounds::VIGIL_LOOKS;

/// Returns the link's error once the peer's host has not answered for several looks in a row.
pub(crate) async fn watch(stream: &TcpStream, every: Duration) -> io::Error {
    let mut ticks = interval(every);
    // After a time without any tick, several at once would look like a long silence.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut vigil = Vigil::default();
    loop {
        ticks.tick().await;
        match look(stream) {
            Ok(look) if vigil.host_is_gone(look) => {
                return io::Error::new(io::ErrorKind::TimedOut, "the peer's host does not answer");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "cannot watch over a link; its end may be noticed late");
                return std::future::pending().await;
            }
        }
    }
}

/// What the system knows of a connection at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Something that was written has not been acknowledged.
    outstanding: bool,
    since_answer: Duration,
    /// Since bytes were sent, be it again.
    since_sent: Duration,
    /// Questions for room in the peer's buffer that were not answered.
    probes: u32,
}

#[derive(Debug, Default)]
struct Vigil {
    silent_looks: u32,
}

impl Vigil {
    /// An answer takes a round trip; less than this much delay of it is no silence.
    const GRACE: Duration = Duration::from_secs(1);
    /// One probe may be on its way at any time; a second one means that the first was not answered.
    const PROBES: u32 = 2;

    fn host_is_gone(&mut self, look: Look) -> bool {
        let unanswered = look.since_answer > look.since_sent + Self::GRACE || look.probes >= Self::PROBES;
        if look.outstanding && unanswered {
            self.silent_looks += 1;
        } else {
            self.silent_looks = 0;
        }
        self.silent_looks >= VIGIL_LOOKS
    }
}

fn look(stream: &TcpStream) -> io::Result<Look> {
    let info = tcp_info(stream)?;
    Ok(Look {
        outstanding: info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
        since_answer: Duration::from_millis(info.tcpi_last_ack_recv.into()),
        since_sent: Duration::from_millis(info.tcpi_last_data_sent.into()),
        probes: info.tcpi_probes.into(),
    })
}

fn tcp_info(stream: &TcpStream) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `stream`; `info` has room for `len` bytes, and the
    // system writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all fields are integers, zero where an older system has written less.
    Ok(unsafe { info.assume_init() })
}

#[cfg(test)]
mod tests {
    use socket2::{SockFilter, SockRef};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_gone_after(look: Look, looks: u32) -> bool {
        let mut vigil = Vigil::default();
        (0..looks).any(|_| vigil.host_is_gone(look))
    }

    #[test]
    fn only_a_row_of_unanswered_looks_ends_a_link() {
        let silent = Look { outstanding: true, since_answer: 9 * SECOND, since_sent: 4 * SECOND, probes: 0 };
        assert!(is_gone_after(silent, VIGIL_LOOKS) && !is_gone_after(silent, VIGIL_LOOKS - 1));
        let mut vigil = Vigil::default();
        let answered = Look { since_answer: 4 * SECOND, ..silent };
        for look in [silent, silent, silent, answered, silent, silent, silent] {
            assert!(!vigil.host_is_gone(look), "an answer starts the count anew");
        }
    }

    #[test]
    fn an_idle_link_and_a_peer_whose_buffer_is_full_are_no_silence() {
        let idle =
            Look { outstanding: false, since_answer: 900 * SECOND, since_sent: 800 * SECOND, probes: 0 };
        let full = Look { outstanding: true, since_answer: 60 * SECOND, since_sent: 60 * SECOND, probes: 1 };
        assert!(!is_gone_after(idle, 100) && !is_gone_after(full, 100));
        assert!(is_gone_after(Look { probes: 2, ..full }, VIGIL_LOOKS));
    }

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let near = TcpStream::connect(address).await.expect("listening");
        (near, listener.accept().await.expect("dialled").0)
    }

    // The clock of these two is the system's, so they take as long as they say.

    #[tokio::test]
    async fn a_host_that_vanishes_with_bytes_on_their_way_ends_the_link() {
        let (near, far) = connected().await;
        // A filter that takes nothing: to the other side this is a host without power.
        SockRef::from(&far).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
        near.writable().await.unwrap();
        near.try_write(b"hello?").unwrap();
        let error = timeout(30 * SECOND, watch(&near, SECOND / 2)).await.expect("noticed");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_process_that_reads_nothing_does_not_end_the_link() {
        let (near, _far) = connected().await;
        let junk = vec![0; 1 << 20];
        near.writable().await.unwrap();
        while near.try_write(&junk).is_ok() {}
        assert!(look(&near).unwrap().outstanding);
        assert!(timeout(4 * SECOND, watch(&near, SECOND / 10)).await.is_err(), "taken for dead");
    }
}
