//! The process that cargo starts: picks cases and systems, has them take turns, and reports.

mod group;
mod pair;
mod process;
mod report;
mod results;
mod versions;

use anyhow::ensure;

use crate::case::{CASES, Case, Work};
use crate::child::Metric;
use crate::flags::Run;
use crate::machine;
use crate::systems::{Entry, Kind, SYSTEMS};

use self::results::Results;

/// How long a measurement takes, in seconds, without its start and its warm-up.
const SECONDS: f64 = 1.0;
const SECONDS_QUICK: f64 = 0.1;

/// Measures what `flags` ask for.
///
/// # Errors
/// If a measurement failed; the results of all others have been printed.
pub(crate) fn run(flags: &Run) -> anyhow::Result<()> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| is_asked_for(case, flags)).collect();
    let mut systems = systems(flags);
    ensure!(!cases.is_empty(), "no workload begins with that; --list names them");
    ensure!(!systems.is_empty(), "no system is called that; --list names them");
    if flags.list {
        cases.iter().for_each(|case| println!("{:<24} {}", case.id, case.what));
        systems.iter().for_each(|system| println!("{:<24} {:?}", system.name, system.kind));
        return Ok(());
    }
    systems.retain(|system| match (system.absent)() {
        Some(reason) => {
            eprintln!("skipped {}: {reason}", system.name);
            false
        }
        None => true,
    });
    let seconds = if flags.quick { SECONDS_QUICK } else { SECONDS };
    let about = report::About::new(flags.rounds(), seconds, &systems);
    if flags.json {
        eprintln!("{about}");
    } else {
        println!("{about}");
    }

    let mut failures = 0;
    for case in cases {
        let (mut able, unable): (Vec<_>, Vec<_>) =
            systems.iter().copied().partition(|system| (system.lacks)(case.work.needs()).is_none());
        let mut results = Results::new(case);
        for round in 0..flags.rounds() {
            able.retain(|system| match measure(system, case, seconds) {
                Ok(metrics) => {
                    results.add(round, system, metrics);
                    true
                }
                Err(error) => {
                    eprintln!("{} {}: {error:#}", case.id, system.name);
                    failures += 1;
                    false
                }
            });
            eprint!("{} round {} of {}, load {}   \r", case.id, round + 1, flags.rounds(), machine::load());
        }
        if flags.json {
            report::json(&results);
            for system in unable {
                eprintln!("{} without {}: {}", case.id, system.name, reason(system, case));
            }
        } else {
            report::table(&results);
            for system in unable {
                println!("  {:<16} {}", system.name, reason(system, case));
            }
        }
    }
    ensure!(failures == 0, "{failures} measurements failed");
    Ok(())
}

/// Measures once, with fresh processes.
fn measure(system: &Entry, case: &Case, seconds: f64) -> anyhow::Result<Vec<Metric>> {
    match case.work {
        Work::Start { members } => group::measure(system, case, members),
        _ => pair::measure(system, case, seconds),
    }
}

fn reason(system: &Entry, case: &Case) -> &'static str {
    (system.lacks)(case.work.needs()).unwrap_or_default()
}

fn is_asked_for(case: &Case, flags: &Run) -> bool {
    let asked = |prefix: &String| case.id.to_lowercase().starts_with(&prefix.to_lowercase());
    flags.workload.is_empty() || flags.workload.iter().any(asked)
}

/// The systems that are asked for, with the floors of ours.
fn systems(flags: &Run) -> Vec<&'static Entry> {
    let asked = |system: &Entry| {
        flags.system.is_empty() || flags.system.iter().any(|part| system.name.contains(part.as_str()))
    };
    let floors: Vec<_> = SYSTEMS
        .iter()
        .filter(|system| system.kind == Kind::Ours && asked(system))
        .filter_map(|system| system.floor)
        .collect();
    SYSTEMS.iter().filter(|system| asked(system) || floors.contains(&system.name)).collect()
}
