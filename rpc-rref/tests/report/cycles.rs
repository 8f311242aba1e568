//! Cycles of values, across workers.

use rpc_rref::report::Handles;
use rpc_rref::{RRef, report::OwnedValue};

use crate::common::{Node, Refs, new_node};

fn path(leak: &OwnedValue) -> Vec<String> {
    leak.cycle.iter().map(|step| step.rref.to_string()).collect()
}

/// `n` nodes on as many workers, each made by and known to its predecessor alone.
async fn ring(refs: &Refs, n: usize) -> Vec<RRef<Node>> {
    let mut nodes = Vec::new();
    for worker in 0..n {
        nodes.push(refs.registry(0).remote(worker as i64, new_node, ()).unwrap());
    }
    for (at, member) in nodes.iter().enumerate() {
        member.rpc_async().put(nodes[(at + 1) % n].clone()).await.unwrap();
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_two_workers_that_hold_each_other_are_named_as_a_cycle() {
    let refs = Refs::new(2).await;
    drop(ring(&refs, 2).await);
    let reports = refs.leave_all().await;
    for (worker, expected) in [(0, ["0:0@0", "0:0@1"]), (1, ["0:0@1", "0:0@0"])] {
        let [leak] = &reports[worker].leaks[..] else { panic!("{}", reports[worker]) };
        assert_eq!(path(leak), expected);
        let [holder] = &leak.holders[..] else { panic!("{leak}") };
        let Handles::At(handles) = &holder.handles else { panic!("{leak}") };
        assert_eq!(handles[0].inside, Some(leak.cycle[1].rref), "{leak}");
        let type_name = std::any::type_name::<Node>();
        let text =
            format!("on the cycle {0} ({type_name}) -> {1} ({type_name}) -> {0}", expected[0], expected[1]);
        assert!(leak.to_string().ends_with(&text), "{leak}");
    }
}

/// The workers of a long ring have not all heard of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_is_known_to_all_workers_on_it_however_long_and_in_whatever_order_they_leave() {
    for n in [1, 3, 5] {
        let refs = Refs::new(n).await;
        drop(ring(&refs, n).await);
        // As workers do that only serve.
        for worker in (1..n).rev() {
            refs.registry(worker).begin_leaving();
        }
        let reports = refs.leave_all().await;
        for (worker, report) in reports.iter().enumerate() {
            let [leak] = &report.leaks[..] else { panic!("{report}") };
            let expected: Vec<String> = (0..n).map(|at| format!("0:0@{}", (worker + at) % n)).collect();
            assert_eq!(path(leak), expected, "{leak}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_only_held_by_a_cycle_is_not_on_it() {
    let refs = Refs::new(3).await;
    let nodes = ring(&refs, 2).await;
    let aside = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    nodes[0].rpc_async().put(aside.clone()).await.unwrap();
    drop((nodes, aside));
    let reports = refs.leave_all().await;
    let [leak] = &reports[2].leaks[..] else { panic!("{}", reports[2]) };
    assert!(!leak.is_on_cycle(), "{leak}");
    assert!(leak.to_string().contains("inside 0:0@0"), "{leak}");
    assert!(reports[0].leaks[0].is_on_cycle());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_that_was_cut_leaks_nothing() {
    let refs = Refs::new(3).await;
    let nodes = ring(&refs, 3).await;
    nodes[1].rpc_async().clear().await.unwrap();
    drop(nodes);
    for report in refs.leave_all().await {
        assert_eq!(report.total(), 0, "{report}");
    }
}
