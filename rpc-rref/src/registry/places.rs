//! Where handles and values came to be, in programs' own words, each text kept once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Texts that are kept; a program has far fewer places. Beyond, places are not told apart.
const PLACES_MAX: usize = 65_536;
/// A place that another worker names is cut to this.
pub(crate) const PLACE_BYTES_MAX: usize = 512;

/// Where something came to be.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// A line of this program.
    At(&'static Location<'static>),
    /// As an argument or result of this function.
    In(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::In(function) => write!(f, "{function} (in a message)"),
        }
    }
}

/// Stands for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceId(u32);

/// A place that is not known.
impl Default for PlaceId {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

/// All places that something here came from. Bounded by the places in the programs of the group, and by
/// [`PLACES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Places {
    texts: Vec<Arc<str>>,
    by_text: HashMap<Arc<str>, PlaceId>,
    /// By address and length of the static text or location, which saves the formatting.
    by_address: BTreeMap<(usize, usize), PlaceId>,
}

impl Places {
    pub(crate) fn id(&mut self, place: Place) -> PlaceId {
        let address = match place {
            Place::At(at) => (std::ptr::from_ref(at).addr(), 0),
            Place::In(function) => (function.as_ptr().addr(), function.len()),
        };
        if let Some(id) = self.by_address.get(&address) {
            return *id;
        }
        let id = self.id_of_text(&place.to_string());
        self.by_address.insert(address, id);
        id
    }

    pub(crate) fn id_of_text(&mut self, text: &str) -> PlaceId {
        let text = &text[..text.floor_char_boundary(PLACE_BYTES_MAX)];
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        if self.texts.len() >= PLACES_MAX {
            return PlaceId::default();
        }
        let id = PlaceId(self.texts.len() as u32); // below PLACES_MAX
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.by_text.insert(text, id);
        id
    }

    pub(crate) fn text(&self, id: PlaceId) -> Arc<str> {
        self.texts.get(id.0 as usize).cloned().unwrap_or_else(|| "an unknown place".into())
    }
}
