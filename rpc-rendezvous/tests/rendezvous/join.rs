//! Joining: who gets in, who is refused and why, and what one is told while waiting.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Protection, Store, WorkerId, WorkerInfo, WorkerName};
use rpc_rendezvous::{JoinError, Joined, Joining, MemoryStore, TcpStoreServer, join, refuse};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{LONG, Mortal, client, server, worker};

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

/// Joins all of `workers` at once and returns what became of each, in their order.
async fn join_all(store: &Arc<dyn Store>, workers: Vec<Joining>) -> Vec<Result<Joined, JoinError>> {
    let mut tasks = Vec::new();
    for me in workers {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move { join(&store, me).await }));
    }
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn name(name: &str) -> WorkerName {
    WorkerName::new(name).unwrap()
}

fn info(worker: &str, rank: u32) -> WorkerInfo {
    WorkerInfo::new(name(worker), WorkerId(rank))
}

#[tokio::test(start_paused = true)]
async fn all_workers_get_the_same_group() {
    let store = store();
    let workers =
        ["d", "c", "b", "a"].into_iter().zip(0..).map(|(name, rank)| worker(name, rank, 4)).collect();
    for joined in join_all(&store, workers).await {
        let group = joined.unwrap().group;
        assert_eq!(group.job(), "job");
        let names: Vec<&str> = group.members().iter().map(|member| member.info.name.as_str()).collect();
        assert_eq!(names, ["d", "c", "b", "a"]);
        assert_eq!(group.members()[3].address, "10.0.0.3:1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_world_of_one_waits_for_nobody() {
    assert_eq!(join(&store(), worker("w", 0, 1)).await.unwrap().group.world_size(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_name_for_two_ranks_fails_all_within_seconds_and_names_both() {
    let began = Instant::now();
    let store = store();
    let results = join_all(&store, vec![worker("a", 0, 3), worker("b", 1, 3), worker("a", 2, 3)]).await;
    let both = JoinError::DuplicateName { name: name("a"), first: WorkerId(0), second: WorkerId(2) };
    for result in results {
        match result.unwrap_err() {
            // Whoever looked after one of them had given up reads its words.
            JoinError::Refused { reason, .. } => assert_eq!(reason, both.to_string()),
            error => assert_eq!(error, both),
        }
    }
    // Only those two refuse: the other one is not what keeps the rest from being a group.
    assert!(store.get("job/gen0/rank/2").await.unwrap().is_some());
    assert_eq!(store.get("job/gen0/rank/1").await.unwrap(), None);
    assert!(began.elapsed() < Duration::from_secs(3), "not the timeout: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_later_of_two_workers_of_one_rank_is_refused_and_the_others_meet() {
    let store = store();
    let (first, intruder) = (worker("first", 1, 2), worker("intruder", 1, 2));
    let task = tokio::spawn({
        let store = Arc::clone(&store);
        async move { join(&store, first).await }
    });
    tokio::task::yield_now().await;
    let error = join(&store, intruder).await.unwrap_err();
    let (first, second) = (name("first"), name("intruder"));
    assert_eq!(error, JoinError::DuplicateRank { job: "job".into(), rank: WorkerId(1), first, second });
    join(&store, worker("zero", 0, 2)).await.unwrap();
    assert_eq!(task.await.unwrap().unwrap().group.members()[1].info.name, name("first"));
}

#[tokio::test(start_paused = true)]
async fn different_world_sizes_fail_both_and_name_both() {
    let results = join_all(&store(), vec![worker("a", 0, 2), worker("b", 1, 3)]).await;
    for result in results {
        let (first, second) = (info("a", 0), info("b", 1));
        let error = JoinError::WorldSizeMismatch { first, first_size: 2, second, second_size: 3 };
        assert_eq!(result.unwrap_err(), error);
    }
}

#[tokio::test(start_paused = true)]
async fn different_backends_fail_both_and_name_both() {
    let odd = Joining { backend: "quic".into(), ..worker("b", 1, 2) };
    for result in join_all(&store(), vec![worker("a", 0, 2), odd]).await {
        let error = result.unwrap_err().to_string();
        let text = "a (rank 0) uses the backend tcp, b (rank 1) uses quic; start all with one backend";
        assert_eq!(error, text);
    }
}

#[tokio::test(start_paused = true)]
async fn different_protections_fail_both_and_name_both() {
    let odd = Joining { protection: Protection::Encryption, ..worker("b", 1, 2) };
    for result in join_all(&store(), vec![worker("a", 0, 2), odd]).await {
        let error = result.unwrap_err();
        let expected = JoinError::ProtectionMismatch {
            first: info("a", 0),
            first_protection: Protection::None,
            second: info("b", 1),
            second_protection: Protection::Encryption,
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("RPC_JOIN_TOKEN"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn ranks_and_worlds_out_of_range_are_refused_at_once() {
    let error = join(&store(), worker("a", 2, 2)).await.unwrap_err();
    assert_eq!(error, JoinError::RankOutOfRange { name: name("a"), rank: 2, world_size: 2 });
    let error = join(&store(), worker("a", 0, u32::MAX)).await.unwrap_err();
    assert!(matches!(error, JoinError::WorldTooLarge { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_timeout_lists_who_is_missing_and_who_came() {
    let store = store();
    let began = Instant::now();
    let results = join_all(&store, vec![worker("a", 0, 4), worker("b", 3, 4)]).await;
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    for result in results {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("job job: after 20s rank 1, rank 2 are missing; "), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_gave_up_can_come_again_in_another_life() {
    let store = store();
    let alone = join(&store, worker("a", 0, 2)).await.unwrap_err();
    assert!(
        matches!(alone, JoinError::TimedOut { missing, present, .. } if missing == [1] && present == [name("a")])
    );
    for joined in join_all(&store, vec![worker("a", 0, 2), worker("b", 1, 2)]).await {
        assert_eq!(joined.unwrap().generation(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_broken_rule_is_mended_the_job_can_be_joined() {
    let store = store();
    for result in join_all(&store, vec![worker("a", 0, 2), worker("a", 1, 2)]).await {
        result.unwrap_err();
    }
    // Rank 0 is there first and sees what is left of the other's refusal.
    for joined in join_all(&store, vec![worker("a", 0, 2), worker("b", 1, 2)]).await {
        joined.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_join_takes_its_claim_back() {
    let store = store();
    let early = tokio::time::timeout(Duration::from_secs(1), join(&store, worker("a", 0, 2))).await;
    assert!(early.is_err());
    for joined in join_all(&store, vec![worker("a", 0, 2), worker("b", 1, 2)]).await {
        joined.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn workers_that_left_join_the_next_generation() {
    let store = store();
    for generation in 0..3 {
        let pair = vec![worker("a", 0, 2), worker("b", 1, 2)];
        let incarnation = pair[0].incarnation;
        let joined: Vec<Joined> = join_all(&store, pair).await.into_iter().map(Result::unwrap).collect();
        for place in &joined {
            assert_eq!(place.generation(), generation);
            assert_eq!(place.group.members()[0].incarnation, incarnation);
        }
        tokio::join!(joined[0].leave(), joined[1].leave());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_did_not_leave_keeps_its_rank() {
    let store = store();
    for joined in join_all(&store, vec![worker("a", 0, 2), worker("b", 1, 2)]).await {
        joined.unwrap();
    }
    let error = join(&store, worker("restarted", 1, 2)).await.unwrap_err();
    assert!(error.to_string().starts_with("workers b and restarted both claim rank 1 of job job"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn leaving_ends_in_bounded_time_when_the_others_do_not() {
    let store = store();
    let joined = join_all(&store, vec![worker("a", 0, 2), worker("b", 1, 2)]).await;
    let began = Instant::now();
    joined[0].as_ref().unwrap().leave().await;
    assert!(began.elapsed() <= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_value_in_a_claims_place_is_an_error_that_names_the_key() {
    let store = store();
    store.set("job/gen0/rank/1", b"something").await.unwrap();
    let error = join(&store, worker("a", 0, 2)).await.unwrap_err();
    assert_eq!(error, JoinError::Unreadable { key: "gen0/rank/1".into() });
}

/// Rank 0 may host the store and end soon, so it gives rank 1 time to read the claims, but not for ever.
#[tokio::test(start_paused = true)]
async fn rank_0_goes_on_when_the_others_have_read_all_claims_or_after_two_seconds() {
    let pattern = store();
    for joined in join_all(&pattern, vec![worker("a", 0, 2), worker("b", 1, 2)]).await {
        joined.unwrap();
    }
    let claim_of_b = pattern.get("job/gen0/rank/1").await.unwrap().unwrap();
    for (seen_after_ms, takes_ms) in [(700, 700..800), (60_000, 2000..2100)] {
        let store = store();
        store.set("job/gen0/rank/1", &claim_of_b).await.unwrap();
        let began = Instant::now();
        let seen = async {
            tokio::time::sleep(Duration::from_millis(seen_after_ms)).await;
            store.set("job/gen0/seen/1", b"1").await.unwrap();
        };
        let joined = async {
            join(&store, worker("a", 0, 2)).await.unwrap();
            began.elapsed().as_millis()
        };
        let (took_ms, ()) = tokio::join!(joined, seen);
        assert!(takes_ms.contains(&took_ms), "{took_ms} ms");
    }
}

/// Rank 0 hosts the store and ends at once after its error; rank 2 looks when all is over for the others.
#[tokio::test]
async fn when_the_host_of_the_store_fails_the_others_learn_why_before_it_goes() {
    let (server, address) = server().await;
    let content: Arc<dyn Store> = Arc::new(server.store());
    let (one, two) = (client(&address).await, client(&address).await);
    let began = std::time::Instant::now();
    let zero = tokio::spawn(async move {
        let error = join(&content, worker("zero", 0, 2)).await.unwrap_err();
        server.close().await;
        error
    });
    let error = join(&one, worker("one", 1, 3)).await.unwrap_err();
    let late = join(&two, worker("two", 2, 3)).await.unwrap_err();
    assert!(matches!(error, JoinError::WorldSizeMismatch { .. }), "{error}");
    let JoinError::Refused { worker, reason } = late else { panic!("{late}") };
    assert_eq!((worker, reason), (info("zero", 0), error.to_string()));
    assert_eq!(zero.await.unwrap(), error);
    assert!(began.elapsed() < LONG / 2, "nobody waits for the timeout: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_after_rank_0_failed_learns_why_and_rank_0_stays_two_seconds_at_most() {
    let (store, began) = (store(), Instant::now());
    let early = join_all(&store, vec![worker("zero", 0, 4), worker("a", 1, 4), worker("a", 2, 4)]);
    let late = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        join(&store, worker("late", 3, 4)).await
    };
    let (mut results, late) = tokio::join!(early, late);
    results.push(late);
    for result in results {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("ranks 1 and 2 both use the worker name a"), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_even_listen_tells_the_others_why() {
    for failing in [0, 1] {
        let (store, began) = (store(), Instant::now());
        let (odd, other) = (worker("odd", failing, 2), worker("other", 1 - failing, 2));
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { join(&store, other).await }
        });
        tokio::task::yield_now().await;
        refuse(&store, &odd, "the port is taken").await;
        let error = waiting.await.unwrap().unwrap_err().to_string();
        assert_eq!(error, format!("odd (rank {failing}) could not join: the port is taken"));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_good_is_not_waited_for_until_the_timeout() {
    let store = Arc::new(Mortal::default());
    let waiting = Joining { timeout: Duration::from_secs(300), ..worker("one", 1, 2) };
    let dying: Arc<dyn Store> = Arc::<Mortal>::clone(&store);
    let one = tokio::spawn(async move { join(&dying, waiting).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    store.die();
    let began = Instant::now();
    let error = one.await.unwrap().unwrap_err();
    assert!(matches!(error, JoinError::StoreGone { .. }), "{error}");
    assert!((10..25).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// Its host has left, so it may be long until it comes again.
#[tokio::test(start_paused = true)]
async fn a_store_of_an_earlier_generation_may_stay_away_until_the_timeout() {
    let store = Arc::new(Mortal::default());
    let shared: Arc<dyn Store> = Arc::<Mortal>::clone(&store);
    let pair = join_all(&shared, vec![worker("zero", 0, 2), worker("one", 1, 2)]).await;
    for joined in pair {
        joined.unwrap().leave().await;
    }
    let again = Joining { timeout: Duration::from_secs(300), ..worker("one", 1, 2) };
    let one = tokio::spawn(async move { join(&shared, again).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.die();
    tokio::time::sleep(Duration::from_secs(200)).await;
    store.live_again();
    let new: Arc<dyn Store> = store;
    join(&new, worker("zero", 0, 2)).await.unwrap();
    one.await.unwrap().unwrap();
}

/// Rank 1 meets the store of an earlier generation, which its host closes while rank 1 waits there.
#[tokio::test]
async fn a_store_that_is_closed_while_one_waits_means_starting_over_with_the_next() {
    let (old, address) = server().await;
    let old_content = old.store();
    let store = client(&address).await;
    let one = tokio::spawn(async move { join(&store, worker("one", 1, 2)).await });
    old_content.wait(&["job/gen0/rank/1".into()], crate::support::LONG).await.unwrap();
    old.close().await;
    let new = TcpStoreServer::bind(&address).await.unwrap();
    let content: Arc<dyn Store> = Arc::new(new.store());
    let zero = join(&content, worker("zero", 0, 2)).await.unwrap();
    assert_eq!(one.await.unwrap().unwrap().group.members(), zero.group.members());
}

#[tokio::test]
async fn a_store_that_stays_away_is_an_error_of_the_store() {
    let (server, address) = server().await;
    let store = client(&address).await;
    server.close().await;
    let me = Joining { timeout: Duration::from_millis(100), ..worker("one", 1, 2) };
    let error = join(&store, me).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("the store at {address}, which")), "{error}");
}

#[tokio::test]
async fn sixty_four_workers_join_over_one_server() {
    let (_server, address) = server().await;
    let mut workers = JoinSet::new();
    for rank in 0..64 {
        let address = address.clone();
        workers.spawn(async move {
            let store = client(&address).await;
            join(&store, worker(&format!("w{rank}"), rank, 64)).await.unwrap().group.world_size()
        });
    }
    assert!(workers.join_all().await.iter().all(|size| *size == 64));
}
