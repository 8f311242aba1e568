//! What the macros read of a function or a method: its signature, but not its body.
//!
//! The body is copied as it stands. So errors in it are rustc's own, syntax newer than this crate's parser
//! is no obstacle, and no time goes into parsing what is not looked at.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenTree};
use quote::format_ident;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, FnArg, GenericArgument, LitStr, PatType, PathArguments, Result, ReturnType, Signature, Token,
    Type, TypeParamBound, Visibility, parse_quote,
};

/// The function under `#[rpc::function]`, or a method under `#[rpc::methods]`.
#[derive(Clone)]
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

    /// Whether its value has to be waited for: it is `async`, or returns a future.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_async() || self.returned_future().is_some()
    }

    /// The future that it returns, if it is one by its name; of an `async fn`, which returns it as a value, none.
    pub(crate) fn returned_future(&self) -> Option<FutureType> {
        let ReturnType::Type(_, returned) = &self.sig.output else { return None };
        if self.is_async() { None } else { FutureType::of(returned) }
    }

    /// The type of its value: what it returns, or what the future resolves to that it returns.
    pub(crate) fn value_type(&self) -> Type {
        match (&self.sig.output, self.returned_future()) {
            (_, Some(future)) => future.value,
            (ReturnType::Type(_, ty), None) => Type::clone(ty),
            (ReturnType::Default, None) => parse_quote!(()),
        }
    }

    /// The type of its value, if it is a `Result` by its last name: `Result<T, E>`, `io::Result<T>`.
    pub(crate) fn result_type(&self) -> Option<Type> {
        let value = self.value_type();
        let is_call = self.returned_future().is_some_and(|future| future.kind == FutureKind::Call);
        (is_call || last_name(&value).is_some_and(|last| last == "Result")).then_some(value)
    }
}

/// A return type that is a future.
pub(crate) struct FutureType {
    pub(crate) kind: FutureKind,
    /// What it resolves to.
    pub(crate) value: Type,
}

/// How a future is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FutureKind {
    /// `RpcFuture<T, E>`, another worker's call, and `SharedFuture<T, E>`, what a callback makes of it.
    Call,
    /// `impl Future<Output = T>`.
    Opaque,
    /// `BoxFuture<'static, T>` and `Pin<Box<dyn Future<Output = T> + Send>>`.
    Boxed,
}

impl FutureType {
    /// The future that `ty` is, if it is one by its name.
    pub(crate) fn of(ty: &Type) -> Option<Self> {
        match ungrouped(ty) {
            Type::ImplTrait(opaque) => {
                Some(Self { kind: FutureKind::Opaque, value: output_of(&opaque.bounds)? })
            }
            Type::Path(named) => match &*last_name(ty)?.to_string() {
                "RpcFuture" | "SharedFuture" => {
                    let value = parse_quote!(<#named as ::core::future::Future>::Output);
                    Some(Self { kind: FutureKind::Call, value })
                }
                "BoxFuture" => Some(Self { kind: FutureKind::Boxed, value: type_argument(ty)?.clone() }),
                "Pin" => match ungrouped(type_argument(type_argument(ty)?)?) {
                    Type::TraitObject(future) => {
                        Some(Self { kind: FutureKind::Boxed, value: output_of(&future.bounds)? })
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

/// The last name of the path of a type.
fn last_name(ty: &Type) -> Option<&Ident> {
    let Type::Path(named) = ungrouped(ty) else { return None };
    Some(&named.path.segments.last()?.ident)
}

/// The first type in the angle brackets of the last name of a type.
fn type_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(named) = ungrouped(ty) else { return None };
    let PathArguments::AngleBracketed(args) = &named.path.segments.last()?.arguments else { return None };
    args.args.iter().find_map(|arg| match arg {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The `T` of `Future<Output = T>` among the bounds.
fn output_of<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<Type> {
    bounds.into_iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
        args.args.iter().find_map(|arg| match arg {
            GenericArgument::AssocType(output) if output.ident == "Output" => Some(output.ty.clone()),
            _ => None,
        })
    })
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
