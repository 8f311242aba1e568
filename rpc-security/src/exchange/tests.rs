//! Exchanges between honest ends, and with everybody else in between.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn token(text: &str) -> JoinToken {
    JoinToken::new(&format!("{text}-0123456789abcdef0123456789abcdef")).unwrap()
}

fn here() -> Binding {
    Binding::exporter("test", &[7; 32])
}

fn client(token: &JoinToken, binding: Binding) -> TokenExchange {
    TokenExchange::with_nonce(Role::Client, token, binding, [0xc1; 32])
}

fn server(token: &JoinToken, binding: Binding) -> TokenExchange {
    TokenExchange::with_nonce(Role::Server, token, binding, [0x5e; 32])
}

/// What each end has sent when nothing moves any more, and the errors.
#[derive(Debug, Default)]
struct Outcome {
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    errors: Vec<ExchangeError>,
}

/// Lets the ends talk, in pieces of at most `piece` bytes.
fn talk(client: &mut TokenExchange, server: &mut TokenExchange, piece: usize) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let forth = client.poll_transmit().unwrap_or_default();
        let back = server.poll_transmit().unwrap_or_default();
        if forth.is_empty() && back.is_empty() {
            return outcome;
        }
        for (bytes, to) in [(&forth, &mut *server), (&back, &mut *client)] {
            outcome.errors.extend(feed(to, bytes, piece).err());
        }
        outcome.from_client.extend(forth);
        outcome.from_server.extend(back);
    }
}

