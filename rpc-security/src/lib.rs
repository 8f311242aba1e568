//! Who is who: certificates, trust by fingerprint, and proof of the join token.
//!
//! The workers of a job trust each other because of the store that they met in: each publishes the
//! fingerprint of a certificate that it has made a moment ago, and links are held to it. Who may use the store
//! shows that by the job's token, which is proved and never sent, or by a certificate of an authority.
//!
//! ```
//! use rpc_core::JoinToken;
//! use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let token = JoinToken::random()?;
//! let (mut near, mut far) = tokio::io::duplex(64); // any stream; on TLS bind to its exporter
//! let here = || Binding::socket("doc", "127.0.0.1:29500".parse().unwrap());
//! tokio::try_join!(
//!     prove(&mut near, TokenExchange::client(&token, here())?, EXCHANGE_TIME),
//!     prove(&mut far, TokenExchange::server(&token, here())?, EXCHANGE_TIME),
//! )?; // now each end knows that the other has the token, and that nobody sits in between
//! # Ok(()) }
//! ```
//!
//! **Start** with [`generate`] or [`Credentials`] for an identity, and [`TokenExchange`] for the token.
//! **It promises** that a proof convinces on the one channel that it was made for, in one role, once; that a
//! certificate counts only together with a signature by its key; and that it composes rustls and an HMAC
//! library, with no cryptography of its own. **It leaves to you** what has to be protected, and that the
//! token is random: who records a proof can try guesses on it.
//!
//! # Crate features
//! - **`tls`** (default): certificates and the configurations of TLS, with rustls and aws-lc-rs. Without it
//!   there are [`fingerprint_of`], [`Roster`] and the token exchange.
#![forbid(unsafe_code)]

// Reading order: the token, whom to trust, certificates, TLS.
mod exchange;

mod roster;

#[cfg(feature = "tls")]
mod credentials;
#[cfg(feature = "tls")]
mod error;
#[cfg(feature = "tls")]
mod identity;

#[cfg(feature = "tls")]
#[doc(hidden)]
pub mod rustls_configs;

// The public interface is:
#[cfg(feature = "tls")]
pub use crate::credentials::Credentials;
#[cfg(feature = "tls")]
pub use crate::error::{CredentialPart, SecurityError};
pub use crate::exchange::{Binding, EXCHANGE_TIME, ExchangeError, TokenExchange, prove};
#[cfg(feature = "tls")]
pub use crate::identity::generate;
pub use crate::roster::{Roster, fingerprint_of};
