//! What a remote function cannot be.

use syn::visit::{self, Visit};
use syn::{GenericParam, Generics, PatIdent, Result, Signature, Type};

use crate::ast::{Function, ungrouped};
use crate::attr::{Instances, Options};
use crate::problems::{Problems, Subject};
use crate::valid;

const SUBJECT: Subject = Subject { noun: "remote function", way_out: "" };

/// Refuses what cannot be called from another worker, with every problem at once.
pub(crate) fn check(function: &Function, options: &Options) -> Result<()> {
    let mut problems = Problems::new(&SUBJECT);
    if let Some(receiver) = function.sig.receiver() {
        problems.add(
            receiver,
            "a remote function cannot take `self`: to call methods of a value through its `RRef`, put \
             `#[rpc::methods]` on the `impl` block in place of this",
        );
    }
    valid::check(&mut problems, function, options.inline);
    check_generics(&mut problems, &function.sig.generics, options.instances.as_ref());
    for arg in function.args() {
        ArgNames { problems: &mut problems, function: &function.sig }.visit_pat(&arg.pat);
    }
    problems.finish()
}

/// With `instances` types and constants may be parameters, and each instance has all of them.
fn check_generics(problems: &mut Problems, generics: &Generics, instances: Option<&Instances>) {
    let Some(instances) = instances else {
        return valid::check_generics(
            problems,
            generics,
            "name the types that it is for, `#[rpc::function(instances(f32, f64))]`, or write one for each",
        );
    };
    let params = generics.params.len() - generics.lifetimes().count();
    if generics.params.is_empty() {
        problems.add_at(instances.at, "the function has no type parameters; leave `instances` out");
    }
    for param in &generics.params {
        match param {
            GenericParam::Type(param) => {
                if let Some((_, default)) = &param.default {
                    problems.add(default, "a function's type parameter has no default");
                }
            }
            GenericParam::Const(_) => {
                problems.add(param, "`instances` are for types: write one function for each value")
            }
            GenericParam::Lifetime(_) => valid::check_lifetime(problems, param),
        }
    }
    for ty in &instances.types {
        let given = instance_args(ty, params).map_or(1, |args| args.len());
        if given != params && params > 0 {
            let message = format_args!(
                "the function has {params} type parameters, so each instance is a tuple of {params} types"
            );
            problems.add(ty, message);
        }
    }
}

/// The types of one instance of a function with `params` parameters; `None` for one that is no tuple of several.
pub(super) fn instance_args(ty: &Type, params: usize) -> Option<Vec<Type>> {
    match ungrouped(ty) {
        Type::Tuple(types) if params > 1 => Some(types.elems.iter().cloned().collect()),
        _ if params > 1 => None,
        ty => Some(vec![ty.clone()]),
    }
}

/// Looks for an argument with the function's own name, which would be a pattern of the unit struct.
struct ArgNames<'a> {
    problems: &'a mut Problems,
    function: &'a Signature,
}

impl<'ast> Visit<'ast> for ArgNames<'_> {
    fn visit_pat_ident(&mut self, name: &'ast PatIdent) {
        if name.ident == self.function.ident {
            self.problems
                .add(name, "an argument cannot have the name of its remote function; rename one of them");
        }
        visit::visit_pat_ident(self, name);
    }
}
