//! How much of each call and span has something else of the profile going on in it.

use crate::lanes::Interval;
use crate::model::{Call, Profile};
use crate::tree::{Entry, Tree};

/// By entry: for how many nanoseconds something was going on in the span, or in the function that was called.
pub(super) fn covered(profile: &Profile, tree: &Tree<'_>) -> Vec<u64> {
    let mut covered = vec![0_u64; tree.len()];
    let mut inner = inner(profile, tree);
    inner.sort_unstable_by_key(|&(parent, Interval { began, ended })| (parent, began, ended));
    for of_one in inner.chunk_by(|one, other| one.0 == other.0) {
        let parent = of_one[0].0;
        let Some(around) = around(profile, tree, parent) else { continue };
        let mut until = around.began;
        for (_, Interval { began, ended }) in of_one {
            let (began, ended) = ((*began).max(until), (*ended).min(around.ended));
            covered[parent.0 as usize] += ended.since(began);
            until = until.max(ended);
        }
    }
    covered
}

/// Everything that was done in something, with what it was done in.
fn inner(profile: &Profile, tree: &Tree<'_>) -> Vec<(Entry, Interval)> {
    let of_call = |(index, call): (u32, Call)| {
        let interval = Interval::of_caller(&call.times).or_else(|| Interval::of_handler(&call.times))?;
        Some((tree.parent(Entry(index))?, interval))
    };
    let spans = profile.spans.iter().enumerate();
    let spans =
        spans.filter_map(|(index, span)| Some((tree.parent(tree.span(index))?, Interval::of_span(span))));
    tree.calls().filter_map(of_call).chain(spans).collect()
}

/// The time in which something can have been done in `entry`: that of a span, or of the function that was called.
fn around(profile: &Profile, tree: &Tree<'_>, entry: Entry) -> Option<Interval> {
    let index = entry.0 as usize;
    match index.checked_sub(profile.calls.len()) {
        Some(span) => profile.spans.get(span).map(Interval::of_span),
        None => {
            let call = tree.call(index)?;
            let handler = Interval::of_handler(&call.times)?;
            Some(Interval::of_run(handler, &call))
        }
    }
}
