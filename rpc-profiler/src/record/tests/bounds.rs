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

#[rpc_macros::function(crate = "rpc_core")]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// PR-3. Nor does it when there is no room for one.
#[tokio::test(start_paused = true)]
async fn pr3_a_message_that_just_fits_is_sent_without_its_note() {
    const LIMIT: u64 = 4096;
    let config = rpc_core::EngineConfig { message_bytes_max: LIMIT, ..Default::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let recorder = Recorder::start(cluster.client("worker0")).unwrap();
    Recorder::start(cluster.client("worker1")).unwrap();
    let profiling = recorder.profile();
    // With the two bytes of its length it is as long as a message may be; then one longer.
    let call = |bytes: u64| cluster.client("worker0").rpc_async("worker1", echo, (vec![7; bytes as usize],));
    assert_eq!(call(LIMIT - 2).await.unwrap().len() as u64, LIMIT - 2);
    // There is room for the note of the request, not for that of the response.
    assert_eq!(call(LIMIT - 12).await.unwrap().len() as u64, LIMIT - 12);
    call(LIMIT - 1).await.unwrap_err();
    let profile = profiling.finish();
    assert_eq!(outcomes(&profile), ["ok", "ok", "too_large"]);
    assert!(error(&profile, 2).contains("message_bytes_max"), "{}", error(&profile, 2));
    let run = profile.calls.iter().map(|call| call.times.stage_ns(Stage::Run).is_some());
    assert!(run.eq([false, false, false]), "a call without one of its notes has nothing of its callee");
}
