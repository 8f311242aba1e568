//! The options in the parentheses of `#[rpc(..)]` on a method.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Meta, Result};

use crate::ast::is;
use crate::attr::{flag, set};

/// What the user asked for, for one method.
#[derive(Default)]
pub(crate) struct MethodOptions {
    /// Where `inline` stands.
    pub(crate) inline: Option<Span>,
    /// Where `skip` stands: the method is not for other workers.
    pub(crate) skip: Option<Span>,
}

impl MethodOptions {
    /// Reads the options up to the first error, as [`Options::parse`](crate::attr::Options::parse) does.
    pub(crate) fn parse(attrs: &[Attribute]) -> (Self, Option<Error>) {
        let mut options = Self::default();
        let mut attrs = attrs.iter().filter(|attr| is(attr, &["rpc"]));
        let Some(attr) = attrs.next() else { return (options, None) };
        let wrong = options.read_all(attr).err();
        let second = attrs.next().map(|second| {
            Error::new_spanned(second, "a method has one `#[rpc(..)]`; put both options into it")
        });
        (options, wrong.or(second))
    }

    fn read_all(&mut self, attr: &Attribute) -> Result<()> {
        match &attr.meta {
            Meta::List(list) if !list.tokens.is_empty() => {
                attr.parse_nested_meta(|option| self.read(&option))
            }
            _ => Err(Error::new_spanned(attr, "`#[rpc(..)]` has `inline` or `skip` in its parentheses")),
        }?;
        match (self.inline, self.skip) {
            (Some(inline), Some(_)) => Err(Error::new(
                inline,
                "no other worker calls a method with `skip`, so it cannot be `inline`",
            )),
            _ => Ok(()),
        }
    }

    fn read(&mut self, option: &ParseNestedMeta<'_>) -> Result<()> {
        let place = if option.path.is_ident("inline") {
            &mut self.inline
        } else if option.path.is_ident("skip") {
            &mut self.skip
        } else {
            return Err(option.error("unknown option; there are `inline` and `skip`"));
        };
        set(place, flag(option)?, option)
    }
}
