//! What the macros read of a function or a method: its signature, but not its body.
//!
//! The body is copied as it stands. So errors in it are rustc's own, syntax newer than this crate's parser
//! is no obstacle, and no time goes into parsing what is not looked at.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, FnArg, LitStr, PatType, Result, ReturnType, Signature, Token, Type, Visibility};

/// The function under `#[rpc::function]`, or a method under `#[rpc::methods]`.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// Reads what follows attributes and visibility, where [`is_function`] says yes.
    pub(crate) fn parse_after(
        attrs: Vec<Attribute>,
        vis: Visibility,
        input: ParseStream<'_>,
    ) -> Result<Self> {
        let sig = input.parse()?;
        let body = parse_body(input)?;
        Ok(Self { attrs, vis, sig, body })
    }

    /// The arguments without `self`.
    pub(crate) fn args(&self) -> impl Iterator<Item = &PatType> {
        self.sig.inputs.iter().filter_map(|arg| match arg {
            FnArg::Typed(arg) => Some(arg),
            FnArg::Receiver(_) => None,
        })
    }

    /// Names for the arguments, whatever patterns the function itself has.
    pub(crate) fn arg_names(&self) -> Vec<Ident> {
        (0..self.args().count()).map(|at| format_ident!("arg{at}", span = Span::mixed_site())).collect()
    }

    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// The type that it returns.
    pub(crate) fn output(&self) -> TokenStream {
        match &self.sig.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => Type::to_token_stream(ty),
        }
    }

    /// The return type, if it is a `Result` by its last name: `Result<T, E>`, `io::Result<T>`.
    pub(crate) fn result_type(&self) -> Option<&Type> {
        let ReturnType::Type(_, returned) = &self.sig.output else { return None };
        let Type::Path(named) = ungrouped(returned) else { return None };
        let last = named.path.segments.last()?;
        (last.ident == "Result").then_some(&**returned)
    }
}

/// A type that came through a `macro_rules` variable stands in an invisible group.
pub(crate) fn ungrouped(mut ty: &Type) -> &Type {
    while let Type::Group(group) = ty {
        ty = &group.elem;
    }
    ty
}

/// The attributes of one of these names.
pub(crate) fn named<'a>(attrs: &'a [Attribute], names: &[&str]) -> Vec<&'a Attribute> {
    attrs.iter().filter(|attr| is(attr, names)).collect()
}

/// Whether the attribute has one of these names.
pub(crate) fn is(attr: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attr.path().is_ident(name))
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !is_function(input) {
            return Err(input.error("`#[rpc::function]` belongs on a function (`fn` or `async fn`)"));
        }
        Self::parse_after(attrs, vis, input)
    }
}

/// Whether a function follows, whatever its qualifiers.
pub(crate) fn is_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while ahead.parse::<Token![const]>().is_ok()
        || ahead.parse::<Token![async]>().is_ok()
        || ahead.parse::<Token![unsafe]>().is_ok()
        || ahead.parse::<Token![extern]>().is_ok()
        || ahead.parse::<LitStr>().is_ok()
    {}
    ahead.peek(Token![fn])
}

fn parse_body(input: ParseStream<'_>) -> Result<Group> {
    match input.fork().parse()? {
        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
            input.parse::<TokenTree>()?;
            Ok(body)
        }
        _ => Err(input.error("a remote function or method needs a body")),
    }
}
