//! What a worker that waits for others logs. Alone in its process: whether a log line is wanted is remembered
//! for the whole process, and other tests have nobody who listens.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::{Incarnation, Store, WorkerName};
use rpc_rendezvous::{Joining, MemoryStore, join};

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

#[tokio::test(start_paused = true)]
async fn waiting_says_who_is_missing_after_three_seconds_and_every_five() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    let _guard = tracing::subscriber::set_default(subscriber.with_ansi(false).finish());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let worker = |name: &str, rank: u32| Joining {
        job: "job".into(),
        name: WorkerName::new(name).unwrap(),
        rank,
        world_size: 4,
        incarnation: Incarnation([rank as u8; 16]),
        backend: "tcp".into(),
        address: String::new(),
        fingerprint: None,
        protection: rpc_core::Protection::None,
        timeout: Duration::from_secs(14),
    };
    let _both = tokio::join!(join(&store, worker("a", 0)), join(&store, worker("b", 1)));
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for seconds in [3, 8, 13] {
        let line = format!("waiting for rank 2, rank 3 (2 of 4 here), {seconds} s");
        assert_eq!(log.matches(&line).count(), 2, "once for each of two workers: {line}\n{log}");
    }
    assert_eq!(log.lines().count(), 6, "{log}");
}
