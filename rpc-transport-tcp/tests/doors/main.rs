//! Who does not get in, over real sockets: without the token, with another one, with somebody else's words, with
//! the wrong certificate or none, in between, or by sheer number.

mod crowd;
mod rig;
#[cfg(feature = "tls")]
mod tls;
mod token;
