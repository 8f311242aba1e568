//! The runner: starts the processes of each scenario, bounds it in time, and reports.

pub(crate) mod args;
mod log;
pub mod process;
mod report;
pub mod security;
pub mod stage;
pub mod way;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use tokio::task::LocalSet;

use self::args::{Args, SecurityChoice};
use self::report::{Failure, Outcome, Report, output_of};
use self::security::Security;
use self::stage::Stage;
use self::way::Way;
use crate::Scenarios;
use crate::scenario::Scenario;

/// Runs what `args` choose. Whether all of it passed.
pub(crate) fn run(args: &Args, scenarios: &Scenarios) -> Result<bool> {
    scenarios.check()?;
    let all = if args.selftest { &scenarios.selftest } else { &scenarios.all };
    let scenarios: Vec<&Scenario> = all.iter().filter(|scenario| args.chooses(scenario.name)).collect();
    ensure!(!scenarios.is_empty(), "no scenario is called like that; --list prints all names");
    let (ways, securities) = (Way::chosen(&args.backend)?, args.securities());
    if args.list {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(true);
    }

    let mut runs: Vec<Run> = Vec::new();
    let settings = ways.iter().flat_map(|way| securities.iter().map(move |security| (way, *security)));
    for (way, security) in settings {
        for scenario in scenarios.iter().filter(|scenario| scenario.fits(way, security)) {
            let (scenario, way) = (Scenario::clone(scenario), way.clone());
            runs.push(Run {
                scenario,
                way,
                security,
                number: runs.len(),
                timeout: Duration::from_secs(args.timeout),
            });
        }
    }
    let (alone, together): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.scenario.alone);
    // One thread is enough: it waits. What works are the processes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let report = Rc::new(RefCell::new(Report::new(args.json)));
    for (runs, at_a_time) in [(together, args.jobs), (alone, 1)] {
        let local = LocalSet::new();
        let runs = Rc::new(RefCell::new(VecDeque::from(runs)));
        for _ in 0..at_a_time {
            let (runs, report) = (Rc::clone(&runs), Rc::clone(&report));
            local.spawn_local(async move {
                while let Some(run) = next(&runs) {
                    let outcome = run.perform().await;
                    report.borrow_mut().add(&outcome);
                }
            });
        }
        runtime.block_on(local);
    }
    let passed = report.borrow().close();
    Ok(passed)
}

fn next(runs: &RefCell<VecDeque<Run>>) -> Option<Run> {
    runs.borrow_mut().pop_front()
}

impl Args {
    fn chooses(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|text| name.contains(text.as_str()))
    }

    fn securities(&self) -> Vec<Security> {
        match self.security {
            SecurityChoice::One(security) => vec![security],
            SecurityChoice::All => Security::value_variants().to_vec(),
        }
    }
}

/// One scenario, going one way, secured in one way.
struct Run {
    scenario: Scenario,
    way: Way,
    security: Security,
    /// Distinguishes the runs of this runner.
    number: usize,
    timeout: Duration,
}

impl Run {
    async fn perform(self) -> Outcome {
        let began = Instant::now();
        let (notes, failure) = match Stage::new(&self.scenario, &self.way, self.security, self.number) {
            Ok(mut stage) => {
                let failure = self.judge(&mut stage).await;
                (stage.take_notes(), failure)
            }
            Err(error) => (Vec::new(), Some(Failure { error: format!("{error:#}"), output: String::new() })),
        };
        let took = began.elapsed();
        let (name, backend, security) = (self.scenario.name, self.way.name().to_owned(), self.security);
        Outcome { name, backend, security, took, notes, failure }
    }

    async fn judge(&self, stage: &mut Stage) -> Option<Failure> {
        let timeout = self.timeout;
        let result = match tokio::time::timeout(timeout, self.scenario.direct(stage)).await {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not done within {timeout:?}")),
        };
        let failure = match result {
            Ok(()) => None,
            Err(error) => {
                stage.hear_out().await;
                Some(Failure { error: format!("{error:#}"), output: output_of(stage) })
            }
        };
        stage.end().await;
        failure
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn args(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn filters_add_up() {
        assert!(args("integration").chooses("a::b"));
        let args = args("integration --filter a:: --filter c");
        assert!(args.chooses("a::b") && args.chooses("x::c") && !args.chooses("x::b"));
    }

    #[test]
    fn nothing_is_secured_unless_asked_for() {
        assert_eq!(args("integration").securities(), [Security::Open]);
        assert_eq!(args("integration --security ca").securities(), [Security::Ca]);
        let all = args("integration --security all").securities();
        assert_eq!(all, [Security::Open, Security::Token, Security::Ca]);
        assert!(Args::try_parse_from(["integration", "--security", "hope"]).is_err());
    }
}
