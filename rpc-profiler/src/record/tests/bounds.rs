//! Bounds, and peers that send anything.

use proptest::prelude::*;
use rpc_core::{Body, FunctionId, Kind, Outcome, RemoteFunction, Request};

use super::*;

/// PR-2.
#[tokio::test(start_paused = true)]
async fn pr2_the_last_calls_are_kept() {
    let cluster = Cluster::new(2).await;
    let recorder = Recorder::start_keeping(cluster.client("worker0"), 100).unwrap();
    let profiling = recorder.profile();
    for _ in 0..5_000 {
        cluster.client("worker0").rpc_async("worker1", work, (0,)).await.unwrap();
    }
    let profile = profiling.finish();
    let kept = profile.calls.len() as u64;
    assert_eq!((kept >= 100, kept < 5_000, kept + profile.dropped), (true, true, 5_000));
    assert!(recorder.log.lock().is_none(), "nothing is kept when nobody profiles");
}

#[tokio::test(start_paused = true)]
async fn there_is_one_recorder_for_each_worker() {
    let cluster = Cluster::new(1).await;
    let client = cluster.client("worker0");
    assert!(Recorder::of(client).is_none());
    let first = Recorder::start(client).unwrap();
    assert!(Arc::ptr_eq(&first, &Recorder::start(client).unwrap()));
    assert!(Arc::ptr_eq(&first, &Recorder::of(client).unwrap()));
}

/// The bit of the codec that says that a note is there.
const NOTE: u8 = 0x10;

fn noted(note: &[u8]) -> Request {
    let mut payload = vec![0]; // the argument 0
    payload.extend_from_slice(note);
    payload.extend_from_slice(&(note.len() as u16).to_le_bytes());
    let method = FunctionId::new(work::NAME, work::SIGNATURE).to_wire();
    let (kind, codec) = (Kind::CALL, rpc_core::POSTCARD | NOTE);
    Request { kind, method, codec, timeout: None, body: Body::new(payload) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// PR-3.
    #[test]
    fn pr3_whatever_a_note_is_the_call_is_served(
        notes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let workers = Workers::new(2).await;
            for note in notes {
                let with_version = [&[1], &note[..]].concat();
                for note in [note, with_version] {
                    let response = workers.client(0).agent().send(rpc_core::WorkerId(1), noted(&note)).await;
                    let response = response.unwrap();
                    assert_eq!((response.outcome, &response.body.payload[..1]), (Outcome::Ok, &[0][..]));
                    assert_eq!(response.codec & NOTE, 0, "it is taken off, asked for or not");
                }
            }
        });
    }
}

/// PR-3.
#[tokio::test(start_paused = true)]
async fn pr3_a_note_that_is_longer_than_its_message_is_a_bad_argument() {
    let workers = Workers::new(2).await;
    let mut request = noted(b"");
    request.body = Body::new(vec![0, 9, 9]);
    let response = workers.client(0).agent().send(rpc_core::WorkerId(1), request).await.unwrap();
    assert_eq!(response.outcome, Outcome::BadArguments);
}
