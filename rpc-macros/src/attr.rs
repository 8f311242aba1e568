//! The options in the parentheses of `#[rpc::function(..)]` and `#[rpc::methods(..)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, LitInt, LitStr, Path, Result, Token, Type, parenthesized, parse_quote};

/// What the user asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// Where `inline` stands.
    pub(crate) inline: Option<Span>,
    /// The name on the wire, if it is not the path of the function or of the type.
    pub(crate) name: Option<LitStr>,
    /// How calls of it are treated; for functions.
    pub(crate) calls: CallOptions,
    /// For which types a generic function is there.
    pub(crate) instances: Option<Instances>,
    pub(crate) crate_path: Option<Path>,
}

/// How calls of a function are treated, on either side.
#[derive(Clone, Default)]
pub(crate) struct CallOptions {
    /// Where `idempotent` stands.
    pub(crate) idempotent: Option<Span>,
    /// How many calls run at a time.
    pub(crate) max_concurrency: Option<LitInt>,
    /// How many more wait.
    pub(crate) max_waiting: Option<LitInt>,
}

/// What stands in `instances(..)`.
#[derive(Clone)]
pub(crate) struct Instances {
    /// Where the option stands.
    pub(crate) at: Span,
    /// One type, or a tuple of types for a function with several parameters, for each instance.
    pub(crate) types: Vec<Type>,
}

/// What the options are those of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Function,
    Methods,
}

impl Options {
    /// Reads the options up to the first error. What was read until then is used all the same, so that one
    /// wrong option is one error and not one for every use of the function.
    pub(crate) fn parse(tokens: TokenStream, on: On) -> (Self, Option<Error>) {
        let mut options = Self::default();
        let result = syn::meta::parser(|option| options.read(&option, on)).parse2(tokens);
        let result = result.and_then(|()| options.calls.check());
        (options, result.err())
    }

    /// Where the names are that the expansion uses.
    pub(crate) fn support(&self) -> TokenStream {
        let crate_path = self.crate_path.clone().unwrap_or_else(|| parse_quote!(::rpc));
        quote!(#crate_path::macro_support)
    }

    fn read(&mut self, option: &ParseNestedMeta<'_>, on: On) -> Result<()> {
        if option.path.is_ident("inline") {
            set(&mut self.inline, flag(option)?, option)
        } else if option.path.is_ident("name") {
            set(&mut self.name, name(&text(option)?)?, option)
        } else if option.path.is_ident("crate") {
            set(&mut self.crate_path, path(&text(option)?)?, option)
        } else if on == On::Function && option.path.is_ident("instances") {
            let read = instances(option);
            // With those that could not be read, the function is still one that names them.
            let given = read.as_ref().map_or_else(|_| Vec::new(), Vec::clone);
            set(&mut self.instances, Instances { at: option.path.span(), types: given }, option)?;
            read.map(drop)
        } else if on == On::Function && self.calls.read(option)? {
            Ok(())
        } else {
            Err(option.error(match on {
                On::Function => {
                    "unknown option; there are `inline`, `idempotent`, `max_concurrency = ..`, `max_waiting = ..`, \
                     `instances(..)`, `name = \"..\"` and `crate = \"..\"`"
                }
                On::Methods => "unknown option; there are `inline`, `name = \"..\"` and `crate = \"..\"`",
            }))
        }
    }
}

impl CallOptions {
    /// Reads one option; false if it is not one of these.
    pub(crate) fn read(&mut self, option: &ParseNestedMeta<'_>) -> Result<bool> {
        if option.path.is_ident("idempotent") {
            set(&mut self.idempotent, flag(option)?, option)?;
        } else if option.path.is_ident("max_concurrency") {
            set(&mut self.max_concurrency, number(option, 1)?, option)?;
        } else if option.path.is_ident("max_waiting") {
            set(&mut self.max_waiting, number(option, 0)?, option)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Where one of them stands, if one does.
    pub(crate) fn given(&self) -> Option<Span> {
        let number = |number: &Option<LitInt>| number.as_ref().map(LitInt::span);
        self.idempotent.or(number(&self.max_concurrency)).or(number(&self.max_waiting))
    }

    /// Refuses what means nothing together.
    pub(crate) fn check(&self) -> Result<()> {
        match (&self.max_waiting, &self.max_concurrency) {
            (Some(waiting), None) => Err(Error::new(
                waiting.span(),
                "no call of it waits without a limit; give `max_concurrency = ..` as well",
            )),
            _ => Ok(()),
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

/// A number behind the `=` of an option.
fn number(option: &ParseNestedMeta<'_>, least: u32) -> Result<LitInt> {
    let wrong = "this option has a number as its value: `= 4`";
    let Ok(value) = option.value() else { return Err(option.error(wrong)) };
    let number: LitInt = value.parse().map_err(|error| Error::new(error.span(), wrong))?;
    match number.base10_parse::<u32>() {
        Ok(n) if n >= least => Ok(number),
        Ok(_) => Err(Error::new(number.span(), "not even one call of it could run")),
        Err(_) => Err(Error::new(number.span(), wrong)),
    }
}

fn instances(option: &ParseNestedMeta<'_>) -> Result<Vec<Type>> {
    let wrong = "this option has the types of each instance in parentheses: `instances(f32, f64)`";
    if !option.input.peek(syn::token::Paren) {
        return Err(option.error(wrong));
    }
    let inside;
    parenthesized!(inside in option.input);
    let types: Vec<Type> = Punctuated::<Type, Token![,]>::parse_terminated(&inside)?.into_iter().collect();
    if types.is_empty() {
        return Err(option.error(wrong));
    }
    Ok(types)
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
