//! Tests of the tables.

mod answers;
mod deaths;
mod forged;
mod group;
mod matrix;
mod sim;
mod steps;
mod world;

use proptest::prelude::*;

use self::sim::Sim;
use self::steps::{Step, step, step_or_death};
use self::world::World;

const WORKERS: u32 = 4;

fn run(steps: &[Step]) {
    let mut world = World::new(WORKERS, true);
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
        run(&steps);
    }

    /// RC-1, RC-3, RC-4 when workers die as well, or are taken for dead.
    #[test]
    fn what_the_dead_held_is_let_go(steps in prop::collection::vec(step_or_death(), 0..120)) {
        run(&steps);
    }
}

/// The properties can fail: without RC-2 there is a schedule that frees early, and its seed repeats it.
#[test]
fn without_parents_that_wait_values_are_freed_early() {
    let sim = Sim { workers: WORKERS, parents_wait: false };
    let failure = sim.run(0..3_000, |_| {}).expect_err("a value is freed early");
    assert!(failure.reason.starts_with("RC-1"), "{}", failure.reason);
    assert!(failure.schedule.len() <= 15, "it is shortened: {:?}", failure.schedule);
    assert_eq!(sim.outcome(&failure.schedule), Err(failure.reason));
    assert!(sim.run(failure.seed..failure.seed + 1, |_| {}).is_err());
    let with_rule = Sim { parents_wait: true, ..sim };
    assert_eq!(with_rule.outcome(&failure.schedule), Ok(()));
}
