//! Tests of the tables.

mod steps;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use self::steps::{Step, step, step_or_death};
use self::world::World;

const WORKERS: u32 = 4;

fn run(steps: &[Step], parents_wait: bool) {
    let mut world = World::new(WORKERS, parents_wait);
    for step in steps {
        world.apply(*step);
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// RC-1, RC-2, RC-3 under any interleaving of sharing, dropping, loss, repetition and reordering.
    #[test]
    fn values_outlive_their_handles_and_nothing_leaks(steps in prop::collection::vec(step(), 0..120)) {
        run(&steps, true);
    }

    /// RC-1, RC-3, RC-4 when workers die as well, or are taken for dead.
    #[test]
    fn what_the_dead_held_is_let_go(steps in prop::collection::vec(step_or_death(), 0..120)) {
        run(&steps, true);
    }
}

/// The property can fail: without RC-2 a schedule that frees early is found.
#[test]
fn without_parents_that_wait_values_are_freed_early() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let early = (0..3_000).any(|_| {
        let steps = prop::collection::vec(step(), 0..120).new_tree(&mut runner).expect("a tree").current();
        std::panic::catch_unwind(|| run(&steps, false)).is_err()
    });
    assert!(early);
}
