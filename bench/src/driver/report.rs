//! Results as tables for people, and as lines of JSON for programs.

use std::fmt;

use serde_json::json;

use super::results::{Results, Row};
use super::versions;
use crate::machine;
use crate::systems::Entry;

/// What has to be known beside the figures.
pub(super) struct About {
    machine: String,
    settings: String,
    versions: String,
}

impl About {
    pub(super) fn new(rounds: usize, seconds: f64, systems: &[&Entry]) -> Self {
        let packages = systems.iter().filter_map(|system| system.package);
        Self {
            machine: machine::description(),
            settings: format!(
                "{rounds} rounds of {seconds} s in fresh processes, systems taking turns; one single-threaded tokio runtime a \
                 process; TCP_NODELAY; {}, release, thin LTO",
                machine::compiler()
            ),
            versions: versions::of(packages),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "machine   {}", self.machine)?;
        writeln!(f, "settings  {}", self.settings)?;
        write!(f, "versions  {}", self.versions)
    }
}

pub(super) fn json(results: &Results) {
    for row in &results.rows {
        let line = json!({
            "workload": row.workload, "system": row.system.name, "median": row.median(), "unit": row.unit,
            "ratio_raw": results.ratio_raw(row), "ratio_best_peer": results.ratio_best_peer(row),
            "min": row.min(), "max": row.max(),
        });
        println!("{line}");
    }
}

pub(super) fn table(results: &Results) {
    for workload in results.workloads() {
        let unit = results.of(workload).next().map_or("", |row| &row.unit);
        println!("\n{workload}: {} ({unit}); load {}", results.case.what, machine::load());
        println!("  {:<16} {:>10} {:>23} {:>8} {:>12}", "", "median", "min..max", "x raw", "x best peer");
        for row in results.of(workload) {
            line(results, row);
        }
    }
}

fn line(results: &Results, row: &Row) {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    println!(
        "  {:<16} {:>10} {:>23} {:>8} {:>12}",
        row.system.name,
        short(row.median()),
        format!("{}..{}", short(row.min()), short(row.max())),
        ratio(results.ratio_raw(row)),
        ratio(results.ratio_best_peer(row)),
    );
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        value if value.abs() < 10.0 => format!("{value:.2}"),
        value if value.abs() < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
