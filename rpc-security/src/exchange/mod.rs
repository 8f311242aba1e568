//! The token exchange: both ends of a channel prove that they know the join token.
//!
//! ```text
//!  client                                                              server
//!    |-- "RPCTOKEN" | version u8 | nonce_c 32 B ------------------------->|
//!    |<-- nonce_s 32 B ---------------------------------------------------|
//!    |-- HMAC-SHA256(token, "rpc client" | binding | nonce_c | nonce_s) ->|
//!    |<-- verdict u8: 0 | HMAC-SHA256(token, "rpc server" | the same) ----|     or 1, and the end
//! ```
//! The *binding* ([`Binding`]) says on which channel this is: on TLS the exporter of the session, which no two
//! sessions share; on a plain socket, which does not leave the machine, what it serves and the server's address.
//!
//! # Invariants
//! - **TX-1, bound to its channel.** Two ends with different bindings do not believe each other, whatever is passed
//!   on between them. So nobody who sits in between two channels can lend a proof of one to the other.
//! - **TX-2, the token alone convinces.** An end is done only when its peer has shown a proof made with the
//!   same token, for this binding and these nonces; bytes that are anything else end the exchange.
//! - **TX-3, nothing of the secret is sent.** Messages are nonces, drawn without the token, and results of
//!   the HMAC under it.
//! - **TX-4, the server goes second.** Until the client has proved itself the server sends its nonce and at most
//!   one byte of verdict. So who asks without the token learns nothing to try guesses on.
//! - **TX-5, one use in one role.** A proof recorded on one exchange is wrong on every other, and a proof sent
//!   back to its maker is wrong as well.
//! - **TX-6, fixed memory.** An end keeps at most the 41 bytes of one message, and takes no byte beyond the
//!   last one of the exchange.
//!
//! TX-1 and TX-5 follow from what is under the HMAC: each end puts in its own nonce and its own binding, and the
//! role of who proves. A client that talks to an impostor does show it a proof, which is why a token has to be
//! random: a guess could be tried on it.
//!
//! # Why not a PAKE
//! It would let a token be a word that people can remember. Tokens are made by programs and travel in
//! environment variables, and the cryptography of a PAKE would be one more library to trust.

mod binding;
mod driver;
mod error;

use hmac::{Hmac, KeyInit, Mac};
use rpc_core::JoinToken;
use sha2::Sha256;

pub use self::binding::Binding;
pub use self::driver::{EXCHANGE_TIME, prove};
pub use self::error::ExchangeError;

const MAGIC: &[u8; 8] = b"RPCTOKEN";
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;
const HELLO_BYTES: usize = MAGIC.len() + 1 + NONCE_BYTES;
const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;

type Nonce = [u8; NONCE_BYTES];
type Proof = [u8; PROOF_BYTES];

/// Which end of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The one that has connected. It proves first.
    Client,
    /// The one that has listened.
    Server,
}

impl Role {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Client => b"rpc client",
            Self::Server => b"rpc server",
        }
    }
}

/// One end of an exchange, as a state machine without I/O or clock; [`prove`] drives it over a stream.
///
/// After any call, take [`poll_transmit`](Self::poll_transmit) until it yields `None`. It may have a last byte to send
/// after it has failed.
pub struct TokenExchange {
    role: Role,
    token: JoinToken,
    binding: Binding,
    own: Nonce,
    peers: Nonce,
    phase: Phase,
    /// What has come of the message that is awaited, in its first `filled` bytes.
    inbox: [u8; HELLO_BYTES],
    filled: usize,
    outbox: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Server: the client's hello.
    Hello,
    /// Client: the server's nonce.
    Nonce,
    /// Client: the server's verdict.
    Verdict,
    /// Either: the other one's proof.
    Proof,
    Done,
    Failed(ExchangeError),
}

impl TokenExchange {
    /// What every exchange begins with, for a server that has to tell it from other protocols.
    pub const START: &'static [u8; 8] = MAGIC;

