//! What every store has to do, run against each of them.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{PrefixStore, Store, StoreError};
use rpc_rendezvous::{FileStore, MemoryStore};

use crate::support::{LONG, client, server};

/// Two ways to one empty store, and what has to live as long.
struct Rig {
    a: Arc<dyn Store>,
    b: Arc<dyn Store>,
    _alive: Box<dyn std::any::Any + Send>,
}

impl Rig {
    fn new(a: impl Store, b: impl Store, alive: impl Send + 'static) -> Self {
        Self { a: Arc::new(a), b: Arc::new(b), _alive: Box::new(alive) }
    }
}

async fn memory() -> Rig {
    let store = MemoryStore::default();
    Rig::new(store.clone(), store, ())
}

/// Two openings of one file have locks and offsets of their own, as two processes have.
async fn file() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    Rig::new(FileStore::open(&path).unwrap(), FileStore::open(&path).unwrap(), dir)
}

async fn tcp() -> Rig {
    let (server, address) = server().await;
    Rig { a: client(&address).await, b: client(&address).await, _alive: Box::new(server) }
}

/// Beside another job with the same keys.
async fn prefix() -> Rig {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    for key in ["k", "n", "x", "y"] {
        store.set(&format!("other/{key}"), b"not yours").await.unwrap();
    }
    let part = || PrefixStore::new("mine", Arc::clone(&store));
    Rig::new(part(), part(), ())
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => { suite!(@stores [memory file tcp prefix] ($($test)*)); };
    (@stores [$($store:ident)*] $tests:tt) => { $(suite!(@store $store $tests);)* };
    (@store $store:ident ($($test:ident)*)) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(super::$store().await).await;
                }
            )*
        }
    };
}

suite! {
    a_value_set_on_one_side_is_there_on_the_other,
    deleting_says_whether_there_was_a_value,
    a_wait_ends_when_the_last_key_comes,
    a_wait_that_times_out_lists_the_keys_without_a_value,
    a_wait_without_time_returns_what_is_there,
    a_dropped_wait_leaves_the_store_usable,
    counters_count_from_both_sides,
    a_counter_is_decimal_text_and_other_text_is_no_counter,
    compare_set_tells_the_loser_who_won,
    of_many_that_claim_a_key_one_wins,
    what_is_too_long_is_refused_by_the_name_of_the_bound,
}

async fn a_value_set_on_one_side_is_there_on_the_other(Rig { a, b, _alive }: Rig) {
    assert_eq!(b.get("k").await, Ok(None));
    for value in [&b"first"[..], b"", &[0, 255, 10], &[7; 200_000]] {
        a.set("k", value).await.unwrap();
        assert_eq!(b.get("k").await, Ok(Some(value.to_vec())));
    }
}

async fn deleting_says_whether_there_was_a_value(Rig { a, b, _alive }: Rig) {
    assert_eq!(a.delete("k").await, Ok(false));
    a.set("k", b"").await.unwrap();
    assert_eq!(b.delete("k").await, Ok(true));
    assert_eq!(a.get("k").await, Ok(None));
}

async fn a_wait_ends_when_the_last_key_comes(Rig { a, b, _alive }: Rig) {
    let keys = ["y".to_owned(), "x".to_owned()];
    let set = async {
        b.set("x", b"1").await.unwrap();
        b.set("y", b"2").await.unwrap();
    };
    let (values, ()) = tokio::join!(a.wait(&keys, LONG), set);
    assert_eq!(values.unwrap(), [b"2", b"1"], "in the order of the keys");
}

async fn a_wait_that_times_out_lists_the_keys_without_a_value(Rig { a, b, _alive }: Rig) {
    b.set("there", b"1").await.unwrap();
    let keys = ["x", "there", "y"].map(String::from);
    let timeout = Duration::from_millis(20);
    let error = a.wait(&keys, timeout).await.unwrap_err();
    assert_eq!(error, StoreError::TimedOut { after: timeout, missing: vec!["x".into(), "y".into()] });
}

