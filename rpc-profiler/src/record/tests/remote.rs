//! What other workers do for a call, as its caller records it.

use rpc_core::WorkerId;

use super::*;

/// PR-5.
#[tokio::test(start_paused = true)]
async fn pr5_what_handlers_do_comes_back_through_any_worker() {
    let workers = Workers::new(4).await;
    let profiling = workers.recorders[0].profile();
    workers.client(0).rpc_async("worker1", relay, (vec![2, 3], 4)).await.unwrap();
    let profile = profiling.finish();
    let mut calls: Vec<&Call> = profile.calls.iter().collect();
    calls.sort_by_key(|call| call.depth);
    let ends: Vec<_> = calls.iter().map(|call| (call.from, call.to, call.depth)).collect();
    assert_eq!(ends, [(0, 1, 0), (1, 2, 1), (2, 3, 2)]);
    assert_eq!(
        (calls[0].parent, calls[1].parent, calls[2].parent),
        (None, Some(calls[0].id), Some(calls[1].id))
    );
    let span = &profile.spans[0];
    assert_eq!((profile.spans.len(), profile.name(span.name), span.worker), (1, "leaf", 3));
    assert_eq!((span.parent, span.depth), (Some(calls[2].id), 3));
    // Each is a millisecond inside of the one above, at both ends.
    let within: Vec<_> = calls.iter().map(|call| stages(call)[4]).collect();
    assert_eq!(within, [Some(8), Some(6), Some(4)]);
}

/// PR-4.
#[tokio::test(start_paused = true)]
async fn pr4_what_a_worker_did_for_its_own_call_is_there_once() {
    let workers = Workers::new(2).await;
    let profiling = workers.recorders[0].profile();
    // To itself, and back to itself through another one.
    workers.client(0).rpc_async("worker0", relay, (vec![0], 1)).await.unwrap();
    workers.client(0).rpc_async("worker1", relay, (vec![0, 1], 1)).await.unwrap();
    let profile = profiling.finish();
    let mut ends: Vec<_> = profile.calls.iter().map(|call| (call.from, call.to, call.depth)).collect();
    ends.sort_unstable();
    assert_eq!(ends, [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 2), (1, 0, 1)]);
    assert_eq!(profile.spans.len(), 2);
}

/// CO-1.
#[tokio::test(start_paused = true)]
async fn co1_clocks_that_are_off_are_put_right() {
    let second = 1_000_000_000;
    let workers = Workers::with_clocks(&[0, 3 * second, -2 * second]).await;
    let profiling = workers.recorders[0].profile();
    workers.client(0).rpc_async("worker1", relay, (vec![2], 4)).await.unwrap();
    let profile = profiling.finish();
    let clock = |rank: u32| profile.worker(rank).unwrap().clock;
    assert_eq!((clock(0).offset_ns, clock(0).error_ns), (0, Some(0)));
    for (rank, truth, error) in [(1, 3 * second, 1_000_000), (2, -2 * second, 2_000_000)] {
        assert_eq!(
            clock(rank).error_ns,
            Some(error),
            "a millisecond each way, and half of that for each link"
        );
        assert!(clock(rank).offset_ns.abs_diff(truth) <= error, "{:?}", clock(rank));
    }
    let call = profile.calls.iter().find(|call| call.depth == 0).unwrap();
    let times = [call.times.began, call.times.arrived, call.times.replied, call.times.decoded];
    assert!(times.is_sorted() && times[0].is_some(), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_callee_without_a_recorder_leaves_its_part_open() {
    let cluster = Cluster::new(2).await;
    let recorder = Recorder::start(cluster.client("worker0")).unwrap();
    let profiling = recorder.profile();
    cluster.client("worker0").rpc_async("worker1", work, (2,)).await.unwrap();
    let profile = profiling.finish();
    assert_eq!(stages(&profile.calls[0]), [Some(0), Some(0), None, None, None, None, Some(0)]);
    assert_eq!(profile.worker(1).unwrap().clock.error_ns, None);
    assert_eq!(profile.calls[0].times.total_ns() / 1_000_000, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_profile_has_what_is_served_for_whomever() {
    let workers = Workers::new(3).await;
    let profiling = workers.recorders[1].server_profile();
    workers.client(0).rpc_async("worker1", work, (2,)).await.unwrap();
    workers.client(2).rpc_async("worker1", relay, (vec![0], 1)).await.unwrap();
    workers.client(1).rpc_async("worker0", work, (1,)).await.unwrap(); // its own
    let given_up = workers.client(0).rpc_async("worker1", work, (100,));
    tokio::time::sleep(5 * MS).await;
    given_up.cancel();
    tokio::time::sleep(5 * MS).await;
    let profile = profiling.finish();
    let mut found: Vec<_> = profile
        .calls
        .iter()
        .map(|call| {
            (profile.name(call.operation), call.from, call.to, call.depth, profile.name(call.outcome))
        })
        .collect();
    found.sort_unstable();
    let expected = [
        ("rpc_async", 1, 0, 1, "ok"),
        ("serve", 0, 1, 0, "given_up"),
        ("serve", 0, 1, 0, "ok"),
        ("serve", 2, 1, 0, "ok"),
    ];
    assert_eq!(found, expected);
    let given_up = profile.calls.iter().find(|call| profile.name(call.outcome) == "given_up").unwrap();
    assert_eq!(stages(given_up)[4], Some(5), "until it was");
    let nested = profile.calls.iter().find(|call| call.depth == 1).unwrap();
    let served = profile.calls.iter().find(|call| call.from == 2).unwrap();
    assert_eq!(nested.parent, Some(served.id));
    assert_eq!((profile.spans.len(), profile.spans[0].parent), (1, Some(nested.id)));
}

#[tokio::test(start_paused = true)]
async fn a_caller_and_its_callee_profile_the_same_call_under_one_id() {
    let workers = Workers::new(2).await;
    let (caller, callee) = (workers.recorders[0].profile(), workers.recorders[1].server_profile());
    workers.client(0).rpc_async("worker1", work, (2,)).await.unwrap();
    let (caller, callee) = (caller.finish(), callee.finish());
    assert_eq!(caller.calls[0].id, callee.calls[0].id);
    assert_eq!(stages(&callee.calls[0]), [None, None, None, Some(0), Some(2), None, None]);
    assert_eq!(caller.calls[0].response, callee.calls[0].response);
}

/// PR-2.
#[tokio::test(start_paused = true)]
async fn pr2_what_does_not_fit_into_a_note_is_counted() {
    let workers = Workers::new(2).await;
    let profiling = workers.recorders[0].profile();
    workers.client(0).rpc_async("worker1", many, (1_000,)).await.unwrap();
    let profile = profiling.finish();
    let nested = profile.calls.len() as u64 - 1;
    assert!(nested > 100 && profile.dropped > 0);
    assert_eq!(nested + profile.dropped, 1_000);
}

#[rpc_macros::function(crate = "rpc_core")]
async fn many(count: u64) -> u64 {
    let client = Client::current().unwrap();
    for _ in 0..count {
        client.rpc_async(WorkerId(1), work, (0,)).await.unwrap();
    }
    count
}
