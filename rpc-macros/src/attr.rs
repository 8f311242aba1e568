//! The options in the parentheses of `#[rpc::function(..)]` and `#[rpc::methods(..)]`, which are the same.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, LitStr, Path, Result, Token, parse_quote};

/// What the user asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// Where `inline` stands.
    pub(crate) inline: Option<Span>,
    /// The name on the wire, if it is not the path of the function or of the type.
    pub(crate) name: Option<LitStr>,
    crate_path: Option<Path>,
}

impl Options {
    /// Reads the options up to the first error. What was read until then is used all the same, so that one
    /// wrong option is one error and not one for every use of the function.
    pub(crate) fn parse(tokens: TokenStream) -> (Self, Option<Error>) {
        let mut options = Self::default();
        let result = syn::meta::parser(|option| options.read(&option)).parse2(tokens);
        (options, result.err())
    }

    /// Where the names are that the expansion uses.
    pub(crate) fn support(&self) -> TokenStream {
        let crate_path = self.crate_path.clone().unwrap_or_else(|| parse_quote!(::rpc));
        quote!(#crate_path::macro_support)
    }

    fn read(&mut self, option: &ParseNestedMeta<'_>) -> Result<()> {
        if option.path.is_ident("inline") {
            set(&mut self.inline, flag(option)?, option)
        } else if option.path.is_ident("name") {
            set(&mut self.name, name(&text(option)?)?, option)
        } else if option.path.is_ident("crate") {
            set(&mut self.crate_path, path(&text(option)?)?, option)
        } else {
            Err(option.error("unknown option; there are `inline`, `name = \"..\"` and `crate = \"..\"`"))
        }
    }
}

/// Notes an option that may be given once.
pub(crate) fn set<T>(place: &mut Option<T>, value: T, option: &ParseNestedMeta<'_>) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(option.error("this option is given twice")),
    }
}

/// Where an option stands that has no value.
pub(crate) fn flag(option: &ParseNestedMeta<'_>) -> Result<Span> {
    if option.input.is_empty() || option.input.peek(Token![,]) {
        return Ok(option.path.span());
    }
    Err(option.error("this option has no value"))
}

/// What stands behind the `=` of an option.
fn text(option: &ParseNestedMeta<'_>) -> Result<LitStr> {
    match option.value() {
        Ok(value) => value.parse(),
        Err(_) => Err(option.error("this option has a text as its value: `= \"..\"`")),
    }
}

/// The id on the wire leaves white space out, so two names must not differ in it alone.
fn name(text: &LitStr) -> Result<LitStr> {
    let name = text.value();
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::new(text.span(), "a name on the wire is not empty and has no white space"));
    }
    Ok(text.clone())
}

fn path(text: &LitStr) -> Result<Path> {
    let message = "not the path of a crate; it looks like `rpc` or `my_app::rpc`";
    text.parse_with(Path::parse_mod_style).map_err(|_| Error::new(text.span(), message))
}
