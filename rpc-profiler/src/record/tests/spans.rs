//! Spans of the user's own.

use super::*;

#[tokio::test(start_paused = true)]
async fn calls_and_spans_are_below_the_span_they_begin_in() {
    let workers = Workers::new(2).await;
    let recorder = &workers.recorders[0];
    let profiling = recorder.profile();
    {
        let _step = recorder.record_function("step");
        let reply = {
            let _send = recorder.record_function(format!("send {}", 1));
            workers.client(0).rpc_async("worker1", work, (1,))
        };
        reply.await.unwrap();
    }
    workers.client(0).rpc_async("worker1", work, (1,)).await.unwrap();
    let profile = profiling.finish();
    let [send, step] = &profile.spans[..] else { panic!("{:?}", profile.spans) };
    assert_eq!((profile.name(send.name), profile.name(step.name)), ("send 1", "step"));
    assert_eq!((step.parent, send.parent), (None, Some(step.id)));
    assert_eq!((step.depth, send.depth), (0, 1));
    let parents: Vec<_> = profile.calls.iter().map(|call| (call.parent, call.depth)).collect();
    assert_eq!(parents, [(Some(send.id), 2), (None, 0)]);
}

#[tokio::test(start_paused = true)]
async fn guards_may_end_in_any_order() {
    let workers = Workers::new(2).await;
    let recorder = &workers.recorders[0];
    let profiling = recorder.profile();
    let call = async || workers.client(0).rpc_async("worker1", work, (0,)).await.unwrap();
    let first = recorder.record_function("first");
    let second = recorder.record_function("second");
    drop(first);
    call().await;
    drop(second);
    call().await;
    let profile = profiling.finish();
    let [first, second] = &profile.spans[..] else { panic!("{:?}", profile.spans) };
    assert_eq!(second.parent, Some(first.id));
    let parents: Vec<_> = profile.calls.iter().map(|call| (call.parent, call.depth)).collect();
    assert_eq!(parents, [(Some(second.id), 2), (None, 0)]);
}

#[tokio::test(start_paused = true)]
async fn handlers_on_a_thread_that_is_in_a_span_are_not_in_it() {
    let workers = Workers::new(2).await;
    let (first, second) = (&workers.recorders[0], &workers.recorders[1]);
    let profiling = first.profile();
    let _mine = second.record_function("of another worker, which nobody profiles");
    let _span = first.record_function("on this thread");
    workers.client(0).rpc_async("worker0", relay, (vec![1], 1)).await.unwrap();
    let profile = profiling.finish();
    let call = |depth| profile.calls.iter().find(|call| call.depth == depth).unwrap();
    assert_eq!(call(2).parent, Some(call(1).id), "and not the span, although the handler ran on its thread");
}

#[tokio::test(start_paused = true)]
async fn a_future_is_in_its_span_at_each_poll_and_others_are_not() {
    let workers = Workers::new(2).await;
    let recorder = &workers.recorders[0];
    let profiling = recorder.profile();
    let inside = recorder.record_future("inside", async {
        tokio::time::sleep(2 * MS).await;
        workers.client(0).rpc_async("worker1", work, (1,)).await.unwrap();
    });
    let outside = async {
        tokio::time::sleep(3 * MS).await;
        workers.client(0).rpc_async("worker1", work, (1,)).await.unwrap();
    };
    tokio::join!(inside, outside);
    let profile = profiling.finish();
    let span = &profile.spans[0];
    assert_eq!(span.ended.since(span.began) / 1_000_000, 5);
    let parents: Vec<_> = profile.calls.iter().map(|call| call.parent).collect();
    assert_eq!(parents, [Some(span.id), None]);
}

/// PR-1.
#[tokio::test(start_paused = true)]
async fn pr1_a_span_is_nothing_while_nobody_profiles() {
    let workers = Workers::new(1).await;
    let before = workers.recorders[0].next_id();
    drop(workers.recorders[0].record_function("nobody asks"));
    workers.recorders[0].record_future("nobody asks", async {}).await;
    assert_eq!(workers.recorders[0].next_id().0, before.0 + 1, "no number was used");
}
