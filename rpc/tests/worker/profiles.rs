//! What profiles have of each kind of call that a worker makes.

use rpc::Profile;
use rpc::prelude::*;
use rpc::rpc_profiler::model::{Call, Stage};

use crate::support::{cluster, cluster_with, shut_down};

#[derive(Serialize, Deserialize)]
struct Counter(u64);

#[rpc::methods(inline)]
impl Counter {
    fn read(&self) -> u64 {
        self.0
    }

    fn double(&self) -> u64 {
        2 * self.0
    }

    fn refuse(&self) -> Result<u64, String> {
        Err("not today".to_owned())
    }
}

#[rpc::function(inline)]
fn new_counter(n: u64) -> Counter {
    Counter(n)
}

#[rpc::function(inline)]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function]
fn burst() {
    panic!("burst")
}

/// The only call with this key, without the module of its function.
fn only<'a>(profile: &'a Profile, key: &str) -> &'a Call {
    let short = |call: &Call| profile.key(call).to_string().replace(concat!(module_path!(), "::"), "");
    let found: Vec<_> = profile.calls.iter().filter(|call| short(call) == key).collect();
    let all = || profile.calls.iter().map(|call| format!("{} {}", short(call), profile.name(call.outcome)));
    assert_eq!(found.len(), 1, "of {key} in {:#?}", all().collect::<Vec<_>>());
    found[0]
}

/// Which stages are known of a call. Of the queue not all transports tell, and calls of a worker to itself have none.
fn known(call: &Call) -> Vec<Stage> {
    let known = Stage::ALL.into_iter().filter(|stage| call.times.stage_ns(*stage).is_some());
    known.filter(|stage| *stage != Stage::Queue).collect()
}

fn outcome<'a>(profile: &'a Profile, call: &Call) -> (&'a str, &'a str) {
    (profile.name(call.outcome), call.error.map_or("", |error| profile.name(error)))
}

const ALL: [Stage; 6] =
    [Stage::Encode, Stage::WireOut, Stage::Wait, Stage::Run, Stage::WireBack, Stage::Decode];

/// Until all calls have ended: what nobody waits for does so by itself.
fn settle(profiling: &rpc::Profiling) {
    while profiling.so_far().under_way > 0 {
        std::thread::yield_now();
    }
}