    /// The end that has connected.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn client(token: &JoinToken, binding: Binding) -> std::io::Result<Self> {
        Ok(Self::with_nonce(Role::Client, token, binding, nonce()?))
    }

    /// The end that has listened.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn server(token: &JoinToken, binding: Binding) -> std::io::Result<Self> {
        Ok(Self::with_nonce(Role::Server, token, binding, nonce()?))
    }

    fn with_nonce(role: Role, token: &JoinToken, binding: Binding, own: Nonce) -> Self {
        let (phase, outbox) = match role {
            Role::Client => (Phase::Nonce, [&MAGIC[..], &[VERSION], &own].concat()),
            Role::Server => (Phase::Hello, Vec::new()),
        };
        Self {
            role,
            token: token.clone(),
            binding,
            own,
            peers: [0; NONCE_BYTES],
            phase,
            inbox: [0; HELLO_BYTES],
            filled: 0,
            outbox,
        }
    }

    /// Bytes to send now.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.outbox.is_empty()).then(|| std::mem::take(&mut self.outbox))
    }

    /// How many bytes of the peer's are awaited. More than these are not part of the exchange, or not yet due.
    /// 0 once it is over.
    pub fn wants(&self) -> usize {
        self.message_bytes() - self.filled
    }

    /// Whether the peer has proved that it has the token.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Takes bytes of the peer's, at most as many as are [wanted](Self::wants), and returns how many it has taken.
    ///
    /// # Errors
    /// [`ExchangeError`] when the peer is not to be believed. The exchange is over then, and says the same again.
    pub fn handle(&mut self, bytes: &[u8]) -> Result<usize, ExchangeError> {
        let mut taken = 0;
        loop {
            if let Phase::Failed(error) = &self.phase {
                return Err(error.clone());
            }
            let piece = &bytes[taken..][..self.wants().min(bytes.len() - taken)];
            self.inbox[self.filled..][..piece.len()].copy_from_slice(piece);
            self.filled += piece.len();
            taken += piece.len();
            if self.is_done() || self.wants() > 0 {
                return Ok(taken);
            }
            self.filled = 0;
            self.phase = match self.handle_message() {
                Ok(next) => next,
                Err(error) => Phase::Failed(error),
            };
        }
    }

    fn message_bytes(&self) -> usize {
        match self.phase {
            Phase::Hello => HELLO_BYTES,
            Phase::Nonce => NONCE_BYTES,
            Phase::Verdict => 1,
            Phase::Proof => PROOF_BYTES,
            Phase::Done | Phase::Failed(_) => 0,
        }
    }

    /// Takes the message that is whole in the inbox, and returns what comes next.
    fn handle_message(&mut self) -> Result<Phase, ExchangeError> {
        match (&self.phase, self.role) {
            (Phase::Hello, _) => self.handle_hello(),
            (Phase::Nonce, _) => {
                self.peers.copy_from_slice(&self.inbox[..NONCE_BYTES]);
                self.outbox.extend(self.proof());
                Ok(Phase::Verdict)
            }
            (Phase::Verdict, _) => match self.inbox[0] {
                ACCEPTED => Ok(Phase::Proof),
                REFUSED => Err(ExchangeError::Refused),
                _ => Err(ExchangeError::NotAnExchange),
            },
            (Phase::Proof, Role::Server) => match self.verify() {
                Ok(()) => {
                    self.outbox.push(ACCEPTED);
                    self.outbox.extend(self.proof()); // TX-4
                    Ok(Phase::Done)
                }
                Err(error) => {
                    self.outbox.push(REFUSED);
                    Err(error)
                }
            },
            (Phase::Proof, Role::Client) => self.verify().map(|()| Phase::Done),
            (over @ (Phase::Done | Phase::Failed(_)), _) => Ok(over.clone()),
        }
    }

    fn handle_hello(&mut self) -> Result<Phase, ExchangeError> {
        let (magic, rest) = self.inbox.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(ExchangeError::NotAnExchange);
        }
        match rest {
            [VERSION, nonce @ ..] => self.peers.copy_from_slice(nonce),
            [theirs, ..] => return Err(ExchangeError::Version { theirs: *theirs }),
            [] => return Err(ExchangeError::NotAnExchange),
        }
        self.outbox.extend(self.own);
        Ok(Phase::Proof)
    }

    fn proof(&self) -> Proof {
        self.hmac(self.role).finalize().into_bytes().into()
    }

    /// Whether the inbox has the proof of the other end. Takes as long for every wrong one.
    fn verify(&self) -> Result<(), ExchangeError> {
        let peer = match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        self.hmac(peer).verify_slice(&self.inbox[..PROOF_BYTES]).map_err(|_| ExchangeError::WrongProof)
    }

    fn hmac(&self, prover: Role) -> Hmac<Sha256> {
        let (client, server) = match self.role {
            Role::Client => (&self.own, &self.peers),
            Role::Server => (&self.peers, &self.own),
        };
        Hmac::new_from_slice(self.token.expose().as_bytes())
            .expect("an HMAC takes keys of any length")
            .chain_update(prover.label())
            .chain_update(self.binding.as_bytes())
            .chain_update(client)
            .chain_update(server)
    }
}

/// Shows neither token nor proofs.
impl std::fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenExchange")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

fn nonce() -> std::io::Result<Nonce> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests;
