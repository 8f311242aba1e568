//! What is wrong with an item, all of it at once.

use std::fmt::Display;

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Error, Result};

/// What an item is to be, in the words of the messages about it.
pub(crate) struct Subject {
    /// "remote function".
    pub(crate) noun: &'static str,
    /// What else can be done about anything that is wrong with it; the end of each message.
    pub(crate) way_out: &'static str,
}

impl Subject {
    /// An error over the whole of `at`.
    pub(crate) fn error(&self, at: impl ToTokens, message: impl Display) -> Error {
        Error::new_spanned(at, format_args!("{message}{}", self.way_out))
    }
}

/// The errors so far.
pub(crate) struct Problems {
    pub(crate) subject: &'static Subject,
    errors: Option<Error>,
}

impl Problems {
    pub(crate) fn new(subject: &'static Subject) -> Self {
        Self { subject, errors: None }
    }

    /// An error over the whole of `at`.
    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl Display) {
        self.push(self.subject.error(at, message));
    }

    /// An error at a place that is not an item's own.
    pub(crate) fn add_at(&mut self, at: Span, message: impl Display) {
        self.push(Error::new(at, message));
    }

    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            None => self.errors = Some(error),
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.errors.map_or(Ok(()), Err)
    }
}
