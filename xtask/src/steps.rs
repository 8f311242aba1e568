//! Runs named steps one after the other, times them, and says at the end what became of each.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;

/// How a step ended that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Passed,
    /// It could not run here, for this reason.
    Skipped(&'static str),
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    step: String,
    result: String,
    took: Option<Duration>,
}

/// Runs `steps` with `run` until one fails, and prints a table of all of them.
///
/// # Errors
/// Names the step that failed and the command that repeats it; why it failed was printed before.
pub(crate) fn run_all<S: Copy>(
    steps: &[S],
    name: impl Fn(S) -> String,
    mut run: impl FnMut(S) -> anyhow::Result<Done>,
) -> anyhow::Result<()> {
    let mut rows = Vec::with_capacity(steps.len());
    let mut failed = None;
    for &step in steps {
        let name = name(step);
        if failed.is_some() {
            rows.push(Row { step: name, result: "not run".to_owned(), took: None });
            continue;
        }
        eprintln!("\n=== {name} ===");
        let started = Instant::now();
        let result = run(step);
        let took = started.elapsed();
        let result = match result {
            Ok(Done::Passed) => "passed".to_owned(),
            Ok(Done::Skipped(reason)) => format!("skipped: {reason}"),
            Err(error) => {
                eprintln!("{error:#}");
                failed = Some(name.clone());
                "FAILED".to_owned()
            }
        };
        eprintln!("=== {name}: {result} ({}) ===", seconds(took));
        rows.push(Row { step: name, result, took: Some(took) });
    }
    eprint!("\n{}", table(&rows));
    match failed {
        Some(name) => bail!("step {name} failed; repeat it with: cargo xtask ci --only {name}"),
        None => Ok(()),
    }
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.step.len()).max().unwrap_or(0).max("total".len());
    let mut text = String::new();
    for Row { step, result, took } in rows {
        let took = took.map_or_else(|| "-".to_owned(), seconds);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{step:width$}  {took:>8}  {result}");
    }
    let total: Duration = rows.iter().filter_map(|row| row.took).sum();
    let _ = writeln!(text, "{:width$}  {:>8}", "total", seconds(total));
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn nothing_runs_after_a_failure_and_the_error_says_how_to_repeat_it() {
        let mut ran = Vec::new();
        let error = run_all(&["a", "b", "c"], str::to_owned, |step| {
            ran.push(step);
            if step == "b" { Err(anyhow!("no")) } else { Ok(Done::Passed) }
        })
        .unwrap_err();
        assert_eq!(ran, ["a", "b"]);
        assert_eq!(error.to_string(), "step b failed; repeat it with: cargo xtask ci --only b");
    }

    #[test]
    fn the_table_has_a_line_for_each_step_and_the_sum() {
        let row =
            |step: &str, result: &str, took| Row { step: step.to_owned(), result: result.to_owned(), took };
        let rows =
            [row("fmt", "passed", Some(Duration::from_millis(1500))), row("integration", "not run", None)];
        let expected = "fmt             1.5 s  passed\n\
                        integration         -  not run\n\
                        total           1.5 s\n";
        assert_eq!(table(&rows), expected);
    }
}
