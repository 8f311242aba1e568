//! What remote methods and their block cannot be.

use std::fmt::Display;

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Error, GenericParam, Lifetime, ReceiverKind, Result, Type};

use super::ast::{Access, Block, Head, Method};
use crate::ast::ungrouped;
use crate::problems::{Problems, Subject};
use crate::valid;

const SUBJECT: Subject =
    Subject { noun: "remote method", way_out: "; or keep the method local with `#[rpc(skip)]`" };

/// A method that other workers can call.
pub(crate) struct Remote<'a> {
    pub(crate) method: &'a Method,
    pub(crate) access: Access,
}

/// Refuses a block of which nothing can be called from another worker.
pub(crate) fn check_head(head: &Head) -> Result<()> {
    if let Some(trait_for) = &head.trait_for {
        return refuse(
            trait_for,
            "`#[rpc::methods]` belongs on the type's own `impl` block: a method of a trait is called by a \
             method there",
        );
    }
    let is_lifetime = |param: &GenericParam| matches!(param, GenericParam::Lifetime(_));
    if let Some(param) = head.generics.params.iter().find(|param| !is_lifetime(param)) {
        return refuse(
            param,
            "a type with remote methods cannot be generic: other workers call a method by its name alone; put \
             `#[rpc::methods]` on a block for each type that is used, as `impl Shard<f32>` is for `Shard<T>`",
        );
    }
    if let Some(clause) = &head.generics.where_clause {
        return refuse(clause, "a block with `#[rpc::methods]` cannot have a `where` clause");
    }
    if !matches!(ungrouped(&head.ty), Type::Path(_)) {
        return refuse(&head.ty, "remote methods are those of a struct or an enum of this crate");
    }
    let mut borrowed = Borrowed(None);
    borrowed.visit_type(&head.ty);
    match borrowed.0 {
        Some(lifetime) => refuse(
            lifetime,
            "a type with remote methods cannot borrow: its values live for as long as a worker refers to them; own \
             what it needs",
        ),
        None => Ok(()),
    }
}

/// The methods that other workers can call, and what is wrong with the others.
pub(crate) fn check_methods(block: &Block) -> (Vec<Remote<'_>>, Option<Error>) {
    let mut all = Problems::new(&SUBJECT);
    let mut remote = Vec::new();
    for method in block.methods() {
        if let Some(error) = &method.wrong_option {
            all.push(error.clone());
        }
        if method.options.skip.is_some() {
            continue;
        }
        // Without a value to call it on it is a function and nothing else.
        if method.options.function.is_some() && !is_for_references(method) {
            continue;
        }
        match check(method, &block.head.ty) {
            Ok(access) => remote.push(Remote { method, access }),
            Err(error) => all.push(error),
        }
    }
    (remote, all.finish().err())
}

/// Whether it takes `self` by reference, in whatever way.
fn is_for_references(method: &Method) -> bool {
    let receiver = method.function.sig.receiver();
    receiver.is_some_and(|receiver| !matches!(receiver.kind, ReceiverKind::Value))
}

fn check(method: &Method, value: &Type) -> Result<Access> {
    let mut problems = Problems::new(&SUBJECT);
    let access = access(method, value);
    if let Err(error) = &access {
        problems.push(error.clone());
    }
    valid::check(&mut problems, &method.function, method.options.inline);
    valid::check_generics(&mut problems, &method.function.sig.generics, "write one for each type");
    problems.finish().and(access)
}

fn access(method: &Method, value: &Type) -> Result<Access> {
    let Some(receiver) = method.function.sig.receiver() else {
        let message = "without `self` there is no value to call this on: give it a name as a function, \
                       `#[rpc(function = new_counter)]`";
        return Err(SUBJECT.error(method.name(), message));
    };
    Access::of(receiver, value).ok_or_else(|| {
        let message = "a remote method takes `&self` or `&mut self`: others may refer to the same value";
        SUBJECT.error(receiver, message)
    })
}

fn refuse(at: impl ToTokens, message: impl Display) -> Result<()> {
    Err(Error::new_spanned(at, message))
}

/// Looks for a lifetime that is not `'static`.
struct Borrowed<'ast>(Option<&'ast Lifetime>);

impl<'ast> Visit<'ast> for Borrowed<'ast> {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.0.get_or_insert(lifetime);
        }
        visit::visit_lifetime(self, lifetime);
    }
}
