//! Workers as programs use them: several in one process, over loopback, with the backend of the build (TCP if
//! it has both).
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

#[cfg(any(feature = "quic", feature = "tcp"))]
mod calls;
#[cfg(any(feature = "quic", feature = "tcp"))]
mod init;
#[cfg(any(feature = "quic", feature = "tcp"))]
mod leaving;
#[cfg(not(any(feature = "quic", feature = "tcp")))]
mod no_backend;
mod own_agent;
#[cfg(all(feature = "profiler", any(feature = "quic", feature = "tcp")))]
mod profiles;
#[cfg(all(feature = "tcp", feature = "tls"))]
mod security;
#[cfg_attr(
    not(any(feature = "quic", feature = "tcp")),
    expect(dead_code, reason = "without a backend no job starts")
)]
mod support;
