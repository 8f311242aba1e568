//! [`Labels`]: what calls and spans are called in tables, in torch's form.
//!
//! ```text
//! rpc_async#my_app::add(worker0 -> worker1)                                                       a call
//! rpc_async#my_app::add(worker0 -> worker1)#remote_op: load                                       a span in its handler
//! rpc_async#my_app::add(worker0 -> worker1)#remote_op: rpc_sync#my_app::get(worker1 -> worker2)   a call made there
//! ```
//! and so on, through any number of workers. Spans themselves do not show in the labels of what is in them.
//!
//! # Bounds
//! A million calls have a few labels: each text is kept once. A label has at most [`LABEL_BYTES_MAX`] bytes, and its
//! beginning is left out of a longer one (`…#remote_op: load`); names count up to [`NAME_BYTES_MAX`]. So a profile of
//! any shape takes memory in proportion to its calls.

use std::collections::HashMap;
use std::fmt::Write;

use crate::model::{Call, NameId, Profile, Span};
use crate::tree::{Entry, Tree};

/// Longest label, in bytes.
pub const LABEL_BYTES_MAX: usize = 2_048;

/// How much of a name is in a label, in bytes.
pub const NAME_BYTES_MAX: usize = 384;

/// Stands for one label of [`Labels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelId(u32);

impl LabelId {
    /// Counted from 0, below [`Labels::len`].
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The labels of all calls and spans of a profile.
///
/// ```
/// use rpc_profiler::model::{Call, ClockOffset, NameId, SpanId, Tick, Worker};
/// use rpc_profiler::Profile;
///
/// let began = Tick::from_unix_ns(1);
/// let mut profile = Profile::new(0, began, began);
/// profile.names = ["rpc_async", "my_app::add", "ok"].map(String::from).to_vec();
/// profile.workers = (0..3).map(|rank| Worker::new(rank, format!("worker{rank}"), ClockOffset::EXACT)).collect();
/// profile.calls.push(Call::new(SpanId(1), 0, 1, NameId(0), NameId(1), NameId(2)));
/// profile.calls.push(Call::new(SpanId(2), 1, 2, NameId(0), NameId(1), NameId(2)));
/// profile.calls[1].parent = Some(SpanId(1)); // made in the handler of the first one
///
/// let labels = profile.labels();
/// assert_eq!(labels.call(0), "rpc_async#my_app::add(worker0 -> worker1)");
/// assert_eq!(
///     labels.call(1),
///     "rpc_async#my_app::add(worker0 -> worker1)#remote_op: rpc_async#my_app::add(worker1 -> worker2)"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Labels {
    texts: Vec<String>,
    /// By label: how many bytes at its end it says of the call or span itself.
    own_bytes: Vec<u32>,
    /// By entry: calls first, then spans.
    of: Vec<LabelId>,
    calls: usize,
}

impl Labels {
    /// The label of the call at `index` of [`Profile::calls`]; empty if there is none.
    pub fn call(&self, index: usize) -> &str {
        self.call_id(index).map_or("", |id| self.text(id))
    }

    /// The label of the span at `index` of [`Profile::spans`]; empty if there is none.
    pub fn span(&self, index: usize) -> &str {
        self.span_id(index).map_or("", |id| self.text(id))
    }

    /// Which label the call at `index` has.
    pub fn call_id(&self, index: usize) -> Option<LabelId> {
        self.of[..self.calls].get(index).copied()
    }

    /// Which label the span at `index` has.
    pub fn span_id(&self, index: usize) -> Option<LabelId> {
        self.of[self.calls..].get(index).copied()
    }

    /// The text of a label of these.
    ///
    /// # Panics
    /// If `id` is of the labels of another profile, which has more of them.
    pub fn text(&self, id: LabelId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// The end of that text: without what it is below. It is the key of a call, or the name of a span.
    ///
    /// # Panics
    /// As [`text`](Self::text).
    pub fn own(&self, id: LabelId) -> &str {
        let text = self.text(id);
        &text[text.len() - self.own_bytes[id.0 as usize] as usize..]
    }

    /// All of them, each with the end that says what it is of, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..).map(LabelId).take(self.len()).map(|id| (self.text(id), self.own(id)))
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none: nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(crate) fn of_tree(profile: &Profile, tree: &Tree<'_>) -> Self {
        let mut maker = Maker::new(profile, tree);
        for entry in 0..tree.len() {
            maker.label(entry);
        }
        Self {
            texts: maker.texts,
            own_bytes: maker.own_bytes,
            of: maker.done.into_iter().map(|done| done.label).collect(),
            calls: profile.calls.len(),
        }
    }
}

impl Profile {
    /// What all calls and spans are called. Takes time in proportion to their number.
    pub fn labels(&self) -> Labels {
        Labels::of_tree(self, &Tree::new(self))
    }
}

/// What a label is made of beside what it is below.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Own {
    Call { operation: NameId, function: NameId, from: u32, to: u32 },
    Span(NameId),
}

