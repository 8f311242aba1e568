//! Workers as programs use them: several in one process, over loopback TCP.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

#[cfg(feature = "tcp")]
mod calls;
#[cfg(feature = "tcp")]
mod init;
#[cfg(feature = "tcp")]
mod leaving;
#[cfg(not(feature = "tcp"))]
mod no_backend;
mod own_agent;
#[cfg(all(feature = "tcp", feature = "tls"))]
mod security;
#[cfg_attr(not(feature = "tcp"), expect(dead_code, reason = "without a backend no job starts"))]
mod support;
