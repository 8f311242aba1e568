//! `#[rpc::methods]`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::Error;

use crate::attr::Options;

// Reading order: what comes in, what is refused, what goes out.
mod ast;
mod attr;
mod valid;

mod expand;
mod proxy;

/// The block and what makes its methods callable from other workers, or the errors.
///
/// A method that cannot be called is an error, and is missing from the proxies; the others are there, so
/// that one mistake is not an error at each call as well.
pub(crate) fn methods(options: TokenStream, item: TokenStream) -> TokenStream {
    let (options, wrong_option) = Options::parse(options);
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
    tokens
}

/// A block that could not be read, without the `#[rpc(..)]` in it: nobody else knows that attribute.
fn without_options(item: TokenStream) -> TokenStream {
    let is_options = |tree: &TokenTree| {
        let TokenTree::Group(group) = tree else { return false };
        let mut inside = group.stream().into_iter();
        group.delimiter() == Delimiter::Bracket
            && matches!(inside.next(), Some(TokenTree::Ident(name)) if name == "rpc")
            && !matches!(inside.next(), Some(TokenTree::Punct(_)))
    };
    let mut kept: Vec<TokenTree> = Vec::new();
    for tree in item {
        match tree {
            tree if is_options(&tree) => drop(kept.pop()),
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