/// Of an entry that has one.
#[derive(Clone, Copy)]
struct Done {
    label: LabelId,
    /// That of the nearest call above.
    above: Option<LabelId>,
}

struct Maker<'a> {
    profile: &'a Profile,
    tree: &'a Tree<'a>,
    workers: HashMap<u32, &'a str>,
    texts: Vec<String>,
    own_bytes: Vec<u32>,
    by_text: HashMap<String, LabelId>,
    by_parts: HashMap<(Option<LabelId>, Own), LabelId>,
    done: Vec<Done>,
    /// Entries that wait for their parents' labels.
    way: Vec<usize>,
}

const NOT_YET: Done = Done { label: LabelId(u32::MAX), above: None };

impl<'a> Maker<'a> {
    fn new(profile: &'a Profile, tree: &'a Tree<'a>) -> Self {
        let workers =
            profile.workers.iter().rev().map(|worker| (worker.rank, worker.name.as_str())).collect();
        Self {
            profile,
            tree,
            workers,
            texts: Vec::new(),
            own_bytes: Vec::new(),
            by_text: HashMap::new(),
            by_parts: HashMap::new(),
            done: vec![NOT_YET; tree.len()],
            way: Vec::new(),
        }
    }

    /// Labels `entry` and whatever is above it.
    fn label(&mut self, entry: usize) {
        let mut next = Some(entry);
        while let Some(at) = next.filter(|&at| self.done[at].label == NOT_YET.label) {
            self.way.push(at);
            next = self.above(at);
        }
        while let Some(at) = self.way.pop() {
            let above = self.above(at).and_then(|parent| {
                let done = self.done[parent];
                if parent < self.profile.calls.len() { Some(done.label) } else { done.above }
            });
            let own = self.own(at);
            let label = self.intern(above, own);
            self.done[at] = Done { label, above };
        }
    }

    fn above(&self, entry: usize) -> Option<usize> {
        let entry = u32::try_from(entry).ok()?;
        self.tree.parent(Entry(entry)).map(|parent| parent.0 as usize)
    }

    fn own(&self, entry: usize) -> Own {
        match self.profile.calls.get(entry) {
            Some(&Call { operation, function, from, to, .. }) => Own::Call { operation, function, from, to },
            None => {
                let span: Option<&Span> = self.profile.spans.get(entry - self.profile.calls.len());
                Own::Span(span.map_or(NameId(u32::MAX), |span| span.name))
            }
        }
    }

    fn intern(&mut self, above: Option<LabelId>, own: Own) -> LabelId {
        if let Some(&known) = self.by_parts.get(&(above, own)) {
            return known;
        }
        let (text, own_bytes) = self.write(above, own);
        let next = LabelId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let id = *self.by_text.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            self.own_bytes.push(own_bytes);
            next
        });
        self.by_parts.insert((above, own), id);
        id
    }

    /// The text, and how many bytes of it `own` is.
    fn write(&self, above: Option<LabelId>, own: Own) -> (String, u32) {
        let own = match own {
            Own::Span(name) => clip(self.profile.name(name)).to_owned(),
            Own::Call { operation, function, from, to } => {
                let [operation, function] = [operation, function].map(|name| clip(self.profile.name(name)));
                let [from, to] = [from, to].map(|rank| clip(self.workers.get(&rank).copied().unwrap_or("?")));
                format!("{operation}#{function}({from} -> {to})")
            }
        };
        let own_bytes = u32::try_from(own.len()).unwrap_or(0);
        let Some(above) = above else { return (own, own_bytes) };
        const BETWEEN: &str = "#remote_op: ";
        let above = &self.texts[above.0 as usize];
        let is_short = above.len() + BETWEEN.len() + own.len() <= LABEL_BYTES_MAX;
        let above = if is_short { above.as_str() } else { "…" };
        let mut text = String::with_capacity(above.len() + BETWEEN.len() + own.len());
        let _ = write!(text, "{above}{BETWEEN}{own}"); // a string takes everything
        (text, own_bytes)
    }
}

