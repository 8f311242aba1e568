//! What a generic function with `instances(..)` becomes.
//!
//! A unit struct cannot have type parameters, as nothing in it would use them. So `sum<T>` is an enum, and the *value*
//! `sum` is a variant of it, brought in by a glob import, which the type of that name shadows in the namespace of
//! types and not in that of values. Hence `sum::<f32>` is a value, as `None::<f32>` is one.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::visit_mut::{self, VisitMut};
use syn::{Generics, Token, Type, Visibility, parse_quote};

use super::expand::{self, allow_deprecated, callable, remote_function, type_attrs};
use super::valid::instance_args;
use crate::ast::{Function, is, named};
use crate::attr::{Instances, Options};
use crate::signature;

/// The generic type, its value, and what makes each instance a remote function.
pub(crate) fn expand(function: &Function, options: &Options, instances: &Instances) -> TokenStream {
    let (support, name) = (options.support(), &function.sig.ident);
    let cfgs = named(&function.attrs, &["cfg"]);
    let allow_deprecated = allow_deprecated(function);
    let stands_for = stands_for(function);
    let body = body(function);
    let deref = deref(function, &support);
    let params: Vec<&Ident> = function.sig.generics.type_params().map(|param| &param.ident).collect();
    let instances = instances.types.iter().filter_map(|ty| instance_args(ty, params.len())).map(|types| {
        let of_instance = instance(function, &params, &types);
        let stands_for = quote!(#name<#(#types),*>);
        let wire_name = wire_name(function, options, &types);
        let remote_function = remote_function(&of_instance, options, &stands_for, &wire_name);
        quote! {
            #remote_function
            #support::inventory::submit! { #support::FunctionEntry::of::<#stands_for>() }
        }
    });
    quote! {
        #stands_for

        #(#cfgs)*
        #allow_deprecated
        const _: () = {
            #body
            #deref
            #(#instances)*
        };
    }
}

/// The type `sum<T>` and the value `sum::<T>`.
fn stands_for(function: &Function) -> TokenStream {
    let (vis, name, attrs) = (&function.vis, &function.sig.ident, type_attrs(function));
    let cfgs = named(&function.attrs, &["cfg"]);
    let params: Vec<&Ident> = function.sig.generics.type_params().map(|param| &param.ident).collect();
    let value = format_ident!("__rpc_value_{}", name.unraw(), span = Span::mixed_site());
    let outside = visible_from_below(vis);
    let text = name.unraw().to_string();
    quote! {
        #attrs
        #vis enum #name<#(#params),*> {
            #[doc(hidden)]
            __Value,
            #[doc(hidden)]
            __Params(::core::convert::Infallible, ::core::marker::PhantomData<fn() -> (#(#params,)*)>),
        }

        #(#cfgs)*
        impl<#(#params),*> ::core::clone::Clone for #name<#(#params),*> {
            fn clone(&self) -> Self {
                *self
            }
        }

        #(#cfgs)*
        impl<#(#params),*> ::core::marker::Copy for #name<#(#params),*> {}

        #(#cfgs)*
        impl<#(#params),*> ::core::fmt::Debug for #name<#(#params),*> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(#text)
            }
        }

        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_snake_case, unused_imports, reason = "it makes the function's name a value")]
        mod #value {
            #outside use super::#name::__Value as #name;
        }
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(unused_imports, unreachable_pub, reason = "other workers can call it")]
        #vis use self::#value::*;
    }
}

