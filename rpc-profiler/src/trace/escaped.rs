//! [`Escaped`]: texts as JSON has them, each escaped once.

use crate::label::{LabelId, Labels};
use crate::model::{NameId, Profile};

/// `text` with quotes, and escapes where there have to be some.
pub(super) fn escape(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Labels and names of a profile.
pub(super) struct Escaped {
    names: Vec<String>,
    labels: Vec<Label>,
    none: Label,
}

/// A label.
pub(super) struct Label {
    /// What it says of the call or span itself.
    pub(super) own: String,
    /// All of it, if there is more.
    pub(super) whole: Option<String>,
}

impl Escaped {
    pub(super) fn new(profile: &Profile, labels: &Labels) -> Self {
        let label = |(whole, own): (&str, &str)| {
            let is_more = whole.len() > own.len();
            Label { own: escape(own), whole: is_more.then(|| escape(whole)) }
        };
        Self {
            names: profile.names.iter().map(|name| escape(name)).collect(),
            labels: labels.iter().map(label).collect(),
            none: Label { own: escape(""), whole: None },
        }
    }

    pub(super) fn name(&self, name: NameId) -> &str {
        self.names.get(name.0 as usize).map_or("\"\"", String::as_str)
    }

    pub(super) fn label(&self, label: Option<LabelId>) -> &Label {
        label.and_then(|label| self.labels.get(label.number() as usize)).unwrap_or(&self.none)
    }
}
