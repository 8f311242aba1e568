//! What a valid function becomes. Calls into `macro_support` only: the logic is in `rpc-core`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;

use crate::ast::{Function, FutureKind, is, named};
use crate::attr::{CallOptions, Options};
use crate::{glue, signature};

/// The unit struct and everything that hangs on it; `wire_name` is an expression.
pub(crate) fn expand(function: &Function, options: &Options, wire_name: &TokenStream) -> TokenStream {
    let unit_struct = unit_struct(function);
    let cfgs = named(&function.attrs, &["cfg"]);
    let allow_deprecated = allow_deprecated(function);

    let support = options.support();
    let name = &function.sig.ident;
    let body = body(function);
    let deref = deref(function, &support);
    let remote_function = remote_function(function, options, &quote!(#name), wire_name);
    quote! {
        #unit_struct

        #(#cfgs)*
        #allow_deprecated
        const _: () = {
            #body
            #deref
            #remote_function
            #support::inventory::submit! { #support::FunctionEntry::of::<#name>() }
        };
    }
}

pub(super) fn allow_deprecated(function: &Function) -> Option<TokenStream> {
    let deprecated = named(&function.attrs, &["deprecated"]);
    (!deprecated.is_empty()).then(|| quote!(#[allow(deprecated)]))
}

fn unit_struct(function: &Function) -> TokenStream {
    let (vis, name, attrs) = (&function.vis, &function.sig.ident, type_attrs(function));
    quote! {
        #attrs
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name;
    }
}

/// What stands above the type that stands for the function.
pub(super) fn type_attrs(function: &Function) -> TokenStream {
    let attrs = named(&function.attrs, &["doc", "deprecated", "cfg", "allow", "warn", "deny"]);
    // Only below documentation: alone it would silence `missing_docs`.
    let documented = function.attrs.iter().any(|attr| is(attr, &["doc"]));
    let declaration = documented.then(|| {
        let line = format!("Remote function: `{}`", signature::declaration(function));
        quote!(#[doc = ""] #[doc = #line])
    });
    quote! {
        #(#attrs)*
        #declaration
        #[allow(non_camel_case_types, reason = "it stands for a function and has its name")]
        #[allow(dead_code, reason = "other workers can call it")]
    }
}

/// The function itself, as an associated function of its struct: there it keeps its name, for backtraces
/// and for attributes such as `#[tracing::instrument]`, while that name means the struct inside the body.
fn body(function: &Function) -> TokenStream {
    let name = &function.sig.ident;
    let attrs = function.attrs.iter().filter(|attr| !is(attr, &["doc", "deprecated", "cfg"]));
    let (sig, body) = (&function.sig, &function.body);
    quote! {
        #[allow(
            clippy::new_ret_no_self,
            clippy::self_named_constructors,
            reason = "the type stands for the function"
        )]
        impl #name {
            #(#attrs)*
            #sig #body
        }
    }
}

/// `add(1.0, 2.0)` goes through this.
///
/// To a `&dyn Fn`, although a function pointer would do for rustc: clippy takes a call whose callee is the
/// name of a struct for a constructor, and offers to delete the statement `add(1.0, 2.0);` as one without
/// effect, unless the call is made through a trait. The reference makes `*add` a value.
fn deref(function: &Function, support: &TokenStream) -> TokenStream {
    let name = &function.sig.ident;
    let (target, callee) = callable(function, support);
    quote! {
        impl ::core::ops::Deref for #name {
            type Target = #target;
            fn deref(&self) -> &Self::Target {
                const FUNCTION: <#name as ::core::ops::Deref>::Target = &#callee;
                &FUNCTION
            }
        }
    }
}

/// The type of the function as a `&dyn Fn`, and a value of it without the `&`. A future without a name is boxed.
pub(super) fn callable(function: &Function, support: &TokenStream) -> (TokenStream, TokenStream) {
    let name = &function.sig.ident;
    let types = function.args().map(|arg| &arg.ty);
    let is_opaque = function.returned_future().is_some_and(|future| future.kind == FutureKind::Opaque);
    let (returned, callee) = if function.is_async() || is_opaque {
        let (args, value) = (function.arg_names(), function.value_type());
        let callee = glue::boxed(function, &quote!(|#(#args),*|), &quote!(#name::#name(#(#args),*)));
        (quote!(-> #support::BoxFuture<'static, #value>), callee)
    } else {
        (function.sig.output.to_token_stream(), quote!(#name::#name))
    };
    let target = quote! {
        &'static (dyn ::core::ops::Fn(#(#types),*) #returned + ::core::marker::Send + ::core::marker::Sync)
    };
    (target, callee)
}

/// The trait, for the type `stands_for`.
pub(super) fn remote_function(
    function: &Function,
    options: &Options,
    stands_for: &TokenStream,
    wire_name: &TokenStream,
) -> TokenStream {
    let support = options.support();
    let args = glue::args_type(function);
    let signature = signature::signature(None, function);
    let (output, error) = glue::output_and_error(function, &support);
    let body = body_value(function, options, stands_for, &support);
    let calls = call_options(&options.calls, &support);
    quote! {
        impl #support::RemoteFunction for #stands_for {
            type Args = #args;
            type Output = #output;
            type Error = #error;
            const NAME: &'static str = #wire_name;
            const SIGNATURE: &'static str = #signature;
            const BODY: #support::FunctionBody<Self::Args, Self::Output, Self::Error> = #body;
            #calls
        }
    }
}

/// The constants that have defaults, as far as they differ.
fn call_options(calls: &CallOptions, support: &TokenStream) -> TokenStream {
    let idempotent = calls.idempotent.map(|_| {
        quote!(
            const IDEMPOTENT: bool = true;
        )
    });
    let limit = limit(calls, support);
    quote!(#idempotent #limit)
}

/// How many calls run at a time, if that is said.
pub(crate) fn limit(calls: &CallOptions, support: &TokenStream) -> Option<TokenStream> {
    calls.max_concurrency.as_ref().map(|running| {
        let waiting = calls.max_waiting.as_ref().map(|waiting| quote!(.waiting(#waiting)));
        quote! {
            const LIMIT: ::core::option::Option<#support::CallLimit> =
                ::core::option::Option::Some(#support::CallLimit::new(#running) #waiting);
        }
    })
}

/// The name on the wire, as an expression.
pub(crate) fn wire_name(function: &Function, options: &Options) -> TokenStream {
    match &options.name {
        Some(given) => given.to_token_stream(),
        None => {
            let name = function.sig.ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        }
    }
}

/// The value of `BODY`.
fn body_value(
    function: &Function,
    options: &Options,
    stands_for: &TokenStream,
    support: &TokenStream,
) -> TokenStream {
    let (name, args) = (&function.sig.ident, function.arg_names());
    let call = quote!(<#stands_for>::#name(#(#args),*));
    let run = glue::run(function, &quote!(|(#(#args,)*)|), &call, support);
    if function.is_awaited() {
        quote!(#support::FunctionBody::Async(#run))
    } else if options.inline.is_some() {
        quote!(#support::FunctionBody::Inline(#run))
    } else {
        quote!(#support::FunctionBody::Blocking(#run))
    }
}

#[cfg(test)]
mod tests {
    use syn::{File, Item};

    use super::*;

    /// The attributes of the struct, of the block and of the function inside, as text.
    fn attrs_of_expanded(source: &str) -> [Vec<String>; 3] {
        let function = syn::parse_str::<Function>(source).unwrap();
        let expanded = syn::parse2::<File>(expand(&function, &Options::default(), &quote!("f"))).unwrap();
        let [Item::Struct(unit_struct), Item::Const(block)] = &expanded.items[..] else {
            panic!("a struct and a block, not {} items", expanded.items.len());
        };
        let syn::Expr::Block(contents) = &*block.expr else { panic!("the value is a block") };
        let syn::Stmt::Item(Item::Impl(inherent)) = &contents.block.stmts[0] else {
            panic!("an impl is first")
        };
        let syn::ImplItem::Fn(inner) = &inherent.items[0] else { panic!("a function is in it") };
        [&unit_struct.attrs, &block.attrs, &inner.attrs]
            .map(|attrs| attrs.iter().map(|attr| attr.to_token_stream().to_string()).collect())
    }

    #[test]
    fn documentation_goes_to_the_struct_with_the_signature_below_it() {
        let [unit_struct, _, inner] = attrs_of_expanded("/// Adds.\nfn add(a: u8, b: u8) -> u8 { a + b }");
        assert_eq!(
            unit_struct[..3],
            [
                r#"# [doc = " Adds."]"#,
                r#"# [doc = ""]"#,
                r#"# [doc = "Remote function: `fn add(a: u8, b: u8) -> u8`"]"#,
            ]
        );
        assert!(inner.is_empty(), "{inner:?}");
    }

    #[test]
    fn an_undocumented_function_stays_undocumented() {
        let [unit_struct, ..] = attrs_of_expanded("fn add(a: u8, b: u8) -> u8 { a + b }");
        assert!(!unit_struct.iter().any(|attr| attr.contains("doc")), "{unit_struct:?}");
    }

    #[test]
    fn other_attributes_go_where_they_have_an_effect() {
        let parts = attrs_of_expanded("#[cfg(unix)] #[deprecated] #[allow(unused)] #[cold] fn f() {}");
        let has = |attr: &str| parts.each_ref().map(|part| part.iter().any(|found| found == attr));
        assert_eq!(has("# [cfg (unix)]"), [true, true, false]);
        assert_eq!(has("# [deprecated]"), [true, false, false]);
        assert_eq!(has("# [allow (deprecated)]"), [false, true, false]);
        assert_eq!(has("# [allow (unused)]"), [true, false, true]);
        assert_eq!(has("# [cold]"), [false, false, true]);
    }
}
