//! `#[rpc::function]`.

use proc_macro2::TokenStream;
use syn::Error;

use crate::attr::{On, Options};

// Reading order: what is refused, what goes out.
mod valid;

pub(crate) mod expand;
mod instances;

/// The function as a unit struct that stands for it, or the errors.
pub(crate) fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    let (options, wrong_option) = Options::parse(options, On::Function);
    let expanded = syn::parse2(item.clone()).and_then(|function| {
        valid::check(&function, &options)?;
        Ok(match &options.instances {
            Some(instances) => instances::expand(&function, &options, instances),
            None => expand::expand(&function, &options, &expand::wire_name(&function, &options)),
        })
    });
    let mut tokens = expanded.unwrap_or_else(|error| fallback(&error, item));
    tokens.extend(wrong_option.map(Error::into_compile_error));
    tokens
}

/// The errors, and the item as it was: whatever else uses it still compiles.
fn fallback(error: &Error, item: TokenStream) -> TokenStream {
    let mut tokens = error.to_compile_error();
    tokens.extend(item);
    tokens
}