fn clip(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{any_profile, call, profile, span};

    const CALL: &str = "rpc_async#app::add(worker0 -> worker1)";

    #[test]
    fn what_ran_in_a_handler_is_below_the_call_through_spans_and_third_workers() {
        let mut profile = profile(3);
        profile.calls = vec![call(1, Some(5), 0, 1), call(3, Some(2), 1, 2)];
        profile.spans = vec![span(2, Some(1), 1), span(4, Some(3), 2), span(5, None, 0)];
        let labels = profile.labels();
        assert_eq!(labels.call(0), CALL);
        assert_eq!(labels.call(1), format!("{CALL}#remote_op: rpc_async#app::add(worker1 -> worker2)"));
        assert_eq!(labels.span(0), format!("{CALL}#remote_op: load"));
        assert_eq!(
            labels.span(1),
            format!("{CALL}#remote_op: rpc_async#app::add(worker1 -> worker2)#remote_op: load")
        );
        assert_eq!(labels.span(2), "load");
        let own: Vec<_> = (0..2).map(|index| labels.own(labels.call_id(index).unwrap())).collect();
        assert_eq!(own, [CALL, "rpc_async#app::add(worker1 -> worker2)"]);
        assert_eq!((labels.call(2), labels.span(3)), ("", ""));
    }

    #[test]
    fn a_label_without_anything_above_is_the_key() {
        let mut profile = profile(1);
        profile.calls = vec![call(1, None, 0, 7)];
        assert_eq!(profile.labels().call(0), profile.key(&profile.calls[0]).to_string());
        assert_eq!(profile.labels().call(0), "rpc_async#app::add(worker0 -> ?)");
    }

    #[test]
    fn calls_that_are_alike_share_a_label() {
        let mut profile = profile(2);
        profile.calls = (0..1_000).map(|id| call(id, None, 0, 1)).collect();
        profile.spans = (0..1_000).map(|id| span(1_000 + id, Some(id), 1)).collect();
        assert_eq!(profile.labels().len(), 2);
    }

    /// The same text from different places is the same label, so that tables have one row for it.
    #[test]
    fn names_that_stand_twice_make_one_label() {
        let mut profile = profile(1);
        profile.names[3] = "load".to_owned();
        profile.spans = vec![span(1, None, 0), span(2, None, 0)];
        profile.spans[1].name = NameId(3);
        let labels = profile.labels();
        assert_eq!(labels.span_id(0), labels.span_id(1));
    }

    #[test]
    fn a_very_deep_chain_has_labels_that_end_in_their_own_name() {
        let mut profile = profile(2);
        profile.calls = (1..=20_000).map(|id| call(id, Some(id - 1), 0, 1)).collect();
        let labels = profile.labels();
        assert!(labels.len() < 100, "{} labels", labels.len());
        for index in [50, 100, 19_999] {
            let text = labels.call(index);
            assert!(text.len() <= LABEL_BYTES_MAX && text.starts_with('…') && text.ends_with(CALL), "{text}");
        }
    }

    #[test]
    fn a_very_long_name_is_cut_between_characters() {
        let mut profile = profile(1);
        profile.names[2] = "日".repeat(10_000);
        profile.spans = vec![span(1, None, 0)];
        assert_eq!(profile.labels().span(0), "日".repeat(NAME_BYTES_MAX / 3));
    }

    proptest! {
        /// Every label is bounded and ends in what it is of.
        #[test]
        fn labels_of_any_profile_are_bounded(profile in any_profile()) {
            let labels = profile.labels();
            for (index, call) in profile.calls.iter().enumerate() {
                let text = labels.call(index);
                prop_assert!(text.len() <= LABEL_BYTES_MAX);
                prop_assert!(text.ends_with(&profile.key(call).to_string()), "{}", text);
                prop_assert!(text.ends_with(labels.own(labels.call_id(index).unwrap())));
            }
            for (index, span) in profile.spans.iter().enumerate() {
                prop_assert!(labels.span(index).ends_with(profile.name(span.name)));
            }
            prop_assert!(labels.len() <= profile.calls.len() + profile.spans.len());
        }
    }
}
