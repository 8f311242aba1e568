//! Tokens that the expansions of functions and methods have in common.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::ast::Function;

/// The tuple of the arguments. Its parentheses are the user's, so that the compiler points there if
/// something in it has no serde.
pub(crate) fn args_type(function: &Function) -> Group {
    let types = function.args().map(|arg| &arg.ty);
    let mut tuple = Group::new(Delimiter::Parenthesis, quote!(#(#types,)*));
    tuple.set_span(function.sig.paren_token.span.join());
    tuple
}

/// The two sides of what it returns.
pub(crate) fn output_and_error(function: &Function, support: &TokenStream) -> (TokenStream, TokenStream) {
    match function.result_type() {
        Some(result) => {
            let at = result.span();
            (
                quote_spanned!(at=> <#result as #support::ResultLike>::Output),
                quote_spanned!(at=> <#result as #support::ResultLike>::Error),
            )
        }
        None => (function.value_type().into_token_stream(), quote!(#support::Never)),
    }
}

/// The closure that takes what `head` names and the tuple of the arguments, makes `call` and gives a
/// `Result`, as a future where the value has to be waited for.
pub(crate) fn run(
    function: &Function,
    head: &TokenStream,
    call: &TokenStream,
    support: &TokenStream,
) -> TokenStream {
    let awaiting = function.is_awaited().then(|| quote!(.await));
    let result = match function.result_type() {
        Some(_) => quote!(#support::ResultLike::into_result(#call #awaiting)),
        None => quote!(::core::result::Result::Ok(#call #awaiting)),
    };
    if function.is_awaited() {
        boxed(function, head, &quote!(async move { #result }))
    } else {
        quote!(#head #result)
    }
}

/// A closure that boxes a future. At the user's `async fn`, because that is where the compiler should
/// point if the future is not `Send`.
pub(crate) fn boxed(function: &Function, head: &TokenStream, future: &TokenStream) -> TokenStream {
    let span = function.sig.ident.span().resolved_at(Span::mixed_site());
    quote_spanned!(span=> #head ::std::boxed::Box::pin(#future))
}
