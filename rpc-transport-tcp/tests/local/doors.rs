//! Who comes to a local socket and is no worker of the job.

use std::io::ErrorKind;

use rpc_core::{BindOptions, JoinToken, LinkSecurity, Protection, Transport};
use rpc_transport_tcp::TcpTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{knock, soon};

async fn with_token(token: &JoinToken) -> TcpTransport {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security = LinkSecurity::new(Protection::Token);
    options.security.token = Some(token.clone());
    TcpTransport::bind(options).await.unwrap()
}

fn token() -> JoinToken {
    JoinToken::random().unwrap()
}

/// The next link of `to` is that of `from`, and local.
async fn honest(from: &TcpTransport, to: &TcpTransport) {
    let address = to.local_address();
    let (dialled, accepted) = soon(async { tokio::join!(from.connect(&address), to.accept()) }).await;
    assert_eq!((dialled.unwrap().sender.carrier(), accepted.unwrap().sender.carrier()), ("local", "local"));
}

#[tokio::test]
async fn who_has_no_token_hears_nothing_and_is_no_link() {
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    for words in [&[0xff; 4096][..], b"GET / HTTP/1.1\r\n\r\nand more, to be long enough for one"] {
        let mut stranger = knock(&far.local_address()).await;
        let _it_may_close_meanwhile = stranger.write_all(words).await;
        let mut heard = Vec::new();
        let _end_or_reset = soon(stranger.read_to_end(&mut heard)).await;
        assert_eq!(heard, [0_u8; 0]);
    }
    honest(&near, &far).await;
}

#[tokio::test]
async fn another_token_is_refused_and_tcp_is_not_tried_in_its_place() {
    let far = with_token(&token()).await;
    let error = soon(with_token(&token()).await.connect(&far.local_address())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("RPC_JOIN_TOKEN"), "{error}");
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out_and_are_bounded() {
    raise_the_limit_of_open_files();
    let token = token();
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    let address = far.local_address();
    let mut crowd = Vec::with_capacity(CROWD);
    while crowd.len() < CROWD {
        crowd.push(knock(&address).await);
        // So that they are accepted as they come: what the system keeps for a listener has a bound of its own.
        tokio::task::yield_now().await;
    }
    honest(&near, &far).await;
    let silent = |stream: &&tokio::net::UnixStream| matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    // All of them are in the anteroom, or have made room.
    soon(async {
        while crowd.iter().filter(silent).count() > 1_024 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

const CROWD: usize = 2_000;

/// Both ends of each connection are in this process.
fn raise_the_limit_of_open_files() {
    let wanted = (2 * CROWD + 200) as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = rustix::process::Rlimit { current: Some(wanted), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    }
}
