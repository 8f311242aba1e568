//! At a door that asks for the token.

use std::io;

use rpc_core::{Flush, JoinToken, LinkSecurity, Transport, recv};

use crate::rig::{Proxy, assert_nobody_got_in, bind, heard, hello, honest, knock, say, soon, with_token};

fn token() -> JoinToken {
    JoinToken::random().expect("randomness")
}

#[tokio::test]
async fn who_has_no_token_is_no_link_whatever_it_says() {
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    // As a worker says it, with its name: longer than the first words of the exchange.
    let hello = [&hello().header.to_bytes()[..], &[0; 64]].concat();
    for words in [&hello[..], b"GET / HTTP/1.1\r\n\r\nand more, to be long enough for one", &[0xff; 4096]] {
        assert_eq!(say(&far, words).await, [0_u8; 0], "a word that is no exchange has no answer");
    }
    // The first words of the exchange get a nonce, and guesses no more than a verdict.
    let mut guess = b"RPCTOKEN\x01".to_vec();
    guess.extend_from_slice(&[7; 32 + 32]);
    let answer = say(&far, &guess).await;
    assert_eq!((answer.len(), answer.last()), (32 + 1, Some(&1)));
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn a_dialler_that_has_another_token_or_none_is_told_so() {
    let far = with_token(&token()).await;
    let address = far.local_address();
    let error = soon(with_token(&token()).await.connect(&address)).await.expect_err("it has another token");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("RPC_JOIN_TOKEN"), "{error}");
    // One without expects a plain link, and finds it closed.
    let mut plain = bind(LinkSecurity::default()).await.connect(&address).await.expect("it listens");
    let mut long = hello();
    long.body.payload = vec![0; 64].into();
    long.header.payload_bytes = 64;
    plain.sender.send(long, Flush::Now).expect("the link seems up");
    assert!(!matches!(soon(recv(&mut *plain.receiver)).await, Ok(Some(_))));
}

#[tokio::test]
async fn a_dialler_does_not_believe_an_acceptor_without_the_token() {
    // One that says yes to everything.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let impostor = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.expect("it is dialled");
        stream.write_all(&[9; 32]).await.expect("the nonce");
        let mut said = [0; 41 + 32];
        stream.read_exact(&mut said).await.expect("the dialler's hello and proof");
        stream.write_all(&[[0].as_slice(), &[9; 32]].concat()).await.expect("yes, and a proof of nothing");
    });
    let error = soon(with_token(&token()).await.connect(&address)).await.expect_err("it proves nothing");
    assert!(error.to_string().contains("proof"), "{error}");
    impostor.await.expect("it got that far");
}

#[tokio::test]
async fn a_recorded_exchange_lets_nobody_in_again() {
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    // A real exchange, as recorded by somebody on this machine who listens at the very address: both ends see
    // the address of `far` only if they are connected directly, so the words are taken from a direct one.
    let proxy = Proxy::before(far.local_address(), |_| {}).await;
    let error = soon(near.connect(&proxy.address)).await.expect_err("it was dialled at another address");
    assert!(error.to_string().contains("refused"), "{error}");
    let [said, answered] = proxy.recorded().await;
    assert_eq!(
        (said.len(), answered.len()),
        (41 + 32, 32 + 1),
        "the exchange went all the way and no further"
    );
    let again = say(&far, &said).await;
    assert_eq!((again.len(), again.last()), (32 + 1, Some(&1)));
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn who_stops_in_the_middle_or_goes_on_too_early_is_no_link() {
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    let mut half = knock(&far).await;
    tokio::io::AsyncWriteExt::write_all(&mut half, b"RPCTOKEN\x01half of it").await.expect("it listens");
    tokio::io::AsyncWriteExt::shutdown(&mut half).await.expect("it is open");
    assert_eq!(heard(&mut half).await, [0_u8; 0]);
    let mut eager = b"RPCTOKEN\x01".to_vec();
    eager.extend_from_slice(&[7; 32]);
    eager.extend_from_slice(&hello().header.to_bytes());
    let answer = say(&far, &eager).await;
    assert_eq!((answer.len(), answer.last()), (32 + 1, Some(&1)), "frames are no proof");
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn after_the_exchange_garbage_is_a_violation_of_one_link_only() {
    use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    let (good_near, mut good_far) = honest(&near, &far).await;
    let mut stream = knock(&far).await;
    let binding = Binding::socket("rpc-tcp/1", stream.peer_addr().expect("it is connected"));
    let exchange = TokenExchange::client(&token, binding).expect("randomness");
    prove(&mut stream, exchange, EXCHANGE_TIME).await.expect("it has the token");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0xff; 1000]).await.expect("it is open");
    let mut bad = soon(far.accept()).await.expect("a link");
    assert!(matches!(soon(recv(&mut *bad.receiver)).await, Err(rpc_core::LinkError::Violation(_))));
    good_near.sender.send(hello(), Flush::Now).expect("the other link is up");
    assert!(matches!(soon(recv(&mut *good_far.receiver)).await, Ok(Some(_))));
}
