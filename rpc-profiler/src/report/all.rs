//! [`all_calls`]: each call of a profile once.

use std::borrow::Cow;

use crate::model::{Call, Profile};
use crate::tree::Tree;

/// The calls of `profile`. Those that caller and callee have recorded apart are joined, which is looked for only if a callee has
/// recorded any: it costs more than all else that is done for a report.
pub(super) fn all_calls(profile: &Profile) -> Cow<'_, [Call]> {
    if profile.calls.iter().all(|call| call.times.began.is_some()) {
        return Cow::Borrowed(&profile.calls);
    }
    Tree::new(profile).calls().map(|(_, call)| call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{ProfileBuilder, at};

    #[test]
    fn a_call_that_both_sides_have_recorded_is_there_once() {
        let mut sample = ProfileBuilder::new();
        let both = sample.call("add", 0, 1, [at(0), at(1), at(2), None, None, None, at(6), at(7)]);
        let callees = sample.call("sub", 0, 1, [None, None, None, at(10), at(11), at(12), None, None]);
        let mut again = sample.profile.calls[0];
        (again.times.began, again.times.ran) = (None, at(4));
        sample.profile.calls.insert(0, again);

        let calls = all_calls(&sample.profile);
        let known: Vec<_> = calls.iter().map(|call| (call.id, call.times.began, call.times.ran)).collect();
        assert_eq!(known, [(both, at(0), at(4)), (callees, None, at(11))]);
    }

    #[test]
    fn calls_that_callers_have_recorded_are_taken_as_they_are() {
        let mut sample = ProfileBuilder::new();
        sample.call("add", 0, 1, [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
        assert!(matches!(all_calls(&sample.profile), Cow::Borrowed(_)));
    }
}
