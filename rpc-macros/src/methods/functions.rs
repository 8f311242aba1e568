//! Functions of a block that can be called by a name of their own: `#[rpc(function = new_counter)]`.
//!
//! Each becomes what `#[rpc::function]` makes of a function that takes what it takes and calls it. A method's value is
//! then the first argument, and travels like any other.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::{FnArg, Pat, PatType, ReceiverKind, Token, Type, parse_quote};

use super::ast::{Block, Method};
use super::expand::wire_name;
use super::proxy::visible_arg_names;
use crate::ast::{Function, named};
use crate::attr::Options;
use crate::function::expand;
use crate::problems::{Problems, Subject};
use crate::valid;

const SUBJECT: Subject = Subject { noun: "remote function", way_out: "" };

/// All of them, with what is wrong with some.
pub(super) fn expand(block: &Block, options: &Options) -> TokenStream {
    let value = &block.head.ty;
    let functions = block.methods().filter(|method| method.wrong_option.is_none());
    let functions = functions.filter_map(|method| Some((method, method.options.function.as_ref()?)));
    functions.map(|(method, name)| one(method, name, value, options)).collect()
}

fn one(method: &Method, name: &Ident, value: &Type, options: &Options) -> TokenStream {
    let mut problems = Problems::new(&SUBJECT);
    let taken = taken(&mut problems, method);
    let function = function(method, name, value, taken);
    valid::check(&mut problems, &function, method.options.inline);
    valid::check_generics(
        &mut problems,
        &function.sig.generics,
        "make it a generic function outside of the block",
    );
    if let Err(error) = problems.finish() {
        return error.into_compile_error();
    }
    let of_function = Options {
        inline: method.options.inline.or(options.inline).filter(|_| !function.is_awaited()),
        calls: method.options.calls.clone(),
        crate_path: options.crate_path.clone(),
        ..Options::default()
    };
    expand::expand(&function, &of_function, &wire_name(value, options, method.name()))
}

/// How the value gets from the first argument to the method.
#[derive(Clone, Copy)]
enum Taken {
    NoValue,
    Itself,
    Borrowed,
}

fn taken(problems: &mut Problems, method: &Method) -> Taken {
    let Some(receiver) = method.function.sig.receiver() else { return Taken::NoValue };
    match &receiver.kind {
        ReceiverKind::Value => Taken::Itself,
        ReceiverKind::Reference(_, _, None) => Taken::Borrowed,
        ReceiverKind::Reference(_, _, Some(_)) => {
            let message = "as a function it would change a copy, which is lost: take `self` and return it, or call \
                           the method through an `RRef`";
            problems.add(receiver, message);
            Taken::Borrowed
        }
        _ => {
            problems.add(receiver, "as a function it takes `self` or `&self`");
            Taken::Itself
        }
    }
}

/// The function that calls the method.
fn function(method: &Method, name: &Ident, value: &Type, taken: Taken) -> Function {
    let own = &method.function;
    let (this, args) = (Ident::new("this", Span::mixed_site()), visible_arg_names(own));
    let typed = |name: &Ident, ty: &Type| -> FnArg {
        let pat: Pat = parse_quote!(#name);
        let colon_token = <Token![:]>::default();
        FnArg::Typed(PatType { attrs: Vec::new(), pat: Box::new(pat), colon_token, ty: Box::new(ty.clone()) })
    };
    let others = own.args().zip(&args).map(|(arg, name)| typed(name, &arg.ty));
    let first = match taken {
        Taken::NoValue => None,
        Taken::Itself | Taken::Borrowed => Some(typed(&this, value)),
    };
    let called_on = match taken {
        Taken::NoValue => None,
        Taken::Itself => Some(quote!(#this,)),
        Taken::Borrowed => Some(quote!(&#this,)),
    };
    let mut sig = own.sig.clone();
    sig.ident = name.clone();
    sig.inputs = first.into_iter().chain(others).collect();
    let (called, awaiting) = (method.name(), own.is_awaited().then(|| quote!(.await)));
    if own.is_awaited() {
        // What it returns may borrow the first argument, which ends with the function.
        let value = own.value_type();
        sig.asyncness = Some(<Token![async]>::default());
        sig.output = parse_quote!(-> #value);
    }
    let body = Group::new(Delimiter::Brace, quote!(<#value>::#called(#called_on #(#args),*) #awaiting));
    let attrs = named(&own.attrs, &["doc", "cfg", "deprecated", "allow"]).into_iter().cloned().collect();
    Function { attrs, vis: own.vis.clone(), sig, body }
}
