//! Many cases of the properties, each from a seed of its own. `cargo xtask sim` runs it.

use std::any::Any;
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::steps::{Step, step, step_or_death};
use super::world::World;

/// How long a thread runs cases before it looks at the others.
const CASES_AT_ONCE: u64 = 64;

/// Attempts to make a schedule that fails shorter.
const SHRINKS_MAX: usize = 10_000;

/// What all cases have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sim {
    pub(super) workers: u32,
    /// Rule RC-2.
    pub(super) parents_wait: bool,
}

/// A case that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    /// As short as it could be made.
    pub(super) schedule: Vec<Step>,
    /// The first line of what the shortened one panicked with.
    pub(super) reason: String,
}

impl Sim {
    /// Runs the cases of `seeds` until one fails; of several, that is the first. `progress` is told from time to
    /// time how many are done.
    pub(super) fn run(self, seeds: Range<u64>, progress: impl Fn(u64) + Sync) -> Result<(), Box<Failure>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicU64::new(seeds.start);
        let has_failed = AtomicBool::new(false);
        let failed = Mutex::new(None::<u64>);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let strategies = Strategies::new();
                    while !has_failed.load(Relaxed) {
                        // What is begun is finished, and all before it was begun before.
                        let first = next.fetch_add(CASES_AT_ONCE, Relaxed);
                        let cases = first..(first + CASES_AT_ONCE).min(seeds.end);
                        if cases.is_empty() {
                            return;
                        }
                        progress(first - seeds.start);
                        let fails = |seed: &u64| self.outcome(&strategies.schedule(*seed)).is_err();
                        if let Some(seed) = cases.into_iter().find(fails) {
                            has_failed.store(true, Relaxed);
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            *failed = Some(failed.map_or(seed, |other| other.min(seed)));
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(seed) => Err(Box::new(self.shrink(seed))),
            None => Ok(()),
        }
    }

    pub(super) fn outcome(self, schedule: &[Step]) -> Result<(), String> {
        let run = || {
            let mut world = World::new(self.workers, self.parents_wait);
            for step in schedule {
                world.apply(*step);
            }
            world.settle();
        };
        catch_unwind(run).map_err(|panic| reason(&*panic))
    }

    fn shrink(self, seed: u64) -> Failure {
        let strategies = Strategies::new();
        let mut tree = strategies.tree(seed);
        let mut schedule = tree.current();
        let mut reason =
            self.outcome(&schedule).err().unwrap_or_else(|| "it fails only sometimes".to_owned());
        let mut may_go_on = tree.simplify();
        for _ in 0..SHRINKS_MAX {
            if !may_go_on {
                break;
            }
            let shorter = tree.current();
            may_go_on = match self.outcome(&shorter) {
                Ok(()) => tree.complicate(),
                Err(why) => {
                    (schedule, reason) = (shorter, why);
                    tree.simplify()
                }
            };
        }
        Failure { seed, schedule, reason }
    }
}

/// Every other case has deaths.
struct Strategies([BoxedStrategy<Vec<Step>>; 2]);

impl Strategies {
    fn new() -> Self {
        let long = 0..120;
        Self([
            proptest::collection::vec(step(), long.clone()).boxed(),
            proptest::collection::vec(step_or_death(), long).boxed(),
        ])
    }

    fn tree(&self, seed: u64) -> impl ValueTree<Value = Vec<Step>> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        self.0[(seed % 2) as usize].new_tree(&mut runner).expect("nothing is filtered out")
    }

    fn schedule(&self, seed: u64) -> Vec<Step> {
        self.tree(seed).current()
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
    // The world follows, at length.
    text.lines().next().unwrap_or_default().trim_end_matches(": World {").to_owned()
}

/// Its parameters are variables of the environment: the harness of tests has no arguments for tests.
#[test]
#[ignore = "run it with `cargo xtask sim`"]
fn sim() {
    let number = |name: &str| {
        let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; use `cargo xtask sim`"));
        text.parse::<u64>().unwrap_or_else(|error| panic!("{name}={text}: {error}"))
    };
    let (first, cases) = (number("RREF_SIM_SEED"), number("RREF_SIM_CASES"));
    let workers = u32::try_from(number("RREF_SIM_WORKERS")).expect("RREF_SIM_WORKERS fits 32 bits");
    let started = Instant::now();
    let told = Mutex::new(Duration::ZERO);
    let progress = |done: u64| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = started.elapsed();
        if now - *told >= Duration::from_secs(5) {
            *told = now;
            eprintln!("sim: {done} of {cases} cases, {} s", now.as_secs());
        }
    };
    // Panics are how cases fail; thousands of them say nothing while one is shortened.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = Sim { workers, parents_wait: true }.run(first..first.saturating_add(cases), progress);
    std::panic::set_hook(hook);
    match result {
        Ok(()) => println!("sim: {cases} cases passed in {:.1} s", started.elapsed().as_secs_f64()),
        Err(failure) => {
            let mut text = String::new();
            for step in &failure.schedule {
                // Writing to a string does not fail.
                let _ = writeln!(text, "    {step:?},");
            }
            println!("sim: seed {:#x} fails: {}\n[\n{text}]", failure.seed, failure.reason);
            println!("sim-failed-seed={:#x}", failure.seed);
            std::process::exit(1);
        }
    }
}