/// `vis` as one has to write it one module below.
fn visible_from_below(vis: &Visibility) -> Visibility {
    match vis {
        Visibility::Inherited => parse_quote!(pub(super)),
        Visibility::Restricted(within) if within.path.is_ident("self") => parse_quote!(pub(super)),
        Visibility::Restricted(within)
            if within.path.segments.first().is_some_and(|first| first.ident == "super") =>
        {
            let path = &within.path;
            parse_quote!(pub(in super::#path))
        }
        vis => vis.clone(),
    }
}

/// The function itself, in a block that has its parameters.
fn body(function: &Function) -> TokenStream {
    let name = &function.sig.ident;
    let attrs = function.attrs.iter().filter(|attr| !is(attr, &["doc", "deprecated", "cfg"]));
    let mut sig = function.sig.clone();
    let generics = std::mem::take(&mut sig.generics);
    let (of_impl, of_type, clause) = generics.split_for_impl();
    let body = &function.body;
    quote! {
        #[allow(clippy::new_ret_no_self, clippy::self_named_constructors, reason = "the type stands for the function")]
        impl #of_impl #name #of_type #clause {
            #(#attrs)*
            #sig #body
        }
    }
}

/// `sum::<f32>(numbers)` goes through this.
fn deref(function: &Function, support: &TokenStream) -> TokenStream {
    let name = &function.sig.ident;
    let generics = owned(&function.sig.generics);
    let (of_impl, of_type, clause) = generics.split_for_impl();
    let (target, callee) = callable(function, support);
    quote! {
        impl #of_impl #name #of_type #clause {
            const __FUNCTION: #target = &#callee;
        }
        impl #of_impl ::core::ops::Deref for #name #of_type #clause {
            type Target = #target;
            fn deref(&self) -> &Self::Target {
                const { &Self::__FUNCTION }
            }
        }
    }
}

/// The parameters, none of which borrows.
fn owned(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for param in generics.type_params_mut() {
        param.colon_token.get_or_insert_with(<Token![:]>::default);
        param.bounds.push(parse_quote!('static));
    }
    generics
}

/// The function for one choice of types. Its body stays generic: nobody reads it here.
fn instance(function: &Function, params: &[&Ident], types: &[Type]) -> Function {
    let mut of_instance = function.clone();
    of_instance.sig.generics = Generics::default();
    Substitute { params, types }.visit_signature_mut(&mut of_instance.sig);
    of_instance
}

/// Puts types in place of parameters.
struct Substitute<'a> {
    params: &'a [&'a Ident],
    types: &'a [Type],
}

impl VisitMut for Substitute<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        // By tokens, because a parameter may begin a path: `T::Err`.
        let replaced = self.replaced(ty.to_token_stream());
        match syn::parse2(replaced) {
            Ok(replaced) => *ty = replaced,
            Err(_) => visit_mut::visit_type_mut(self, ty),
        }
    }
}

impl Substitute<'_> {
    fn replaced(&self, tokens: TokenStream) -> TokenStream {
        let is_colon = |tree: &TokenTree| matches!(tree, TokenTree::Punct(colon) if colon.as_char() == ':');
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut out = TokenStream::new();
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                // `module::T` is another `T`.
                TokenTree::Ident(name) if at == 0 || !is_colon(&trees[at - 1]) => {
                    let begins_path = trees.get(at + 1).is_some_and(is_colon);
                    match self.params.iter().position(|param| *param == name).map(|at| &self.types[at]) {
                        Some(ty) if begins_path => out.extend(quote!(<#ty>)),
                        Some(ty) => ty.to_tokens(&mut out),
                        None => out.extend([tree.clone()]),
                    }
                }
                TokenTree::Group(group) => {
                    let mut inside = Group::new(group.delimiter(), self.replaced(group.stream()));
                    inside.set_span(group.span());
                    out.extend([TokenTree::Group(inside)]);
                }
                tree => out.extend([tree.clone()]),
            }
        }
        out
    }
}

/// `crate::module::sum<f32>`.
fn wire_name(function: &Function, options: &Options, types: &[Type]) -> TokenStream {
    let types: Vec<String> =
        types.iter().map(|ty| signature::type_text(ty).replace(char::is_whitespace, "")).collect();
    let (name, types) = (expand::wire_name(function, options), format!("<{}>", types.join(",")));
    quote!(::core::concat!(#name, #types))
}
