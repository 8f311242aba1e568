//! The local way: workers of one machine talk over a Unix socket, which costs less than TCP over loopback.
//!
//! A transport listens on one beside its port, and [publishes](crate::address) both. It is a socket of Linux's *abstract*
//! names: there is no file that could be left behind, or that somebody could have put there before. Such a name means
//! something in one network namespace only, so who dials compares machine and namespace first, and one that has
//! another, or meets nobody there, dials the port.
//!
//! # Who is at the other end
//! The name is drawn at random, but whoever is on the machine can list all names. So each end asks the system for the
//! user of the process at the other ([`same_user`]) and has nothing to do with another user's: who has dialled takes
//! TCP, with whatever protects that, and who was dialled closes the connection. A job whose workers run as several users
//! works as it does without this.
//!
//! The kernel keeps the user of who *listened* and of who *connected*, each at that time, and nobody can make up another.
//! A user that has no number in this process's user namespace is shown as [`NOBODY`], as all such are, so that number is
//! nobody's friend, not even its own.
//!
//! # What TCP needs and this does not
//! Keepalive and the [vigil](crate::vigil): a peer's host cannot vanish without this process. When a process ends,
//! however that comes, its sockets end at once and the other side hears of it. Nagle's algorithm, congestion control,
//! bounds of what is not yet sent: there is no network in between, and what has been written is in the peer's queue.
//! TLS: there is nobody in between but the kernel. Whoever asks for encryption by name gets it, over TCP.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use self::absent::{Local, dial};
#[cfg(target_os = "linux")]
pub(crate) use self::linux::{Local, dial, name_of};

/// What Linux shows in place of users that have no number in a process's user namespace.
#[cfg(target_os = "linux")]
const NOBODY: u32 = 65_534;

/// The process at the other end is of another user.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process at the other end of the local socket runs as user {theirs}, this one as user {ours}; workers of \
     different users talk over TCP"
)]
struct OtherUser {
    ours: u32,
    theirs: u32,
}

/// Whether a process of user `theirs` may be at the other end of a socket of user `ours`.
#[cfg(target_os = "linux")]
fn same_user(ours: u32, theirs: u32) -> Result<(), OtherUser> {
    if ours == theirs && theirs != NOBODY { Ok(()) } else { Err(OtherUser { ours, theirs }) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_may_be_at_the_other_end_and_not_even_root_for_another() {
        for user in [0, 1, 1000, u32::MAX] {
            assert_eq!(same_user(user, user), Ok(()));
        }
        for (ours, theirs) in [(1000, 1001), (1000, 0), (0, 1000), (0, NOBODY), (NOBODY, NOBODY)] {
            let error = same_user(ours, theirs).unwrap_err();
            assert_eq!(error, OtherUser { ours, theirs });
            assert!(error.to_string().contains(&format!("runs as user {theirs}")), "{error}");
        }
    }
}
