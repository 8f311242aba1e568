//! `#[rpc::function]` and `#[rpc::methods]`, which make functions, and methods of values that workers refer
//! to, callable from other workers.
//!
//! Use them through the crate `rpc`; or through `rpc-core` and `rpc-rref`, with the options
//! `crate = "rpc_core"` and `crate = "rpc_rref"`.
//!
//! What a macro writes cannot be read in one's own source, so these write little: unit structs and
//! implementations of the documented traits `RemoteFunction` and `RemoteMethod`, as one could write them by
//! hand. A mistake is reported where it stands, with the way out, and each report is pinned by a pair in
//! `macro-tests/tests/ui`. The documentation of both is in files of its own, whose examples the crate `macro-tests` runs.

use proc_macro::TokenStream;

// Reading order: what comes in, what is refused, what goes out.
mod ast;
mod attr;
mod problems;
mod valid;

mod glue;
mod signature;

mod function;
mod methods;

#[doc = include_str!("function.md")]
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::function(options.into(), item.into()).into()
}

#[doc = include_str!("methods.md")]
#[proc_macro_attribute]
pub fn methods(options: TokenStream, item: TokenStream) -> TokenStream {
    methods::methods(options.into(), item.into()).into()
}
