//! What a remote function cannot be, each with the reason and the way out.

use std::fmt::Display;

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, GenericParam, Generics, Lifetime, PatIdent, Path, Result, ReturnType, Safety,
    Signature, Type, TypeImplTrait, TypeNever, TypeReference,
};

use crate::ast::Function;
use crate::attr::Options;

/// How many arguments there can be: serde goes no further with tuples.
const ARGS_MAX: usize = 16;

/// Refuses what cannot be called from another worker, with every problem at once.
pub(crate) fn check(function: &Function, options: &Options) -> Result<()> {
    let mut problems = Problems::default();
    check_kind(&mut problems, &function.sig, options);
    check_generics(&mut problems, &function.sig.generics);
    check_args(&mut problems, function);
    if let ReturnType::Type(_, returned) = &function.sig.output {
        Types { problems: &mut problems, side: Side::Result }.visit_type(returned);
    }
    problems.finish()
}

#[derive(Default)]
struct Problems(Option<Error>);

impl Problems {
    fn add(&mut self, at: impl ToTokens, message: impl Display) {
        self.push(Error::new_spanned(at, message));
    }

    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

fn check_kind(problems: &mut Problems, sig: &Signature, options: &Options) {
    if let Some(constness) = &sig.constness {
        problems.add(constness, "a remote function cannot be `const`: it runs on another worker");
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        problems.add(
            unsafety,
            "a remote function cannot be `unsafe`: no caller on another worker can keep its contract",
        );
    }
    if let Some(abi) = &sig.abi {
        problems.add(abi, "a remote function cannot be `extern`: it is called by its name, not by its ABI");
    }
    if let (Some(inline), true) = (options.inline, sig.asyncness.is_some()) {
        let message =
            "`inline` is for `fn`: an `async fn` is polled in place anyway, and spawned if it waits";
        problems.push(Error::new(inline, message));
    }
}

fn check_generics(problems: &mut Problems, generics: &Generics) {
    for param in &generics.params {
        match param {
            GenericParam::Type(_) | GenericParam::Const(_) => problems.add(
                param,
                "a remote function cannot be generic: other workers call it by its name alone; write one for \
                 each type",
            ),
            GenericParam::Lifetime(_) => problems.add(
                param,
                "a remote function cannot have lifetime parameters: its arguments come from another process",
            ),
        }
    }
    // With parameters there, the clause is about them and has been answered for.
    if let (Some(clause), true) = (&generics.where_clause, generics.params.is_empty()) {
        problems.add(clause, "a remote function cannot have a `where` clause");
    }
}

fn check_args(problems: &mut Problems, function: &Function) {
    let sig = &function.sig;
    if let Some(receiver) = sig.receiver() {
        problems.add(
            receiver,
            "a remote function cannot take `self`: there is no such value on the other worker; make it a free \
             function that is given what it needs",
        );
    }
    if let Some(variadic) = &sig.variadic {
        problems.add(variadic, "a remote function cannot be variadic; take a `Vec`");
    }
    if let Some(first_too_many) = function.args().nth(ARGS_MAX) {
        problems.add(
            first_too_many,
            format_args!("a remote function has at most {ARGS_MAX} arguments; put them into a struct"),
        );
    }
    for arg in function.args() {
        if let Some(cfg) = arg.attrs.iter().find(|attr| is_cfg(attr)) {
            problems
                .add(cfg, "an argument of a remote function cannot depend on `cfg`; put it on the function");
        }
        ArgNames { problems, function: sig }.visit_pat(&arg.pat);
        Types { problems, side: Side::Argument }.visit_type(&arg.ty);
    }
}

fn is_cfg(attr: &Attribute) -> bool {
    attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr")
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

#[derive(Clone, Copy)]
enum Side {
    Argument,
    Result,
}

/// Looks for types that cannot travel. What merely lacks serde is left to the compiler.
struct Types<'a> {
    problems: &'a mut Problems,
    side: Side,
}

impl<'ast> Visit<'ast> for Types<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let owned = owned_form(reference);
        let why = match self.side {
            Side::Argument => "an argument cannot be borrowed: it comes from another worker; take",
            Side::Result => "a result cannot be borrowed: it goes to another worker; return",
        };
        self.problems.add(reference, format_args!("{why} {owned}"));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            let message = "arguments and results travel between workers and cannot borrow; use an owned type";
            self.problems.add(lifetime, message);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.problems.add(ty, "`impl Trait` cannot travel between workers: name the type");
    }

    fn visit_type_never(&mut self, ty: &'ast TypeNever) {
        self.problems.add(ty, "a remote function must be able to return: its caller waits for the reply");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            let message = "a remote function cannot stand in an `impl` block: make it a free function";
            self.problems.add(path, message);
        } else {
            visit::visit_path(self, path);
        }
    }
}

/// What to take instead of a reference, as people spell it.
fn owned_form(reference: &TypeReference) -> String {
    match &*reference.elem {
        Type::Path(named) if named.path.is_ident("str") => "`String`".into(),
        Type::Slice(_) => "a `Vec`".into(),
        _ => "the value itself".into(),
    }
}
