//! The three proxies of a type: the methods' names, for calls through a reference.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::Pat;

use super::expand::Context;
use super::valid::Remote;
use crate::ast::{Function, named};
use crate::glue;

/// How a method is called through a proxy.
#[derive(Clone, Copy)]
enum Way {
    Async,
    Sync,
    Remote,
}

impl Way {
    /// The name of the associated type, and the end of the proxy's.
    fn name(self) -> &'static str {
        match self {
            Self::Async => "Async",
            Self::Sync => "Sync",
            Self::Remote => "Remote",
        }
    }

    /// The method of `Proxy`.
    fn call(self) -> TokenStream {
        match self {
            Self::Async => quote!(rpc_async),
            Self::Sync => quote!(rpc_sync),
            Self::Remote => quote!(remote),
        }
    }

    /// What a call gives, for a method that gives `output` or its own `error`.
    fn returned(self, output: &TokenStream, error: &TokenStream, support: &TokenStream) -> TokenStream {
        match self {
            Self::Async => quote!(#support::RpcFuture<#output, #error>),
            Self::Sync => quote!(::core::result::Result<#output, #support::CallError<#error>>),
            // The method has not run when this returns: there is no error of its own.
            Self::Remote => {
                quote!(::core::result::Result<#support::RRef<#output>, #support::CallError<#support::Never>>)
            }
        }
    }
}

/// The proxies, and the trait that says which they are.
pub(super) fn expand(context: &Context<'_>, methods: &[Remote<'_>]) -> TokenStream {
    let (value, support) = (context.value, &context.support);
    let [of_async, of_sync, of_remote] =
        [Way::Async, Way::Sync, Way::Remote].map(|way| (proxy_name(context, way), way));
    let proxies = [&of_async, &of_sync, &of_remote].map(|(name, way)| proxy(context, methods, name, *way));
    let (of_async, of_sync, of_remote) = (of_async.0, of_sync.0, of_remote.0);
    quote! {
        #(#proxies)*

        impl #support::RemoteMethods for #value {
            type Async<'a> = #of_async<'a>;
            type Sync<'a> = #of_sync<'a>;
            type Remote<'a> = #of_remote<'a>;
        }
    }
}

fn proxy_name(context: &Context<'_>, way: Way) -> Ident {
    context.name(&format!("Rpc{}", way.name()))
}

/// One proxy. `pub`, because it is in a public interface if the type is; nobody reaches it by its path.
fn proxy(context: &Context<'_>, methods: &[Remote<'_>], name: &Ident, way: Way) -> TokenStream {
    let (value, support) = (context.value, &context.support);
    let methods = methods.iter().map(|method| proxy_method(context, method, way));
    quote! {
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        #[must_use = "it calls nothing until one of its methods is called"]
        #[allow(
            unnameable_types,
            unreachable_pub,
            dead_code,
            reason = "it is named through `RemoteMethods`, by those who can see the type"
        )]
        pub struct #name<'a>(#support::Proxy<'a, #value>);

        impl<'a> ::core::convert::From<#support::Proxy<'a, #value>> for #name<'a> {
            fn from(proxy: #support::Proxy<'a, #value>) -> Self {
                Self(proxy)
            }
        }

        #[allow(dead_code, private_interfaces, reason = "what is said of it is said of the method itself")]
        impl #name<'_> {
            #(#methods)*
        }
    }
}

/// A method by its own name and visibility, at its own place: that is where messages about calls point.
///
/// It takes the proxy by value, for otherwise `Into::into` and the like would come before a method of that
/// name.
fn proxy_method(context: &Context<'_>, remote: &Remote<'_>, way: Way) -> TokenStream {
    let (support, function) = (&context.support, &remote.method.function);
    let attrs = named(&function.attrs, &["cfg", "deprecated", "allow"]);
    // Not where examples are collected: the method itself has them.
    let docs = named(&function.attrs, &["doc"]).into_iter().map(|attr| &attr.meta);
    // The other two return a `Result`. A future may be dropped: the call goes on.
    let must_use = match way {
        Way::Async => named(&function.attrs, &["must_use"]),
        Way::Sync | Way::Remote => Vec::new(),
    };
    let track_caller = matches!(way, Way::Remote).then(|| quote!(#[track_caller]));
    let (vis, name, unit) = (&function.vis, remote.method.name(), context.unit(remote));
    let args = visible_arg_names(function);
    let types = function.args().map(|arg| &arg.ty);
    let (output, error) = glue::output_and_error(function, support);
    let (returned, call) = (way.returned(&output, &error, support), way.call());
    quote! {
        #(#[cfg_attr(not(doctest), #docs)])*
        #(#attrs)*
        #(#must_use)*
        #track_caller
        #vis fn #name(self, #(#args: #types),*) -> #returned {
            self.0.#call(#unit, (#(#args,)*))
        }
    }
}

/// The arguments' own names where they have one, for those who read the signature.
pub(super) fn visible_arg_names(function: &Function) -> Vec<Ident> {
    let name = |(at, pat): (usize, &Pat)| match pat {
        Pat::Ident(named) if named.by_ref.is_none() && named.subpat.is_none() => named.ident.clone(),
        _ => format_ident!("arg{at}", span = Span::mixed_site()),
    };
    function.args().map(|arg| &*arg.pat).enumerate().map(name).collect()
}
