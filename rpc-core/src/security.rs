//! What links are protected with: data that backends put to use, and no cryptography.
//!
//! Who decides what a worker needs ([`Protection`]) and who keeps it (a [`Backend`](crate::Backend)) are
//! different crates, and a backend of a program's own may use another TLS library than ours. So what they
//! exchange is plain: bytes of certificates and keys, and a fingerprint of them that fits into a
//! [`Member`](crate::Member).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The SHA-256 digest of a certificate in DER: says which certificate a worker will show.
///
/// Workers learn each other's through the store, so a link to a worker is one to the holder of that
/// certificate's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// In hexadecimal, whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fewest characters of a [`JoinToken`]: 128 bits are 22 characters of base64 and 32 of hexadecimal.
pub const JOIN_TOKEN_CHARS_MIN: usize = 22;
/// Most characters of a [`JoinToken`].
pub const JOIN_TOKEN_CHARS_MAX: usize = 1024;
/// Random bytes of a token that [`JoinToken::random`] draws.
const RANDOM_BYTES: usize = 32;

/// The secret of a job: who proves that it knows it belongs to the job.
///
/// It is text, so that it travels in an environment variable. It has to be random: a text that a person
/// has made up can be guessed from one recorded proof. It is never sent, shown or logged, and its memory is
/// overwritten when it is dropped.
///
/// ```
/// use rpc_core::JoinToken;
/// let token = JoinToken::random()?;
/// assert_eq!(JoinToken::new(token.expose())?, token);
/// assert!(JoinToken::new("swordfish").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JoinToken(Arc<Zeroizing<String>>);

impl JoinToken {
    /// A token out of its text. White space around it is dropped, as files and shells add it.
    ///
    /// # Errors
    /// [`InvalidToken`] if it is shorter than [`JOIN_TOKEN_CHARS_MIN`] or longer than
    /// [`JOIN_TOKEN_CHARS_MAX`] characters, or has others than printable ASCII ones.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Character);
        }
        match text.len() {
            JOIN_TOKEN_CHARS_MIN..=JOIN_TOKEN_CHARS_MAX => {
                Ok(Self(Arc::new(Zeroizing::new(text.to_owned()))))
            }
            len => Err(InvalidToken::Length { len }),
        }
    }

    /// Draws a new one of 256 bits from the operating system.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        getrandom::fill(&mut *bytes).map_err(std::io::Error::other)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * RANDOM_BYTES));
        for byte in *bytes {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
            }
        }
        Ok(Self(Arc::new(text)))
    }

    /// The secret itself, for who hands it on to the workers of the job and who proves to know it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Compares texts of equal length in constant time: whoever measures learns nothing of the secret.
impl PartialEq for JoinToken {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.expose().as_bytes(), other.expose().as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl Eq for JoinToken {}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

/// A text that is no [`JoinToken`]. The text is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// Too short to be random, or too long.
    #[error(
        "a join token has {JOIN_TOKEN_CHARS_MIN} to {JOIN_TOKEN_CHARS_MAX} characters, this one {len}; \
         draw one with `openssl rand -hex 32`"
    )]
    Length {
        /// How many it has.
        len: usize,
    },
    /// White space inside, or something that is not ASCII.
    #[error("a join token has only printable ASCII characters; draw one with `openssl rand -hex 32`")]
    Character,
}

/// A certificate, the key to it, and whom its holder trusts.
///
/// The key is in memory only; it is never shown or logged, and overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct Identity(Arc<IdentityParts>);

struct IdentityParts {
    certificates: Vec<Vec<u8>>,
    private_key: Zeroizing<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// An identity out of its parts in DER: the certificate and those that lead to an authority, the key in
    /// PKCS #8, the authorities that peers have to be certified by, and the certificate's fingerprint, which
    /// the caller has computed.
    ///
    /// Without authorities a certificate is trusted by its fingerprint alone.
    pub fn from_der(
        certificates: Vec<Vec<u8>>,
        private_key: Zeroizing<Vec<u8>>,
        authorities: Vec<Vec<u8>>,
        fingerprint: Fingerprint,
    ) -> Self {
        Self(Arc::new(IdentityParts { certificates, private_key, authorities, fingerprint }))
    }

    /// The certificate, then those that lead from it to an authority, in DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0.certificates
    }

    /// The private key, PKCS #8 in DER.
    pub fn private_key(&self) -> &[u8] {
        &self.0.private_key
    }

    /// Certificates of the authorities, in DER; none if fingerprints alone are trusted.
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.0.authorities
    }

    /// Digest of the first certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.0.fingerprint).finish_non_exhaustive()
    }
}

/// What the links of a worker have to be protected by, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Protection {
    /// Nothing: whoever connects is believed, as far as the handshake goes.
    #[default]
    None,
    /// Each side proves that it knows the job's token before anything else; the bytes that follow are plain.
    /// For links that do not leave the machine.
    Token,
    /// Each side shows the certificate whose fingerprint the group has for it, and all bytes are encrypted.
    Encryption,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nothing",
            Self::Token => "the job's token on loopback",
            Self::Encryption => "encryption",
        })
    }
}

/// How the links of a worker are protected, and what with.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LinkSecurity {
    /// What is asked of the backend. One that encrypts whatever it is told gives more.
    pub protection: Protection,
    /// This worker's certificate. Always there with [`Protection::Encryption`].
    pub identity: Option<Identity>,
    /// The job's secret. Always there with [`Protection::Token`].
    pub token: Option<JoinToken>,
}

impl LinkSecurity {
    /// Links that are protected by `protection`; what it needs is to be filled in.
    pub fn new(protection: Protection) -> Self {
        Self { protection, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_to_be_random_and_survives_a_file() {
        let token = JoinToken::random().unwrap();
        assert_eq!(token.expose().len(), 64);
        assert_eq!(JoinToken::new(&format!(" {}\n", token.expose())).unwrap(), token);
        assert_ne!(JoinToken::random().unwrap(), token);
        assert_eq!(JoinToken::new(&"x".repeat(21)).unwrap_err(), InvalidToken::Length { len: 21 });
        assert!(JoinToken::new(&"x".repeat(22)).is_ok());
        assert!(JoinToken::new(&"x".repeat(1025)).is_err());
        assert_eq!(JoinToken::new("0123456789 0123456789 0").unwrap_err(), InvalidToken::Character);
    }

    #[test]
    fn secrets_are_not_shown() {
        let token = JoinToken::random().unwrap();
        let key = Zeroizing::new(b"a private key".to_vec());
        let identity = Identity::from_der(vec![], key, vec![], Fingerprint([7; 32]));
        let security = LinkSecurity {
            protection: Protection::Token,
            identity: Some(identity),
            token: Some(token.clone()),
        };
        let shown = format!("{security:?}");
        assert!(!shown.contains(token.expose()) && !shown.contains("private"), "{shown}");
        assert!(shown.contains("JoinToken(..)") && shown.contains(&"07".repeat(32)), "{shown}");
        assert!(!InvalidToken::Length { len: 3 }.to_string().contains("swordfish"));
    }
}
