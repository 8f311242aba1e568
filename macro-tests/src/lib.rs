//! Tests of `rpc-macros` that need the framework: the examples in its documentation, and, in `tests`, what must not
//! compile.
//!
//! They are in a crate of their own because of what they would cost elsewhere. A dev-dependency of `rpc-macros` is built for the
//! compiler, to which macros belong, so all of the framework and all that it depends on would be built twice. And trybuild
//! builds once more what the crate that it is in depends on: of `rpc`, whose other tests need encryption, that is minutes of C.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../rpc-macros/src/function.md")]
mod function {}

#[cfg(doctest)]
#[doc = include_str!("../../rpc-macros/src/methods.md")]
mod methods {}
