//! The options in the parentheses of `#[rpc(..)]` on a method.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Ident, Meta, Result};

use crate::ast::is;
use crate::attr::{CallOptions, flag, set};

/// What the user asked for, for one method.
#[derive(Default)]
pub(crate) struct MethodOptions {
    /// Where `inline` stands.
    pub(crate) inline: Option<Span>,
    /// Where `skip` stands: the method is not for other workers.
    pub(crate) skip: Option<Span>,
    /// The name by which it can be called as a function of its own.
    pub(crate) function: Option<Ident>,
    /// How its calls are treated, and those of that function.
    pub(crate) calls: CallOptions,
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
            _ => {
                let message = "`#[rpc(..)]` has `inline`, `skip`, `function = ..` or `max_concurrency = ..` in its parentheses";
                Err(Error::new_spanned(attr, message))
            }
        }?;
        self.check()
    }

    /// Refuses what means nothing together.
    fn check(&self) -> Result<()> {
        match (self.inline, self.skip) {
            (Some(inline), Some(_)) => {
                let message = "no other worker calls a method with `skip`, so it cannot be `inline`";
                return Err(Error::new(inline, message));
            }
            (None, Some(_)) if let Some(calls) = self.calls.given() => {
                let message = "no other worker calls a method with `skip`, so this option says nothing";
                return Err(Error::new(calls, message));
            }
            (None, Some(_)) if let Some(function) = &self.function => {
                let message =
                    "no other worker calls a method with `skip`, so it is no function for them either";
                return Err(Error::new(function.span(), message));
            }
            _ => {}
        }
        match (self.calls.idempotent, &self.function) {
            (Some(at), None) => {
                let message = "calls through a reference are never repeated; this is for functions: give `function = ..` as well";
                Err(Error::new(at, message))
            }
            _ => self.calls.check(),
        }
    }

    fn read(&mut self, option: &ParseNestedMeta<'_>) -> Result<()> {
        let place = if option.path.is_ident("inline") {
            &mut self.inline
        } else if option.path.is_ident("skip") {
            &mut self.skip
        } else if option.path.is_ident("function") {
            return set(&mut self.function, function_name(option)?, option);
        } else if self.calls.read(option)? {
            return Ok(());
        } else {
            return Err(option.error(
                "unknown option; there are `inline`, `skip`, `max_concurrency = ..`, `max_waiting = ..`, `function = ..`, \
                 and with that `idempotent`",
            ));
        };
        set(place, flag(option)?, option)
    }
}

fn function_name(option: &ParseNestedMeta<'_>) -> Result<Ident> {
    let wrong = "this option has the name of the function as its value: `= new_counter`";
    let Ok(value) = option.value() else { return Err(option.error(wrong)) };
    value.parse().map_err(|error| Error::new(error.span(), wrong))
}
