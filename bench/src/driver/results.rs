//! What the rounds of a case brought, and what follows from it.

use crate::case::Case;
use crate::child::Metric;
use crate::systems::{Entry, Kind};

/// The figures of one case.
pub(super) struct Results {
    pub(super) case: &'static Case,
    pub(super) rows: Vec<Row>,
}

/// One figure of one system.
pub(super) struct Row {
    /// The case's id, with a suffix if the figure is not its main one.
    pub(super) workload: String,
    pub(super) system: &'static Entry,
    pub(super) unit: String,
    /// By round; a system that fails in one takes no part in those that follow.
    samples: Vec<(usize, f64)>,
}

impl Results {
    pub(super) fn new(case: &'static Case) -> Self {
        Self { case, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, round: usize, system: &'static Entry, metrics: Vec<Metric>) {
        for Metric { suffix, value, unit } in metrics {
            let workload = format!("{}{suffix}", self.case.id);
            let known =
                self.rows.iter_mut().find(|row| row.workload == workload && row.system.name == system.name);
            match known {
                Some(row) => row.samples.push((round, value)),
                None => self.rows.push(Row { workload, system, unit, samples: vec![(round, value)] }),
            }
        }
    }

    /// The names of the figures, in order.
    pub(super) fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.workload.as_str()) {
                names.push(&row.workload);
            }
        }
        names
    }

    pub(super) fn of(&self, workload: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.workload == workload)
    }

    /// How many times the figure of what it is built on.
    pub(super) fn ratio_raw(&self, row: &Row) -> Option<f64> {
        let floor = row.system.floor?;
        self.of(&row.workload).find(|other| other.system.name == floor).and_then(|floor| row.over(floor))
    }

    /// How many times the figure of the best peer; of ours only.
    pub(super) fn ratio_best_peer(&self, row: &Row) -> Option<f64> {
        if row.system.kind != Kind::Ours {
            return None;
        }
        let peers = self.of(&row.workload).filter(|other| other.system.kind == Kind::Peer);
        let by_median = |one: &&Row, other: &&Row| one.median().total_cmp(&other.median());
        let best = if row.more_is_better() { peers.max_by(by_median) } else { peers.min_by(by_median) };
        row.over(best?)
    }
}

impl Row {
    pub(super) fn median(&self) -> f64 {
        median(self.samples.iter().map(|(_, value)| *value).collect())
    }

    pub(super) fn min(&self) -> f64 {
        self.samples.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn max(&self) -> f64 {
        self.samples.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max)
    }

    pub(super) fn more_is_better(&self) -> bool {
        self.unit.ends_with("/s")
    }

    /// The median of the ratios within the rounds, so that what slows a whole round does not count.
    fn over(&self, other: &Self) -> Option<f64> {
        let ratios: Vec<f64> = self
            .samples
            .iter()
            .filter_map(|(round, value)| {
                let (_, beside) = other.samples.iter().find(|(at, _)| at == round)?;
                Some(value / beside)
            })
            .collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }
}

/// Of an even number, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CASES;
    use crate::systems::SYSTEMS;

    fn results(figures: &[(&str, &[f64])]) -> Results {
        let mut results = Results::new(&CASES[0]);
        for (name, samples) in figures {
            let system = SYSTEMS.iter().find(|system| system.name == *name).unwrap();
            for (round, value) in samples.iter().enumerate() {
                let metric = Metric { suffix: String::new(), value: *value, unit: "us".to_owned() };
                results.add(round, system, vec![metric]);
            }
        }
        results
    }

    #[test]
    fn ratios_are_medians_within_rounds() {
        // The last round was slow for all; the medians alone would say 2.0 and 1.0.
        let results = results(&[
            ("raw-tcp", &[10.0, 10.0, 40.0]),
            ("tarpc", &[20.0, 21.0, 80.0]),
            ("ours-tcp", &[15.0, 20.0, 60.0]),
        ]);
        let ours = results.rows.last().unwrap();
        assert_eq!((ours.median(), ours.min(), ours.max()), (20.0, 15.0, 60.0));
        assert_eq!(results.ratio_raw(ours), Some(1.5));
        assert_eq!(results.ratio_best_peer(ours), Some(0.75));
        assert_eq!(results.ratio_best_peer(&results.rows[1]), None, "of ours only");
    }

    #[test]
    fn a_round_that_one_side_missed_is_left_out() {
        let results = results(&[("raw-tcp", &[10.0]), ("ours-tcp", &[12.0, 90.0])]);
        assert_eq!(results.ratio_raw(&results.rows[1]), Some(1.2));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
