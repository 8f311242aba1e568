//! What is read of the block under `#[rpc::methods]`: its head, and the signatures of its methods.
//!
//! Everything that is not a method, constants for example, is copied unseen, as are bodies.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{
    Attribute, Error, FnArg, Generics, Receiver, ReceiverKind, Result, ReturnType, Signature, Token, Type,
    Visibility, WhereClause,
};

use super::attr::MethodOptions;
use crate::ast::{Function, is, is_function, ungrouped};

/// The block under `#[rpc::methods]`.
pub(crate) struct Block {
    pub(crate) head: Head,
    pub(crate) items: Vec<Item>,
    source: Group,
    head_source: TokenStream,
    inner_attrs: Vec<Attribute>,
}

/// What stands before the braces.
pub(crate) struct Head {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) generics: Generics,
    /// The `for` of a trait's implementation.
    pub(crate) trait_for: Option<Token![for]>,
    pub(crate) ty: Type,
}

/// One item of the block.
pub(crate) enum Item {
    /// A function, with or without `self`.
    Method(Box<Method>),
    /// Anything else.
    Other(TokenStream),
}

/// A function of the block.
pub(crate) struct Method {
    /// With `Self` spelled out, because the expansion has its types where `Self` is another one.
    pub(crate) function: Function,
    pub(crate) options: MethodOptions,
    pub(crate) wrong_option: Option<Error>,
    /// As it was, without `#[rpc(..)]`.
    source: TokenStream,
}

/// How a method takes its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Shared,
    Exclusive,
}

impl Block {
    pub(crate) fn parse(item: TokenStream) -> Result<Self> {
        let mut trees: Vec<TokenTree> = item.into_iter().collect();
        let source = match trees.pop() {
            Some(TokenTree::Group(braces)) if braces.delimiter() == Delimiter::Brace => braces,
            last => {
                trees.extend(last);
                return Err(Error::new_spanned(trees.into_iter().collect::<TokenStream>(), NOT_A_BLOCK));
            }
        };
        let head_source = TokenStream::from_iter(trees);
        let head: Head = syn::parse2(head_source.clone())?;
        let read_body = |input: ParseStream<'_>| {
            let inner_attrs = input.call(Attribute::parse_inner)?;
            let mut items = Vec::new();
            while !input.is_empty() {
                items.push(Item::parse(input, &head.ty)?);
            }
            Ok((inner_attrs, items))
        };
        let (inner_attrs, items) = read_body.parse2(source.stream())?;
        Ok(Self { head, items, source, head_source, inner_attrs })
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.items.iter().filter_map(|item| match item {
            Item::Method(method) => Some(&**method),
            Item::Other(_) => None,
        })
    }

    /// The block as it was, without `#[rpc(..)]`.
    pub(crate) fn plain(&self) -> TokenStream {
        let (head, attrs) = (&self.head_source, &self.inner_attrs);
        let items = self.items.iter().map(|item| match item {
            Item::Method(method) => &method.source,
            Item::Other(tokens) => tokens,
        });
        let mut braces = Group::new(Delimiter::Brace, quote!(#(#attrs)* #(#items)*));
        braces.set_span(self.source.span());
        quote!(#head #braces)
    }
}

const NOT_A_BLOCK: &str = "`#[rpc::methods]` belongs on an `impl` block";

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Option<Token![unsafe]>>()?;
        if !input.peek(Token![impl]) {
            return Err(input.error(NOT_A_BLOCK));
        }
        input.parse::<Token![impl]>()?;
        let mut generics: Generics = input.parse()?;
        input.parse::<Option<Token![!]>>()?;
        let mut ty: Type = input.parse()?;
        let trait_for: Option<Token![for]> = input.parse()?;
        if trait_for.is_some() {
            ty = input.parse()?;
        }
        generics.where_clause = input.parse::<Option<WhereClause>>()?;
        Ok(Self { attrs, generics, trait_for, ty })
    }
}

