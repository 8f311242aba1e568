//! [`All`]: all calls of a profile, each once.

use crate::label::Labels;
use crate::model::{Call, Profile};
use crate::tree::Tree;

/// Calls, with what they are called.
#[derive(Debug)]
pub(super) struct All<'a> {
    pub(super) profile: &'a Profile,
    labels: Labels,
    /// With their indices in the profile.
    calls: Vec<(u32, Call)>,
}

impl<'a> All<'a> {
    pub(super) fn of(profile: &'a Profile) -> Self {
        let tree = Tree::new(profile);
        Self { profile, labels: Labels::of_tree(profile, &tree), calls: tree.calls().collect() }
    }

    pub(super) fn calls(&self) -> Vec<&Call> {
        self.calls.iter().map(|(_, call)| call).collect()
    }

    pub(super) fn call(&self, index: usize) -> &Call {
        &self.calls[index].1
    }

    /// What the call at `index` of these calls is called.
    pub(super) fn call_label(&self, index: usize) -> &str {
        self.labels.call(self.calls[index].0 as usize)
    }

    /// What the profile's span at `index` is called.
    pub(super) fn span_label(&self, index: usize) -> &str {
        self.labels.span(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{ProfileBuilder, at};

    #[test]
    fn a_call_that_both_sides_have_recorded_is_there_once() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
        sample.call("sub", 0, 1, [None, None, None, at(10), at(11), at(12), None, None]);
        let mut again = sample.profile.calls[0];
        again.times.began = None;
        sample.profile.calls.insert(0, again);

        let all = All::of(&sample.profile);
        let labels: Vec<_> = (0..all.calls().len()).map(|index| all.call_label(index)).collect();
        assert_eq!(labels, ["rpc_async#add(worker0 -> worker1)", "rpc_async#sub(worker0 -> worker1)"]);
        assert_eq!((all.call(0).times.began, all.call(1).times.began), (at(0), None));
    }
}
