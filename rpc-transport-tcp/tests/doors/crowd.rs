//! Many who say nothing.

use std::time::Duration;

use rpc_core::JoinToken;
use tokio::net::TcpStream;

use crate::rig::{honest, knock, soon, with_token};

const CROWD: usize = 2_000;

/// Fills `far` with connections that say nothing; they end when the result is dropped.
async fn crowd(far: &rpc_transport_tcp::TcpTransport) -> Vec<TcpStream> {
    let mut crowd = Vec::with_capacity(CROWD);
    while crowd.len() < CROWD {
        crowd.push(knock(far).await);
    }
    crowd
}

/// How many of the crowd are still connected, after what there is to hear.
fn still_there(crowd: &[TcpStream]) -> usize {
    let silent = |stream: &&TcpStream| matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    crowd.iter().filter(silent).count()
}

#[tokio::test]
async fn half_open_connections_at_the_token_keep_nobody_out_and_are_bounded() {
    raise_the_limit_of_open_files();
    let token = JoinToken::random().expect("randomness");
    let (near, far) = (with_token(&token).await, with_token(&token).await);
    let crowd = crowd(&far).await;
    let (_near, _far) = soon(honest(&near, &far)).await;
    settle(&crowd).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn half_open_connections_at_tls_keep_nobody_out_and_are_bounded() {
    raise_the_limit_of_open_files();
    let [near, far] = crate::tls::two_of_a_group().await;
    let crowd = crowd(&far).await;
    let (_near, _far) = soon(honest(&near, &far)).await;
    settle(&crowd).await;
}

/// All of them are in the anteroom, or have made room.
async fn settle(crowd: &[TcpStream]) {
    soon(async {
        while still_there(crowd) > 1_024 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Both ends of each connection are in this process.
fn raise_the_limit_of_open_files() {
    #[cfg(unix)]
    {
        let wanted = (2 * CROWD + 200) as u64;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if limit.current.is_some_and(|current| current < wanted) {
            let raised = rustix::process::Rlimit { current: Some(wanted), ..limit };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)
                .expect("the system's hard limit has room for the crowd");
        }
    }
}