/// All that a worker can do with another one, on a thread that blocks.
fn each_kind(worker: &Worker) {
    let to = "worker1";
    let profiling = worker.profile();
    let _step = worker.record_function("step");
    assert_eq!(worker.rpc_sync(to, add, (1, 2)).unwrap(), 3);
    assert_eq!(worker.rpc_async(to, add, (1, 2)).wait().unwrap(), 3);
    let counter: RRef<Counter> = worker.remote(to, new_counter, (21,)).unwrap();
    assert_eq!(counter.rpc_sync().read().unwrap(), 21);
    assert_eq!(counter.rpc_async().read().wait().unwrap(), 21);
    let doubled: RRef<u64> = counter.remote().double().unwrap();
    assert_eq!(doubled.to_here().wait().unwrap(), 42);
    counter.rpc_sync().refuse().unwrap_err();
    worker.rpc_async(to, hang, ()).timeout(Duration::from_millis(20)).wait().unwrap_err();
    worker.rpc_async(to, burst, ()).wait().unwrap_err();
    settle(&profiling);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_profile_has_each_kind_of_call_under_its_key() {
    let workers = cluster::<2>().await;
    let worker = workers[0].clone();
    let run = move || worker.profiled_blocking(|| each_kind(&worker));
    let ((), profile) = tokio::task::spawn_blocking(run).await.unwrap();

    let step = &profile.spans[0];
    assert_eq!((profile.spans.len(), profile.name(step.name), step.depth), (1, "step", 0));
    for key in
        ["rpc_sync#add", "rpc_async#add", "rref_rpc_sync#Counter::read", "rref_rpc_async#Counter::read"]
    {
        let call = only(&profile, &format!("{key}(worker0 -> worker1)"));
        assert_eq!((known(call), outcome(&profile, call)), (ALL.to_vec(), ("ok", "")), "{key}");
        assert!(call.request.bytes > 0 && call.response.bytes > 0, "{key}");
    }
    let fetched = only(&profile, "rref_to_here#to_here(worker0 -> worker1)");
    assert_eq!((known(fetched), outcome(&profile, fetched)), (ALL.to_vec(), ("ok", "")));
    for key in ["rpc_remote#new_counter", "rref_remote#Counter::double"] {
        let call = only(&profile, &format!("{key}(worker0 -> worker1)"));
        assert_eq!(known(call)[..5], ALL[..5], "{key}: and nothing is returned that could be taken");
        assert_eq!(outcome(&profile, call), ("ok", ""), "{key}");
    }

    let refused = only(&profile, "rref_rpc_sync#Counter::refuse(worker0 -> worker1)");
    assert_eq!((known(refused), outcome(&profile, refused)), (ALL.to_vec(), ("error", "not today")));
    let panicked = only(&profile, "rpc_async#burst(worker0 -> worker1)");
    let (marked, why) = outcome(&profile, panicked);
    assert!(
        (marked, known(panicked)) == ("panicked", ALL.to_vec()) && why.contains("burst"),
        "{marked}: {why}"
    );
    let late = only(&profile, "rpc_async#hang(worker0 -> worker1)");
    let (marked, why) = outcome(&profile, late);
    assert!(marked == "timed_out" && why.contains("no reply within 20ms"), "{marked}: {why}");
    assert_eq!(known(late), [Stage::Encode, Stage::Decode], "of what the callee did nothing has come back");

    assert_eq!(profile.calls.len(), 10);
    for call in &profile.calls {
        assert_eq!((call.parent, call.depth), (Some(step.id), 1), "{}", profile.key(call));
        assert!(call.times.total_ns() > 0);
    }
    shut_down(workers).await;
}

#[cfg(feature = "collectives")]
#[tokio::test]
async fn collectives_are_in_the_profiles_of_both_sides() {
    let [leader, member] = cluster::<2>().await;
    let (served, made) = (leader.server_profile(), member.profile());
    for _ in 0..2 {
        let (ours, theirs) = tokio::join!(leader.barrier(), member.barrier());
        ours.unwrap();
        theirs.unwrap();
    }
    let (ours, theirs) = tokio::join!(leader.all_gather(1_u8), member.all_gather(2_u8));
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let (served, made) = (served.finish(), made.finish());

    let keys = |profile: &Profile| {
        let mut keys: Vec<_> = profile.calls.iter().map(|call| profile.key(call).to_string()).collect();
        keys.retain(|key| !key.contains("#watch(")); // the leader has looked for who was slow
        keys.sort_unstable();
        keys
    };
    let [all_gather, barrier] =
        ["all_gather", "barrier"].map(|name| format!("collective#{name}(worker1 -> worker0)"));
    assert_eq!(keys(&made), [all_gather, barrier.clone(), barrier]);
    let of = |name: &str, from: u32| format!("serve#{name}(worker{from} -> worker0)");
    let twice = ["barrier", "barrier"];
    let expected = ["all_gather", "all_gather"].into_iter().zip([0, 1]).map(|(name, from)| of(name, from));
    let expected: Vec<_> =
        expected.chain([0, 1].into_iter().flat_map(|from| twice.map(|name| of(name, from)))).collect();
    assert_eq!(keys(&served), expected);

    for call in &made.calls {
        assert_eq!((known(call), outcome(&made, call), call.depth), (ALL.to_vec(), ("ok", ""), 0));
        let there = served.calls.iter().find(|there| there.id == call.id).unwrap();
        assert_eq!((known(there), there.from), (vec![Stage::Wait, Stage::Run], 1), "and under the same id");
    }
    shut_down([leader, member]).await;
}

#[tokio::test]
async fn a_worker_keeps_as_many_calls_as_it_was_told_and_counts_the_others() {
    const CALLS: u64 = 2_500;
    let workers = cluster_with::<2>(|builder| builder.calls_kept(100)).await;
    let profiling = workers[0].profile();
    for first in (0..CALLS).step_by(50) {
        let calls: Vec<_> = (first..first + 50).map(|n| workers[0].rpc_async(1, add, (n, 1))).collect();
        for call in calls {
            call.await.unwrap();
        }
    }
    let profile = profiling.finish();
    let kept = profile.calls.len() as u64;
    assert!((100..CALLS).contains(&kept), "{kept} are kept");
    assert_eq!(kept + profile.dropped, CALLS);
    shut_down(workers).await;
}

/// Workers of one process are on one machine, whose clock they share: there is nothing to estimate.
#[tokio::test]
async fn clocks_of_one_machine_are_one() {
    let workers = cluster::<2>().await;
    let (sum, profile) = workers[0].profiled(async || workers[0].rpc_async(1, add, (1, 2)).await).await;
    assert_eq!(sum.unwrap(), 3);
    let [home, other] = [0, 1].map(|rank| profile.worker(rank).unwrap());
    assert_eq!((home.clock.offset_ns, home.clock.error_ns), (0, Some(0)));
    // Where the system says which machine it is, and lets its clock be read closely.
    if home.machine.is_some() && home.machine == other.machine {
        let error = other.clock.error_ns.unwrap();
        assert!(error <= 1_000 && other.clock.offset_ns.unsigned_abs() <= 1_000, "{:?}", other.clock);
    }
    shut_down(workers).await;
}