impl Item {
    fn parse(input: ParseStream<'_>, value: &Type) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        if is_function(input) {
            Ok(Self::Method(Box::new(Method::parse_after(attrs, vis, input, value)?)))
        } else {
            if let Some(attr) = attrs.iter().find(|attr| is(attr, &["rpc"])) {
                return Err(Error::new_spanned(attr, "`#[rpc(..)]` belongs on a method"));
            }
            let rest = rest_of_item(input)?;
            Ok(Self::Other(quote!(#(#attrs)* #vis #rest)))
        }
    }
}

impl Method {
    fn parse_after(
        attrs: Vec<Attribute>,
        vis: Visibility,
        input: ParseStream<'_>,
        value: &Type,
    ) -> Result<Self> {
        let (options, wrong_option) = MethodOptions::parse(&attrs);
        let attrs = attrs.into_iter().filter(|attr| !is(attr, &["rpc"])).collect();
        let mut function = Function::parse_after(attrs, vis, input)?;
        let Function { attrs, vis, sig, body } = &function;
        let source = quote!(#(#attrs)* #vis #sig #body);
        spell_self_out(&mut function.sig, value)?;
        Ok(Self { function, options, wrong_option, source })
    }

    pub(crate) fn name(&self) -> &Ident {
        &self.function.sig.ident
    }
}

impl Access {
    /// `self` as a signature has it.
    pub(crate) fn receiver(self) -> TokenStream {
        match self {
            Self::Shared => quote!(&self),
            Self::Exclusive => quote!(&mut self),
        }
    }

    /// The access of a method with that `self`, if it is one of the two.
    pub(crate) fn of(receiver: &Receiver, value: &Type) -> Option<Self> {
        let mutability = match &receiver.kind {
            ReceiverKind::Reference(_, None, mutability) => mutability,
            ReceiverKind::Typed(_, ty) => match ungrouped(ty) {
                Type::Reference(to) if to.lifetime.is_none() && is_self(&to.elem, value) => &to.mutability,
                _ => return None,
            },
            _ => return None,
        };
        Some(if mutability.is_some() { Self::Exclusive } else { Self::Shared })
    }
}

fn is_self(ty: &Type, value: &Type) -> bool {
    let text = |ty: &Type| ty.to_token_stream().to_string();
    matches!(ungrouped(ty), Type::Path(named) if named.path.is_ident("Self")) || text(ty) == text(value)
}

/// Everything up to the end of an item that is not a function.
fn rest_of_item(input: ParseStream<'_>) -> Result<TokenStream> {
    // The value of a constant may have braces; a macro may end with them.
    let ends_with_semicolon = input.peek(Token![const]) || input.peek(Token![type]);
    let mut rest = TokenStream::new();
    while !input.is_empty() {
        let tree: TokenTree = input.parse()?;
        let is_end = match &tree {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => !ends_with_semicolon && group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        rest.extend([tree]);
        if is_end {
            break;
        }
    }
    Ok(rest)
}

/// Puts the type itself in place of `Self` in the types of the arguments and of the result.
fn spell_self_out(sig: &mut Signature, value: &Type) -> Result<()> {
    let args = sig.inputs.iter_mut().filter_map(|arg| match arg {
        FnArg::Typed(arg) => Some(&mut arg.ty),
        FnArg::Receiver(_) => None,
    });
    let returned = match &mut sig.output {
        ReturnType::Type(_, ty) => Some(ty),
        ReturnType::Default => None,
    };
    for ty in args.chain(returned) {
        **ty = syn::parse2(replaced(ty.to_token_stream(), value))?;
    }
    Ok(())
}

fn replaced(tokens: TokenStream, value: &Type) -> TokenStream {
    let replace = |tree| match tree {
        TokenTree::Ident(name) if name == "Self" => at(name.span(), value.to_token_stream()),
        TokenTree::Group(group) => {
            let mut inside = Group::new(group.delimiter(), replaced(group.stream(), value));
            inside.set_span(group.span());
            TokenTree::Group(inside).into()
        }
        other => other.into(),
    };
    tokens.into_iter().flat_map(replace).collect()
}

/// The tokens, as if they stood at `span`.
fn at(span: Span, tokens: TokenStream) -> TokenStream {
    let at_span = |mut tree: TokenTree| {
        if let TokenTree::Group(group) = &tree {
            tree = Group::new(group.delimiter(), at(span, group.stream())).into();
        }
        let place = tree.span().located_at(span);
        tree.set_span(place);
        tree
    };
    tokens.into_iter().map(at_span).collect()
}
