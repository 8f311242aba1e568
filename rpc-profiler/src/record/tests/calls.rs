//! Calls of one worker, as it records them.

use rpc_core::WorkerId;

use super::*;

#[tokio::test(start_paused = true)]
async fn each_stage_is_where_its_time_went() {
    let workers = Workers::new(2).await;
    let profiling = workers.recorders[0].profile();
    let reply = workers.client(0).rpc_async("worker1", work, (3,));
    tokio::time::sleep(10 * MS).await;
    reply.await.unwrap();
    let profile = profiling.finish();
    assert_eq!(keys(&profile).len(), 1);
    assert!(keys(&profile)[0].ends_with("::work(worker0 -> worker1)"), "{:?}", keys(&profile));
    assert!(keys(&profile)[0].starts_with("rpc_async#"), "{:?}", keys(&profile));
    let call = &profile.calls[0];
    // Encode, queue, wire out, wait, run, wire back; taken when the sleep was over.
    assert_eq!(stages(call), [Some(0), Some(0), Some(1), Some(0), Some(3), Some(1), Some(5)]);
    assert_eq!((call.depth, call.parent, profile.name(call.outcome)), (0, None, "ok"));
    assert!(call.request.bytes > 0 && call.response.bytes > 0);
}

/// PR-1.
#[tokio::test(start_paused = true)]
async fn pr1_nothing_is_recorded_and_no_byte_travels_while_nobody_profiles() {
    let workers = Workers::new(2).await;
    let sent = || workers.client(0).agent().info().peers[1].traffic.bytes_sent;
    let one = async || {
        let before = sent();
        workers.client(0).rpc_async("worker1", work, (0,)).await.unwrap();
        sent() - before
    };
    let plain = one().await;
    let profiling = workers.recorders[0].profile();
    assert!(one().await > plain);
    assert_eq!(profiling.finish().calls.len(), 1);
    assert_eq!(one().await, plain);
    assert!(!workers.client(0).observers().is_on() && !workers.client(1).observers().is_on());
    assert_eq!(workers.recorders[0].profile().finish().calls, []);
}

/// PR-4.
#[tokio::test(start_paused = true)]
async fn pr4_every_call_is_there_once_however_it_ends() {
    let workers = Workers::new(3).await;
    let client = workers.client(0);
    let profiling = workers.recorders[0].profile();
    client.rpc_async("worker1", fail, ("x".to_owned(),)).await.unwrap_err();
    client.rpc_async("worker1", work, (100,)).timeout(10 * MS).await.unwrap_err();
    client.rpc_async("worker1", work, (100,)).cancel();
    assert_eq!(profiling.so_far().under_way, 0);
    drop(client.rpc_async("worker1", work, (5,)));
    let lost = client.rpc_async("worker2", work, (100,));
    assert_eq!(profiling.so_far().under_way, 2);
    tokio::time::sleep(20 * MS).await;
    workers.cluster.kill("worker2");
    lost.await.unwrap_err();
    client.rpc_async("nobody", work, (1,)).await.unwrap_err(); // never made
    tokio::time::sleep(1000 * MS).await;
    let profile = profiling.finish();
    assert_eq!(profile.under_way, 0);
    let mut outcomes = outcomes(&profile);
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["cancelled", "error", "link_lost", "ok", "timed_out"]);
    let failed = profile.calls.iter().find(|call| profile.name(call.outcome) == "error").unwrap();
    assert_eq!(stages(failed)[4], Some(0), "a handler's own error is a response like others");
}

#[tokio::test(start_paused = true)]
async fn what_failed_says_why_in_words() {
    let workers = Workers::new(3).await;
    let client = workers.client(0);
    let profiling = workers.recorders[0].profile();
    client.rpc_async("worker1", fail, ("out of paper".to_owned(),)).await.unwrap_err();
    client.rpc_async("worker1", work, (100,)).timeout(10 * MS).await.unwrap_err();
    client.rpc_async("worker1", work, (0,)).await.unwrap();
    assert!(client.rpc_async("worker1", fail_oddly, ()).await.is_err());
    client.rpc_async("worker1", fail_below, (2,)).await.unwrap_err();
    let profile = profiling.finish();
    let errors: Vec<_> = (0..5).map(|call| error(&profile, call)).collect();
    assert_eq!((errors[0], errors[2]), ("out of paper", ""));
    assert!(errors[1].starts_with("no reply within 10ms"), "{}", errors[1]);
    assert!(errors[3].ends_with("::Odd"), "what has no text has a type: {}", errors[3]);
    assert_eq!(errors[4], "below");
    let below = profile.calls.iter().position(|call| call.from == 1).unwrap();
    assert_eq!(error(&profile, below), "deep down", "of the callee's calls too");
}

#[tokio::test(start_paused = true)]
async fn profiles_nest_and_each_has_what_was_recorded_while_it_was() {
    let workers = Workers::new(2).await;
    let call = async || workers.client(0).rpc_async("worker1", work, (1,)).await.unwrap();
    let outer = workers.recorders[0].profile();
    call().await;
    let inner = workers.recorders[0].profile();
    call().await;
    let inner = inner.finish();
    assert_eq!(outer.so_far().calls.len(), 2);
    call().await;
    let outer = outer.finish();
    assert_eq!((inner.calls.len(), outer.calls.len()), (1, 3));
    assert_eq!(inner.calls[0].id, outer.calls[1].id);
}

#[tokio::test]
async fn calls_of_all_threads_are_recorded() {
    let workers = Workers::new(2).await;
    let profiling = workers.recorders[0].profile();
    let calls = (0..4).map(|_| {
        let client = workers.client(0).clone();
        std::thread::spawn(move || client.rpc_sync(WorkerId(1), work, (0,)).unwrap())
    });
    let calls: Vec<_> = calls.collect();
    while !calls.iter().all(|call| call.is_finished()) {
        tokio::task::yield_now().await;
    }
    let profile = profiling.finish();
    assert_eq!(profile.calls.len(), 4);
    assert!(keys(&profile).iter().all(|key| key.starts_with("rpc_sync#")), "{:?}", keys(&profile));
}
