//! Attribute macros that make a function callable from other workers.

use proc_macro::TokenStream;

/// Makes a function callable from other workers.
#[proc_macro_attribute]
pub fn function(_options: TokenStream, item: TokenStream) -> TokenStream {
    item
}
