//! What a store's server logs of clients that it does not let in. Alone in its process: whether a log line is wanted
//! is remembered for the whole process, and other tests have nobody who listens.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::{JoinToken, Store};
use rpc_rendezvous::{StoreLimits, StoreSecurity, TcpStore, TcpStoreServer};

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn many_wrong_tokens_are_one_line_and_no_token_is_in_the_log() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());
    let right = JoinToken::new("the-right-token-0123456789").unwrap();
    let wrong = JoinToken::new("the-wrong-token-0123456789").unwrap();
    let security = |token: &JoinToken| StoreSecurity::Token { token: token.clone() };
    let server =
        TcpStoreServer::bind_secured("127.0.0.1:0", StoreLimits::default(), &security(&right)).await.unwrap();
    let here = server.local_addr().to_string();
    let network = here.replace("127.0.0.1", "0.0.0.0");
    for _ in 0..5 {
        for address in [&here, &network] {
            TcpStore::connect_secured(address, Duration::from_secs(10), &security(&wrong)).await.unwrap_err();
        }
    }
    let store =
        TcpStore::connect_secured(&network, Duration::from_secs(10), &security(&right)).await.unwrap();
    store.set("k", b"v").await.unwrap();

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("closing a connection to the store").count(), 1, "{log}");
    assert!(log.contains("WARN") && log.contains("proof of the join token is wrong"), "{log}");
    assert!(!log.contains("the-right-token") && !log.contains("the-wrong-token"), "{log}");
}
