//! Types as text, for people and for telling two builds apart.
//!
//! The text must come out the same from every toolchain, on every worker, so it does not lean on how the
//! compiler prints tokens, nor on the white space of the source.

use std::fmt::Write as _;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Type;

use crate::ast::Function;

/// What `SIGNATURE` says, such as `fn(f64, f64) -> f64`; `receiver` is how a method takes `self`.
pub(crate) fn signature(receiver: Option<TokenStream>, function: &Function) -> String {
    let (asyncness, output) = (&function.sig.asyncness, &function.sig.output);
    let types = receiver.into_iter().chain(function.args().map(|arg| arg.ty.to_token_stream()));
    text(quote!(#asyncness fn(#(#types),*) #output))
}

/// The head of the function as its documentation shows it, such as `fn add(a: f64, b: f64) -> f64`.
pub(crate) fn declaration(function: &Function) -> String {
    let (asyncness, name, output) = (&function.sig.asyncness, &function.sig.ident, &function.sig.output);
    let args = function.args().map(|arg| {
        let (pat, ty) = (&arg.pat, &arg.ty);
        quote!(#pat: #ty)
    });
    text(quote!(#asyncness fn #name(#(#args),*) #output))
}

/// A type as one would write it.
pub(crate) fn type_text(ty: &Type) -> String {
    text(ty.to_token_stream())
}

fn text(tokens: TokenStream) -> String {
    let mut text = String::new();
    write_tokens(&mut text, tokens);
    text
}

fn write_tokens(text: &mut String, tokens: TokenStream) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => (" { ", " }"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_tokens(text, group.stream());
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                let joint = punct.spacing() == Spacing::Joint;
                let is_last = tokens.peek().is_none();
                let next = match tokens.peek() {
                    Some(TokenTree::Punct(next)) => Some(next.as_char()),
                    _ => None,
                };
                match (punct.as_char(), next) {
                    ('-', Some('>')) if joint => {
                        tokens.next();
                        text.push_str(" -> ");
                    }
                    (':', Some(':')) if joint => {
                        tokens.next();
                        text.push_str("::");
                    }
                    (',', Some('>')) => {}
                    (',', None) if is_last => text.push(','),
                    (c @ (',' | ';' | ':'), _) => text.extend([c, ' ']),
                    (c @ ('=' | '+'), _) => text.extend([' ', c, ' ']),
                    (c, _) => text.push(c),
                }
            }
            // Writing to a `String` does not fail.
            TokenTree::Ident(word) => drop(write!(spaced(text), "{word}")),
            TokenTree::Literal(word) => drop(write!(spaced(text), "{word}")),
        }
    }
}

/// Puts a space where a word would run into the one before it.
fn spaced(text: &mut String) -> &mut String {
    let runs_in = text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '>' | '"'));
    if runs_in && !text.ends_with("-> ") {
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> (String, String) {
        let function = syn::parse_str::<Function>(source).unwrap();
        (signature(None, &function), declaration(&function))
    }

    #[test]
    fn text_reads_as_one_would_write_it() {
        for (source, expected) in [
            ("fn f() {}", "fn()"),
            ("fn f(a:f64,b : f64)->f64 {}", "fn(f64, f64) -> f64"),
            ("async fn f(text: String,) -> Result<usize, E> {}", "async fn(String) -> Result<usize, E>"),
            ("fn f(a: [u8; 4], b: (u8,)) -> () {}", "fn([u8; 4], (u8,)) -> ()"),
            ("fn f(a: Map<u8, Vec<u8>,>) {}", "fn(Map<u8, Vec<u8>>)"),
            (
                "fn f(a: Cow<'static, str>) -> std::vec::Vec<Box<dyn A + B>> {}",
                "fn(Cow<'static, str>) -> std::vec::Vec<Box<dyn A + B>>",
            ),
            ("fn f(a: <Vec<u8> as Tr<X = u8>>::Out) {}", "fn(<Vec<u8> as Tr<X = u8>>::Out)"),
        ] {
            assert_eq!(of(source).0, expected, "{source}");
        }
    }

    #[test]
    fn declaration_has_the_names_too() {
        let (_, head) = of("pub async fn f(mut a: u8, (b, _): (u8, u8)) -> u8 {}");
        assert_eq!(head, "async fn f(mut a: u8, (b, _): (u8, u8)) -> u8");
    }

    #[test]
    fn white_space_of_the_source_does_not_matter() {
        assert_eq!(of("fn f(a:Vec< u8 >)->u8{}"), of("fn f( a : Vec<u8> ) -> u8 { 1 }"));
    }
}