/// Hands `bytes` over as a driver does, never more than is wanted; returns how many were left.
fn feed(end: &mut TokenExchange, mut bytes: &[u8], piece: usize) -> Result<usize, ExchangeError> {
    while !bytes.is_empty() && end.wants() > 0 {
        let taken = end.handle(&bytes[..piece.min(end.wants()).min(bytes.len())])?;
        assert!(taken > 0);
        bytes = &bytes[taken..];
    }
    Ok(bytes.len())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The format, byte for byte, as another implementation of SHA-256 and HMAC computes it. A change here is a new
/// version.
#[test]
fn golden_bytes() {
    let token = token("golden");
    let (mut client, mut server) = (client(&token, here()), server(&token, here()));
    let said = talk(&mut client, &mut server, usize::MAX);
    let (hello, client_proof) = said.from_client.split_at(HELLO_BYTES);
    let (nonce, verdict) = said.from_server.split_at(NONCE_BYTES);
    assert_eq!(hello, [&b"RPCTOKEN\x01"[..], &[0xc1; 32]].concat());
    assert_eq!(nonce, [0x5e; 32]);
    assert_eq!(hex(client_proof), "2294eaffec304b0901dbdc742e6cf63eaca2eaa48f4cb71df1ce7b3508b5c31d");
    assert_eq!(hex(verdict), "0050e8546f29aa7b589b4d99b33b44731aa1a7808c38890385ff8d47326de0a59c");
}

/// TX-1: the same token on two channels, as somebody in the middle would have it.
#[test]
fn tx1_ends_of_two_channels_do_not_believe_each_other() {
    let token = token("same");
    let mut client = client(&token, here());
    let mut server = server(&token, Binding::exporter("test", &[8; 32]));
    let said = talk(&mut client, &mut server, usize::MAX);
    assert!(!client.is_done() && !server.is_done());
    assert!(matches!(said.errors[..], [ExchangeError::WrongProof, ExchangeError::Refused]), "{said:?}");
}

/// TX-3: bytes that are not results of the HMAC are the same for all tokens.
#[test]
fn tx3_what_is_sent_before_the_proofs_does_not_depend_on_the_token() {
    let say = |token: &JoinToken| {
        let (mut client, mut server) = (client(token, here()), server(token, here()));
        talk(&mut client, &mut server, usize::MAX)
    };
    let (one, other) = (say(&token("one")), say(&token("other")));
    assert_eq!(one.from_client[..HELLO_BYTES], other.from_client[..HELLO_BYTES]);
    assert_eq!(one.from_server[..NONCE_BYTES + 1], other.from_server[..NONCE_BYTES + 1]);
    assert_ne!(one.from_client[HELLO_BYTES..], other.from_client[HELLO_BYTES..]);
    let shown = format!("{:?}", client(&token("secret"), here()));
    assert!(!shown.contains("secret"), "{shown}");
}

/// TX-4: its nonce and the verdict are all that somebody without the token hears.
#[test]
fn tx4_a_server_that_is_not_convinced_says_one_byte_and_no_proof() {
    let (mut client, mut server) = (client(&token("mine"), here()), server(&token("theirs"), here()));
    let said = talk(&mut client, &mut server, usize::MAX);
    assert_eq!(said.from_server, [&[0x5e; NONCE_BYTES][..], &[REFUSED]].concat());
    assert!(matches!(said.errors[..], [ExchangeError::WrongProof, ExchangeError::Refused]), "{said:?}");
    assert!(matches!(server.handle(b""), Err(ExchangeError::WrongProof)), "it stays over");
}

/// TX-2: an impostor accepts whatever the client proves, and says so.
#[test]
fn tx2_a_server_that_only_claims_to_be_convinced_is_not_believed() {
    for proof in [[0; 32], [0xff; 32]] {
        let mut client = client(&token("mine"), here());
        feed(&mut client, &[1; NONCE_BYTES], 64).unwrap();
        let claim = [&[ACCEPTED][..], &proof].concat();
        assert!(matches!(feed(&mut client, &claim, 64), Err(ExchangeError::WrongProof)));
        assert!(!client.is_done());
    }
}

/// TX-5: reflection.
#[test]
fn tx5_a_clients_own_messages_do_not_convince_it() {
    let mut client = client(&token("mine"), here());
    client.poll_transmit().unwrap();
    // Its own nonce sent back makes both nonces the same; its own proof is still one of a client.
    feed(&mut client, &[0xc1; NONCE_BYTES], 64).unwrap();
    let own = client.poll_transmit().unwrap();
    let reflected = [&[ACCEPTED][..], &own].concat();
    assert!(matches!(feed(&mut client, &reflected, 64), Err(ExchangeError::WrongProof)));
}

/// TX-5: swapped roles.
#[test]
fn tx5_a_servers_own_proof_does_not_convince_another() {
    let token = token("mine");
    let (mut first_client, mut first) = (client(&token, here()), server(&token, here()));
    let said = talk(&mut first_client, &mut first, usize::MAX);
    assert!(first.is_done());
    let mut second = server(&token, here());
    feed(&mut second, &said.from_client[..HELLO_BYTES], 64).unwrap();
    let own_proof = &said.from_server[NONCE_BYTES + 1..];
    assert!(matches!(feed(&mut second, own_proof, 64), Err(ExchangeError::WrongProof)));
}

/// TX-5: replay, in both roles.
#[test]
fn tx5_a_recorded_exchange_convinces_nobody_again() {
    let token = token("mine");
    let mut first = TokenExchange::client(&token, here()).unwrap();
    let mut first_server = TokenExchange::server(&token, here()).unwrap();
    let recorded = talk(&mut first, &mut first_server, usize::MAX);
    assert!(first.is_done() && first_server.is_done());

    let mut server = TokenExchange::server(&token, here()).unwrap();
    assert!(matches!(feed(&mut server, &recorded.from_client, 64), Err(ExchangeError::WrongProof)));
    let mut client = TokenExchange::client(&token, here()).unwrap();
    assert!(matches!(feed(&mut client, &recorded.from_server, 64), Err(ExchangeError::WrongProof)));
}

#[test]
fn another_version_is_named() {
    let mut server = server(&token("mine"), here());
    let hello = [&MAGIC[..], &[9], &[0; 32]].concat();
    assert!(matches!(feed(&mut server, &hello, 64), Err(ExchangeError::Version { theirs: 9 })));
    assert_eq!(server.poll_transmit(), None);
}

proptest! {
    /// Honest ends believe each other however the bytes are cut, and leave what follows on the stream alone (TX-6).
    #[test]
    fn tx6_honest_ends_agree_and_take_no_byte_too_many(piece in 1..50_usize, after in vec(any::<u8>(), 0..50)) {
        let token = token("same");
        let (mut client, mut server) = (client(&token, here()), server(&token, here()));
        let said = talk(&mut client, &mut server, piece);
        prop_assert!(client.is_done() && server.is_done(), "{said:?}");
        for end in [&mut client, &mut server] {
            prop_assert_eq!(end.wants(), 0);
            prop_assert_eq!(end.handle(&after).unwrap(), 0);
        }
        prop_assert_eq!(said.from_client.len(), HELLO_BYTES + PROOF_BYTES);
        prop_assert_eq!(said.from_server.len(), NONCE_BYTES + 1 + PROOF_BYTES);
    }

    /// TX-2: one changed bit anywhere in what either end receives, and the receiver, or the one that hears of the
    /// consequences, does not believe.
    #[test]
    fn tx2_one_changed_bit_and_not_both_believe(at in 0..(41 + 32 + 32 + 33) * 8_usize) {
        let token = token("same");
        let (mut client, mut server) = (client(&token, here()), server(&token, here()));
        let mut sent = 0;
        let flip = |bytes: &mut Vec<u8>, sent: &mut usize| {
            if let Some(byte) = (at / 8).checked_sub(*sent).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (at % 8);
            }
            *sent += bytes.len();
        };
        for _ in 0..2 {
            let mut forth = client.poll_transmit().unwrap_or_default();
            flip(&mut forth, &mut sent);
            let _ = feed(&mut server, &forth, 64);
            let mut back = server.poll_transmit().unwrap_or_default();
            flip(&mut back, &mut sent);
            let _ = feed(&mut client, &back, 64);
        }
        prop_assert!(!client.is_done(), "the client hears of everything");
    }

    /// TX-2, TX-6: garbage convinces nobody, and an end keeps no more of it than it wants.
    #[test]
    fn tx2_garbage_convinces_nobody(is_client: bool, starts_well: bool, garbage in vec(any::<u8>(), 0..300)) {
        let token = token("mine");
        let mut end = if is_client { client(&token, here()) } else { server(&token, here()) };
        let start = if starts_well && !is_client { [&MAGIC[..], &[VERSION]].concat() } else { vec![] };
        let mut bytes = &*[start, garbage].concat();
        while !bytes.is_empty() && end.wants() > 0 {
            prop_assert!(end.wants() <= HELLO_BYTES);
            match end.handle(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(_) => break,
            }
        }
        prop_assert!(!end.is_done());
    }

    /// TX-1, TX-2: who passes bytes on between two honest ends can convince neither, unless it is one channel
    /// with one token.
    #[test]
    fn tx1_only_one_channel_and_one_token_agree(same_token: bool, same_binding: bool, exported: [u8; 32]) {
        let other = if same_token { token("mine") } else { token("other") };
        let theirs = if same_binding { here() } else { Binding::exporter("test", &exported) };
        prop_assume!(same_binding || exported != [7; 32]);
        let (mut client, mut server) = (client(&token("mine"), here()), server(&other, theirs));
        talk(&mut client, &mut server, usize::MAX);
        prop_assert_eq!(client.is_done(), same_token && same_binding);
        prop_assert_eq!(server.is_done(), same_token && same_binding);
    }
}

