//! [`Scenarios`]: which ones there are.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::scenario::Scenario;

/// All scenarios of a program.
pub struct Scenarios {
    /// Those that have to pass, in the order in which they run.
    pub all: Vec<Scenario>,
    /// Those that test the runner, some of which fail on purpose.
    pub selftest: Vec<Scenario>,
}

impl Scenarios {
    /// The one called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&Scenario> {
        self.all.iter().chain(&self.selftest).find(|scenario| scenario.name == name)
    }

    /// Workers find their scenario by its name, and filters a group by the beginning of names.
    ///
    /// # Errors
    /// If a name is there twice, or does not begin with a group.
    pub(crate) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for name in self.all.iter().chain(&self.selftest).map(|scenario| scenario.name) {
            let parts = name.split_once("::").filter(|(group, rest)| !group.is_empty() && !rest.is_empty());
            ensure!(parts.is_some(), "the scenario {name} is in no group: call it GROUP::{name}");
            ensure!(names.insert(name), "there are two scenarios called {name}: rename one");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(all: &[&'static str], selftest: &[&'static str]) -> Scenarios {
        let scenarios = |names: &[&'static str]| {
            names.iter().map(|name| Scenario::on_all(name, 1, async |_| Ok(()))).collect()
        };
        Scenarios { all: scenarios(all), selftest: scenarios(selftest) }
    }

    #[test]
    fn names_are_unique_and_begin_with_their_group() {
        named(&["a::x", "a::y", "b::x"], &["selftest::x"]).check().unwrap();
        let refused = |scenarios: Scenarios| scenarios.check().unwrap_err().to_string();
        assert!(refused(named(&["a::x", "a::y", "a::x"], &[])).contains("two scenarios called a::x"));
        assert!(refused(named(&["a::x"], &["a::x"])).contains("two scenarios called a::x"));
        for without in ["x", "::x", "a::"] {
            assert!(refused(named(&["a::x", without], &[])).contains("in no group"), "{without}");
        }
    }

    #[test]
    fn a_worker_finds_its_scenario_in_both_lists() {
        let scenarios = named(&["a::x"], &["selftest::x"]);
        assert!(["a::x", "selftest::x"].iter().all(|name| scenarios.find(name).is_some()));
        assert!(scenarios.find("a::y").is_none());
    }
}
