//! `#[rpc::methods]`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::Error;

use crate::attr::{On, Options};

// Reading order: what comes in, what is refused, what goes out.
mod ast;
mod attr;
mod valid;

mod expand;
mod functions;
mod proxy;

/// The block and what makes its methods callable from other workers, or the errors.
///
/// A method that cannot be called is an error, and is missing from the proxies; the others are there, so
/// that one mistake is not an error at each call as well.
pub(crate) fn methods(options: TokenStream, item: TokenStream) -> TokenStream {
    let (options, wrong_option) = Options::parse(options, On::Methods);
    let mut tokens = match ast::Block::parse(item.clone()) {
        Ok(block) => expanded(&block, &options),
        Err(error) => {
            let mut tokens = without_options(item);
            tokens.extend(error.into_compile_error());
            tokens
        }
    };
    tokens.extend(wrong_option.map(Error::into_compile_error));
    tokens
}

fn expanded(block: &ast::Block, options: &Options) -> TokenStream {
    let mut tokens = block.plain();
    if let Err(error) = valid::check_head(&block.head) {
        tokens.extend(error.into_compile_error());
        return tokens;
    }
    let (remote, wrong) = valid::check_methods(block);
    tokens.extend(expand::expand(&block.head, &remote, options));
    tokens.extend(wrong.map(Error::into_compile_error));
    tokens.extend(functions::expand(block, options));
    tokens
}

/// A block that could not be read, without the `#[rpc(..)]` in it: nobody else knows that attribute.
fn without_options(item: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for tree in item {
        match tree {
            TokenTree::Group(group) if is_options(kept.last(), &group) => drop(kept.pop()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let mut inside = Group::new(Delimiter::Brace, without_options(group.stream()));
                inside.set_span(group.span());
                kept.push(inside.into());
            }
            tree => kept.push(tree),
        }
    }
    kept.into_iter().collect()
}

/// Whether this is the `[rpc(..)]` of `#[rpc(..)]`.
fn is_options(before: Option<&TokenTree>, brackets: &Group) -> bool {
    let mut inside = brackets.stream().into_iter();
    brackets.delimiter() == Delimiter::Bracket
        && matches!(before, Some(TokenTree::Punct(hash)) if hash.as_char() == '#')
        && matches!(inside.next(), Some(TokenTree::Ident(name)) if name == "rpc")
        && !matches!(inside.next(), Some(TokenTree::Punct(_)))
}

#[cfg(test)]
mod tests;