async fn a_wait_without_time_returns_what_is_there(Rig { a, b, _alive }: Rig) {
    b.set("x", b"1").await.unwrap();
    assert_eq!(a.wait(&["x".into()], Duration::ZERO).await.unwrap(), [b"1"]);
    assert_eq!(a.wait(&[], Duration::ZERO).await.unwrap(), Vec::<Vec<u8>>::new());
}

async fn a_dropped_wait_leaves_the_store_usable(Rig { a, b, _alive }: Rig) {
    let keys = ["x".to_owned()];
    assert!(tokio::time::timeout(Duration::from_millis(5), a.wait(&keys, LONG)).await.is_err());
    a.set("x", b"1").await.unwrap();
    assert_eq!(b.get("x").await, Ok(Some(b"1".to_vec())));
}

async fn counters_count_from_both_sides(Rig { a, b, _alive }: Rig) {
    assert_eq!(a.add("n", 0).await, Ok(0));
    let count = |store: Arc<dyn Store>| async move {
        for _ in 0..50 {
            store.add("n", 2).await.unwrap();
            store.add("n", -1).await.unwrap();
        }
    };
    tokio::join!(count(Arc::clone(&a)), count(Arc::clone(&b)), count(Arc::clone(&a)));
    assert_eq!(b.add("n", 0).await, Ok(150));
}

async fn a_counter_is_decimal_text_and_other_text_is_no_counter(Rig { a, b, _alive }: Rig) {
    a.add("n", -12).await.unwrap();
    assert_eq!(b.get("n").await, Ok(Some(b"-12".to_vec())));
    b.set("n", b"7").await.unwrap();
    assert_eq!(a.add("n", 1).await, Ok(8));
    b.set("k", b"seven").await.unwrap();
    assert!(matches!(a.add("k", 1).await, Err(StoreError::NotANumber { .. })));
    assert_eq!(b.get("k").await, Ok(Some(b"seven".to_vec())), "and stays what it is");
}

async fn compare_set_tells_the_loser_who_won(Rig { a, b, _alive }: Rig) {
    assert_eq!(a.compare_set("k", None, b"a").await.unwrap(), b"a");
    assert_eq!(b.compare_set("k", None, b"b").await.unwrap(), b"a");
    assert_eq!(b.compare_set("k", Some(b"x"), b"b").await.unwrap(), b"a");
    assert_eq!(b.compare_set("k", Some(b"a"), b"b").await.unwrap(), b"b");
    assert_eq!(a.get("k").await, Ok(Some(b"b".to_vec())));
    assert_ne!(a.compare_set("none", Some(b"x"), b"new").await.unwrap(), b"new");
    assert_eq!(a.get("none").await, Ok(None));
}

async fn of_many_that_claim_a_key_one_wins(Rig { a, b, _alive }: Rig) {
    let mut claims = tokio::task::JoinSet::new();
    for at in 0..16_u8 {
        let store = Arc::clone(if at % 2 == 0 { &a } else { &b });
        claims.spawn(async move { (store.compare_set("k", None, &[at]).await.unwrap(), at) });
    }
    let claims = claims.join_all().await;
    let winners: Vec<u8> = claims.iter().filter(|(now, at)| *now == [*at]).map(|(_, at)| *at).collect();
    assert_eq!(winners.len(), 1, "{claims:?}");
    assert!(claims.iter().all(|(now, _)| *now == winners), "all know who: {claims:?}");
}

async fn what_is_too_long_is_refused_by_the_name_of_the_bound(Rig { a, b, _alive }: Rig) {
    let bound = |result: Result<(), StoreError>| match result {
        Err(StoreError::Full { bound, .. }) => bound,
        other => panic!("{other:?}"),
    };
    assert_eq!(bound(a.set(&"k".repeat(1025), b"").await), "key_bytes");
    assert_eq!(bound(a.set("k", &vec![0; (1 << 20) + 1]).await), "value_bytes");
    let keys: Vec<String> = (0..4097).map(|at| at.to_string()).collect();
    assert_eq!(bound(a.wait(&keys, LONG).await.map(drop)), "wait_keys");
    assert_eq!(b.get("k").await, Ok(None), "and the store goes on");
}