mod driven {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_costs_the_limit() {
        let (mut near, _far) = duplex(1024);
        let exchange = TokenExchange::server(&token("mine"), here()).unwrap();
        let started = tokio::time::Instant::now();
        let end = prove(&mut near, exchange, Duration::from_secs(5)).await;
        assert!(matches!(end, Err(ExchangeError::TooSlow)), "{end:?}");
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_is_noticed() {
        let (mut near, mut far) = duplex(1024);
        far.write_all(&MAGIC[..4]).await.unwrap();
        drop(far);
        let exchange = TokenExchange::server(&token("mine"), here()).unwrap();
        let end = prove(&mut near, exchange, EXCHANGE_TIME).await;
        assert!(matches!(end, Err(ExchangeError::Closed)), "{end:?}");
    }

    #[tokio::test]
    async fn a_client_that_is_refused_is_told() {
        let (mut near, mut far) = duplex(16);
        let client = TokenExchange::client(&token("mine"), here()).unwrap();
        let server = TokenExchange::server(&token("other"), here()).unwrap();
        let (near, far) =
            tokio::join!(prove(&mut near, client, EXCHANGE_TIME), prove(&mut far, server, EXCHANGE_TIME));
        assert!(matches!(near, Err(ExchangeError::Refused)), "{near:?}");
        assert!(matches!(far, Err(ExchangeError::WrongProof)), "{far:?}");
    }

    #[tokio::test]
    async fn what_follows_the_exchange_is_left_on_the_stream() {
        let (mut near, mut far) = duplex(1024);
        let client = TokenExchange::client(&token("mine"), here()).unwrap();
        let server = TokenExchange::server(&token("mine"), here()).unwrap();
        let speak = async {
            prove(&mut near, client, EXCHANGE_TIME).await.unwrap();
            near.write_all(b"hello").await.unwrap();
        };
        let listen = async {
            prove(&mut far, server, EXCHANGE_TIME).await.unwrap();
            let mut hello = [0; 5];
            far.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello");
        };
        tokio::join!(speak, listen);
    }
}
