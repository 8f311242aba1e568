//! What stands beside the block: implementations of documented traits. The logic is in `rpc-rref`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::Type;
use syn::ext::IdentExt;

use super::ast::{Access, Head};
use super::proxy;
use super::valid::Remote;
use crate::ast::{named, ungrouped};
use crate::attr::Options;
use crate::function::expand::limit;
use crate::{glue, signature};

/// What the parts of one expansion share.
pub(super) struct Context<'a> {
    /// The type whose methods they are.
    pub(super) value: &'a Type,
    pub(super) support: TokenStream,
    options: &'a Options,
}

impl Context<'_> {
    /// The name of a struct of ours; begins with the name of the type, so that messages say whose it is.
    pub(super) fn name(&self, rest: &str) -> Ident {
        let first = match ungrouped(self.value) {
            Type::Path(named) => named.path.segments.last().map(|last| last.ident.unraw().to_string()),
            _ => None,
        };
        format_ident!("{}{rest}", first.unwrap_or_default(), span = Span::mixed_site())
    }

    /// The unit struct that stands for a method.
    pub(super) fn unit(&self, method: &Remote<'_>) -> Ident {
        self.name(&format!("_{}", method.method.name().unraw()))
    }
}

/// Everything that hangs on the block.
pub(crate) fn expand(head: &Head, methods: &[Remote<'_>], options: &Options) -> TokenStream {
    let context = Context { value: &head.ty, support: options.support(), options };
    let attrs = named(&head.attrs, &["cfg", "allow", "warn", "deny"]);
    let remote_methods = methods.iter().map(|method| remote_method(&context, method));
    let proxies = proxy::expand(&context, methods);
    quote! {
        #(#attrs)*
        #[allow(deprecated, reason = "what warns is a call from outside")]
        const _: () = {
            #(#remote_methods)*
            #proxies
        };
    }
}

/// The unit struct that stands for a method.
fn remote_method(context: &Context<'_>, remote: &Remote<'_>) -> TokenStream {
    let (value, support, function) = (context.value, &context.support, &remote.method.function);
    let cfgs = named(&function.attrs, &["cfg"]);
    let unit = context.unit(remote);
    let args = glue::args_type(function);
    let (output, error) = glue::output_and_error(function, support);
    let name = wire_name(context.value, context.options, remote.method.name());
    let signature = signature::signature(Some(remote.access.receiver()), function);
    let body = body(context, remote);
    let limit = limit(&remote.method.options.calls, support);
    quote! {
        #(#cfgs)*
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        #[allow(non_camel_case_types, reason = "it stands for a method")]
        struct #unit;

        #(#cfgs)*
        impl #support::RemoteMethod for #unit {
            type Value = #value;
            type Args = #args;
            type Output = #output;
            type Error = #error;
            const NAME: &'static str = #name;
            const SIGNATURE: &'static str = #signature;
            const BODY: #support::MethodBody<Self::Value, Self::Args, Self::Output, Self::Error> = #body;
            #limit
        }

        #(#cfgs)*
        #support::inventory::submit! { #support::MethodEntry::of::<#unit>() }
    }
}

/// `crate::module::Type::method`.
pub(super) fn wire_name(value: &Type, options: &Options, method: &Ident) -> TokenStream {
    let method = method.unraw().to_string();
    match &options.name {
        Some(given) => {
            let given = given.to_token_stream();
            quote!(::core::concat!(#given, "::", #method))
        }
        None => {
            let value = signature::type_text(value).replace(char::is_whitespace, "");
            quote!(::core::concat!(::core::module_path!(), "::", #value, "::", #method))
        }
    }
}

/// The value of `BODY`.
fn body(context: &Context<'_>, remote: &Remote<'_>) -> TokenStream {
    let (value, support, function) = (context.value, &context.support, &remote.method.function);
    let (method, args) = (remote.method.name(), function.arg_names());
    let this = Ident::new("value", Span::mixed_site());
    let call = quote!(<#value>::#method(#this, #(#args),*));
    let run = glue::run(function, &quote!(|#this, (#(#args,)*)|), &call, support);
    let variant = match (remote.access, function.is_awaited()) {
        (Access::Shared, false) => quote!(Shared),
        (Access::Exclusive, false) => quote!(Exclusive),
        (Access::Shared, true) => quote!(SharedAsync),
        (Access::Exclusive, true) => quote!(ExclusiveAsync),
    };
    if function.is_awaited() {
        quote!(#support::MethodBody::#variant(#run))
    } else {
        let inline = context.options.inline.is_some() || remote.method.options.inline.is_some();
        let place = if inline { quote!(Inline) } else { quote!(Thread) };
        quote!(#support::MethodBody::#variant(#support::Run::#place, #run))
    }
}
